-- Target rows whose fields do not follow from their statement as the shipped mapping says,
-- computed by the server's own operators.
select "statement"::text
from pipeline.aidt_raw
where id is distinct from ("statement" ->> 'id')::uuid
   or user_id is distinct from coalesce(
          "statement" #>> '{actor,account,name}', "statement" #>> '{actor,mbox}',
          "statement" #>> '{actor,mbox_sha1sum}', "statement" #>> '{actor,openid}')
   or object_type is distinct from coalesce("statement" #>> '{object,objectType}', 'Activity')
   or partner_id is not null or flag is distinct from 'N' or inserted_at is null
limit 5
