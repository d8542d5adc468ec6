-- The text of a jsonb, in UTF-8 and in one order whatever the database's encoding. jsonb sorts keys
-- by their bytes, which are others in other encodings: a statement that is not ASCII alone is
-- written as its leaves, each with the path to it, in the order of these lines' UTF-8.
case
  when pg_catalog.octet_length(pg_catalog.convert_to(({value})::pg_catalog.text, 'UTF8'))
       operator(pg_catalog.=) pg_catalog.char_length(({value})::pg_catalog.text)
  then pg_catalog.convert_to(({value})::pg_catalog.text, 'UTF8')
  else (
    with recursive node(path, value) as (
      select ''::pg_catalog.text, {value}
      union all
      select node.path operator(pg_catalog.||) '/' operator(pg_catalog.||) child.step, child.value
        from node
       cross join lateral (
         select pg_catalog.to_json(member.key)::pg_catalog.text, member.value
           from pg_catalog.jsonb_each(
                  case when pg_catalog.jsonb_typeof(node.value) operator(pg_catalog.=) 'object'
                       then node.value else pg_catalog.jsonb_build_object() end) member
         union all
         select element.n::pg_catalog.text, element.value
           from pg_catalog.jsonb_array_elements(
                  case when pg_catalog.jsonb_typeof(node.value) operator(pg_catalog.=) 'array'
                       then node.value else pg_catalog.jsonb_build_array() end)
                with ordinality element(value, n)
       ) child(step, value)
    )
    select pg_catalog.string_agg(leaf.line, '\x0a' order by leaf.line)
      from (
        select pg_catalog.convert_to(
                 node.path operator(pg_catalog.||) ' ' operator(pg_catalog.||) node.value::pg_catalog.text,
                 'UTF8') as line
          from node
         where pg_catalog.jsonb_typeof(node.value) operator(pg_catalog.<>) all (array['object', 'array'])
            or node.value operator(pg_catalog.=) pg_catalog.jsonb_build_object()
            or node.value operator(pg_catalog.=) pg_catalog.jsonb_build_array()
      ) leaf
  )
end
