-- Rejects that will be taken through the mapping again, locked against others. $1: their numbers
select r.reject_id, r."timestamp", r.actor_id, r.column_name, r.sqlstate, r.message, r.statement, r.extra::text as extra, r.altered
  from lrs_extract.reject r
 where r.reject_id = any ($1)
 order by r.reject_id
   for update
