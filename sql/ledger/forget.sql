-- $1: pipeline, $2: from, $3: to
update lrs_extract.slice s
   set forgotten = s.forgotten || tstzrange($2, $3)
 where s.pipeline = $1
   and $2 < $3
   and s."to" >= $2
   and s."from" < $3
   and s.watermark is not null
   and s.watermark >= $2
