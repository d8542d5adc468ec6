-- Which instants the bounds of a period are, where one of them is midnight in the session's time zone and
-- not in UTC: it was written as a date. $1: from, $2: to
select format('the period is from %s to %s UTC: a date without a zone is midnight in the session''s time zone, %s',
              case when isfinite($1) then to_char($1 at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') else $1::text end,
              case when isfinite($2) then to_char($2 at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') else $2::text end,
              current_setting('TimeZone'))
 where exists (
         select from (values ($1), ($2)) b (bound)
          where isfinite(b.bound)
            and b.bound::time = '00:00'
            and (b.bound at time zone 'UTC')::time <> '00:00')
