-- Raises an error where amcheck finds anything wrong in the target, its toast table and the indexes
-- of both. verify_heapam came with 14, gin_index_check with 18.
do $$
declare
    heap regclass;
    index record;
    corruption text;
    indexes int := 0;
begin
    for heap in
        select unnest(array[oid, reltoastrelid]) from pg_class where oid = 'pipeline.aidt_raw'::regclass
    loop
        if to_regproc('verify_heapam') is not null then
            execute 'select string_agg(c::text, '' '') from verify_heapam($1, check_toast => true) c'
            into corruption using heap;
            if corruption is not null then
                raise exception '% is corrupt: %', heap, corruption;
            end if;
        end if;
        for index in
            select i.indexrelid::regclass as name, am.amname as method
            from pg_index i
            join pg_class c on c.oid = i.indexrelid
            join pg_am am on am.oid = c.relam
            where i.indrelid = heap
        loop
            if index.method = 'btree' then
                perform bt_index_check(index.name, heapallindexed => true);
                perform bt_index_parent_check(index.name, heapallindexed => true);
                indexes := indexes + 1;
            elsif to_regproc('gin_index_check') is not null then
                execute 'select gin_index_check($1)' using index.name;
            end if;
        end loop;
    end loop;
    if indexes <> 5 then
        raise exception 'four indexes of the target and its toast table''s were to be checked, not %', indexes;
    end if;
end
$$;
