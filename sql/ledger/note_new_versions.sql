-- $1: scan_id, $2: row versions met that are newer than the scan
update lrs_extract.heap_scan
   set new_versions = new_versions + $2
 where scan_id = $1
