-- Whether a whole index begins with a column. $1: the table, $2: the column
select exists (
  select
    from pg_index i
    join pg_class c on c.oid = i.indexrelid
    join pg_am m on m.oid = c.relam
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
   where i.indrelid = $1
     and i.indisvalid
     and i.indpred is null
     and m.amname in ('btree', 'brin')
     and a.attname = $2)
