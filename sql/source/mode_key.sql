reset enable_indexscan;
reset enable_bitmapscan;
reset enable_seqscan;
