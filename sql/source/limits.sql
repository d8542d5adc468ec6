-- Limits in milliseconds, by name: those that the role or the database has of its own, where they are
-- stricter (0: none).
select pg_catalog.set_config(
         l.name,
         case when s.source in ('global', 'database', 'user', 'database user')
                   and s.setting::int8 between 1 and l.most
              then s.setting
              else l.most::pg_catalog.text end,
         {is_local})
  from (values {limits}) as l (name, most)
  join pg_catalog.pg_settings s on s.name = l.name
