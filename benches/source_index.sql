-- After the rows, which is faster.

select format('create index %I on %s ("timestamp", actor_id)',
              relname || '_timestamp_actor_id_idx', pg_class.oid::regclass)
  from pg_inherits join pg_class on pg_class.oid = inhrelid
 where inhparent = 'acid.lrs_statement_new'::regclass
 order by relname
\gexec

vacuum (analyze) acid.lrs_statement_new;
