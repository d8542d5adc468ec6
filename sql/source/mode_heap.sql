-- A scan of the blocks that are named, and of no other.
set {local}enable_indexscan = off;
set {local}enable_bitmapscan = off;
set {local}enable_seqscan = off;
