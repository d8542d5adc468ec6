-- $1: run_id, $2: worker. In the order of time, which is the order of the heap; the end of a scan of a
-- heap only when its other slices are done.
update lrs_extract.slice s
   set state = 'running', worker = $2, started_at = clock_timestamp()
 where (s.run_id, s.slice_no) = (
         select t.run_id, t.slice_no
           from lrs_extract.slice t
          where t.run_id = $1
            and t.state = 'todo'
            and (t.scan_id is null
                 or t.to_block is not null
                 or not exists (
                      select from lrs_extract.slice other
                       where other.run_id = t.run_id
                         and other.scan_id = t.scan_id
                         and other.to_block is not null
                         and other.state <> 'done'))
          order by t.slice_no
          limit 1
            for update skip locked)
returning s.slice_no
