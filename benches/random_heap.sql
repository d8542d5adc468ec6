-- Lays the source's heap in an order that has nothing to do with the key's. The same each time.
create table acid.kept as select * from acid.lrs_statement_new;
truncate acid.lrs_statement_new;
insert into acid.lrs_statement_new
select * from acid.kept order by hashtextextended("timestamp"::text || actor_id::text, 1);
drop table acid.kept;
vacuum (analyze) acid.lrs_statement_new;
checkpoint;
