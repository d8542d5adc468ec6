-- What a row of the last run cost in each quarter of its batches.
with last_run as (
  select b.*, ntile(4) over (order by b.batch_no) as quarter
    from lrs_extract.batch b
   where b.run_id = (select max(run_id) from lrs_extract.run) and b.rows > 0
)
select quarter,
       count(*) as batches,
       sum(rows) as rows,
       round((1000 * sum(elapsed_ms) / sum(rows))::numeric, 1) as us_a_row,
       round((1000 * sum(source_wait_ms) / sum(rows))::numeric, 1) as source_wait,
       round((1000 * sum(transform_ms) / sum(rows))::numeric, 1) as transform,
       round((1000 * sum(insert_ms) / sum(rows))::numeric, 1) as insert,
       round((1000 * sum(commit_ms) / sum(rows))::numeric, 1) as commit
  from last_run
 group by quarter
 order by quarter
