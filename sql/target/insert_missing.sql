-- Inserts the rows of a batch that the target does not have yet. A row is known by its time and its
-- statement's id; of those that have both in common, as many are inserted as there are fewer in the
-- target. The batch has all rows of the source at its times.
insert into {target} ({columns})
select {columns}
  from (select same.*,
               pg_catalog.row_number() over (partition by same.{timestamp}, same.{id}, same.lrs_extract_here) as lrs_extract_nth,
               pg_catalog.sum(same.lrs_extract_here) over (partition by same.{timestamp}, same.{id}) as lrs_extract_have
          from (select {columns}, 0 as lrs_extract_here
                  from {batch}
                union all
                select {known}, 1
                  from {target} t
                 where t.{timestamp} operator(pg_catalog.=) any (array(select b.{timestamp} from {batch} b))) same) counted
 where counted.lrs_extract_here operator(pg_catalog.=) 0
   and counted.lrs_extract_nth operator(pg_catalog.>) counted.lrs_extract_have
