set {local}enable_indexscan = off;
set {local}enable_bitmapscan = off;
reset enable_seqscan;
