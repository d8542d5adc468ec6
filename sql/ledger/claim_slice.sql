-- $1: run_id, $2: worker. In the order of time, which is the order of the heap.
update lrs_extract.slice s
   set state = 'running', worker = $2, started_at = clock_timestamp()
 where (s.run_id, s.slice_no) = (
         select t.run_id, t.slice_no
           from lrs_extract.slice t
          where t.run_id = $1 and t.state = 'todo'
          order by t.slice_no
          limit 1
            for update skip locked)
returning s.slice_no
