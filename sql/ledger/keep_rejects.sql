-- Rejects that still do not fit: the reason of today. $1: their numbers; $2: column, $3: SQLSTATE and
-- $4: message of each
update lrs_extract.reject r
   set column_name = k.column_name, sqlstate = k.sqlstate, message = k.message
  from (select u.reject_id, nullif(u.column_name, '') as column_name, u.sqlstate, u.message
          from unnest($1, $2, $3, $4) as u (reject_id, column_name, sqlstate, message)) k
 where r.reject_id = k.reject_id
   and (r.column_name, r.sqlstate, r.message) is distinct from (k.column_name, k.sqlstate, k.message)
