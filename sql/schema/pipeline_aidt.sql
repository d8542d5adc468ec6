insert into lrs_extract.pipeline (name, mapping)
values ('aidt', $mapping$
{
  "id": {"path": ["id"]},
  "user_id": {
    "first_of": [
      ["actor", "account", "name"],
      ["actor", "mbox"],
      ["actor", "mbox_sha1sum"],
      ["actor", "openid"]
    ]
  },
  "object_type": {"path": ["object", "objectType"], "default": "Activity"},
  "statement": {"statement": true},
  "timestamp": {"source": "timestamp"},
  "partner_id": {"const": null}
}
$mapping$);

-- pg_restore creates the extension, and the shipped row with it, before it loads the dumped rows.
-- A row that is still as shipped gives way to the one that is being loaded; a changed one does not.
do $do$
begin
  perform pg_catalog.set_config('intervalstyle', 'postgres', true);
  execute pg_catalog.format(
    $create$
      create function lrs_extract.replace_shipped_pipeline() returns trigger
      language plpgsql
      set search_path = pg_catalog, pg_temp set intervalstyle = 'postgres'
      as $body$
      begin
        -- Who may insert a pipeline need not be allowed to replace one.
        if not has_table_privilege('lrs_extract.pipeline', 'select') then
          return new;
        end if;
        -- One that has been pulled is in use.
        if has_table_privilege('lrs_extract.pipeline', 'delete')
           and has_table_privilege('lrs_extract.run', 'select') then
          delete from lrs_extract.pipeline p
           where p.name = new.name
             and not exists (select from lrs_extract.run r where r.pipeline_id = p.pipeline_id)
             and sha256(convert_to(p::text, 'UTF8')) = %L;
        end if;
        -- A copy of a row is another pipeline.
        if exists (select from lrs_extract.pipeline p where p.pipeline_id = new.pipeline_id) then
          new.pipeline_id := gen_random_uuid();
        end if;
        return new;
      end
      $body$
    $create$,
    (select pg_catalog.sha256(pg_catalog.convert_to(p::text, 'UTF8')) from lrs_extract.pipeline p));
end
$do$;
comment on function lrs_extract.replace_shipped_pipeline() is 'Lets a restored row take the place of the shipped one, and gives a copied row an id of its own';

create trigger replace_shipped_pipeline before insert on lrs_extract.pipeline
  for each row execute function lrs_extract.replace_shipped_pipeline();
comment on trigger replace_shipped_pipeline on lrs_extract.pipeline is 'Lets a restored row take the place of the shipped one, and gives a copied row an id of its own';

create function lrs_extract.keep_pipeline_id() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $body$
begin
  new.pipeline_id := old.pipeline_id;
  return new;
end
$body$;
comment on function lrs_extract.keep_pipeline_id() is 'Leaves a pipeline''s id as it is, also where an upsert sets all columns';

create trigger keep_pipeline_id before update on lrs_extract.pipeline
  for each row when (old.pipeline_id is distinct from new.pipeline_id)
  execute function lrs_extract.keep_pipeline_id();
comment on trigger keep_pipeline_id on lrs_extract.pipeline is 'Leaves a pipeline''s id as it is';
