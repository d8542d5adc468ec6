-- The rows of the batch that is being inserted, for servers that run the SELECT of an INSERT … SELECT apart: they lose
-- the name by which it finds the rows elsewhere.
create function lrs_extract.batch_rows() returns setof record
  language c volatile parallel unsafe
  as 'MODULE_PATHNAME', 'lrs_extract_batch_rows';
comment on function lrs_extract.batch_rows() is 'Serves the INSERT of a pull into a distributed table, and no other statement';
