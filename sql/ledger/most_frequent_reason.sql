-- What most of a run's rows were refused for. $1: run_id
select format('%s of %s rejected rows%s: %s (SQLSTATE %s).',
              count(*), sum(count(*)) over (), ', column "' || j.column_name || '"',
              left(min(j.message), 500), j.sqlstate)
  from lrs_extract.reject j
 where j.run_id = $1
 group by j.column_name, j.sqlstate
 order by count(*) desc
 limit 1
