-- Where the look back of a pipeline begins. $1: the pipeline's name, $2: where its period begins
select (($2 at time zone 'UTC') - p.lookback) at time zone 'UTC' as "from"
  from lrs_extract.pipeline p
 where p.name = $1
   and p.lookback is not null
   and isfinite($2)
