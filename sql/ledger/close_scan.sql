-- All blocks of the scan $1 are read.
update lrs_extract.heap_scan
   set state = 'done', closed_at = clock_timestamp()
 where scan_id = $1
