set enable_indexscan = off;
set enable_bitmapscan = off;
reset enable_seqscan;
