-- $1: the pipeline's name. Asked again and again while a run goes on.
select p.server,
       p.source_table,
       p.timestamp_column,
       p.actor_column,
       p.statement_column,
       p.target_table,
       p.mapping::text as mapping,
       (extract(year from p.slice_width) * 12 + extract(month from p.slice_width))::int as width_months,
       extract(day from p.slice_width)::int as width_days,
       (extract(epoch from p.slice_width
          - make_interval(months => (extract(year from p.slice_width) * 12
                                     + extract(month from p.slice_width))::int,
                          days => extract(day from p.slice_width)::int)) * 1000000)::bigint as width_micros,
       p.on_bad_value,
       (extract(epoch from p.settle) * 1000000)::bigint as settle_micros,
       p.retries,
       (extract(epoch from p.retry_delay) * 1000000)::bigint as retry_delay_micros,
       p.max_bytes_per_second,
       p.pause_while,
       p.walk,
       p.pipeline_id::text as pipeline_id,
       p.on_conflict,
       p.max_rejects,
       p.time_zone,
       -- What a run takes as given from its start to its end: all but what is named here, which
       -- bears on the next plan only, or may change at any time.
       (to_jsonb(p) - '{slice_width,settle,retries,retry_delay,max_bytes_per_second,pause_while,walk,max_rejects,lookback}'::text[])::text as definition,
       p.xmin::text::bigint as written_by
  from lrs_extract.pipeline p
 where p.name = $1
