-- Rows of the source by their timestamp and the hash of their statement, of those that are alike as many as are wanted.
-- $1: timestamps, $2: hashes, $3: how many of each, $4: the timestamps once more
select {columns}
  from (
    select t.*,
           w."lrs_extract wanted",
           pg_catalog.row_number() over (partition by w."lrs_extract at", w."lrs_extract hash") as "lrs_extract nth"
      from {relation} t
      join rows from (pg_catalog.unnest($1::pg_catalog.timestamptz[]), pg_catalog.unnest($2::pg_catalog.int8[]),
                      pg_catalog.unnest($3::pg_catalog.int8[]))
           w ("lrs_extract at", "lrs_extract hash", "lrs_extract wanted")
        on t.{timestamp} = w."lrs_extract at" and {hash} = w."lrs_extract hash"
     where t.{timestamp} = any ($4::pg_catalog.timestamptz[]){only}
  ) r
 where r."lrs_extract nth" <= r."lrs_extract wanted"
