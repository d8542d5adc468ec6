-- A scan of the blocks that are named, and of no other.
set enable_indexscan = off;
set enable_bitmapscan = off;
set enable_seqscan = off;
