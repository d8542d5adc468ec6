#!/usr/bin/env python3
"""The loop that people write in an Airflow task: pages by keyset, rows through StringIO, COPY.

    airflow_loop.py SOURCE_CONNINFO STAGE_CONNINFO FROM TO

It is written as such tasks are, losing rows included: where a page ends within rows of one key, and
where the last row's actor is null, what follows at the same timestamp is skipped without a word.
"""

import io
import sys

import psycopg2

PAGE = 20000

FIRST = """
select (full_statement ->> 'id'),
       coalesce(full_statement #>> '{actor,account,name}', full_statement #>> '{actor,mbox}',
                full_statement #>> '{actor,mbox_sha1sum}', full_statement #>> '{actor,openid}'),
       coalesce(full_statement #>> '{object,objectType}', 'Activity'),
       full_statement::text, "timestamp"::text, actor_id
  from acid.lrs_statement_new
 where "timestamp" >= %(from)s and "timestamp" < %(to)s
"""
NEXT = FIRST + ' and ("timestamp", actor_id) > (%(timestamp)s, %(actor_id)s)'
ORDER = ' order by "timestamp", actor_id limit %(page)s'

def escaped(value):
    """COPY's text format: a backslash, a tab and line ends are escaped."""
    if value is None:
        return "\\N"
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def main():
    source_conninfo, stage_conninfo, begin, end = sys.argv[1:]
    source = psycopg2.connect(source_conninfo)
    stage = psycopg2.connect(stage_conninfo)
    bounds = {"from": begin, "to": end, "page": PAGE}
    query = FIRST
    while True:
        with source, source.cursor() as cursor:
            cursor.execute(query + ORDER, bounds)
            rows = cursor.fetchall()
        if not rows:
            break
        buffer = io.StringIO()
        for row in rows:
            buffer.write("\t".join(escaped(value) for value in row[:5]) + "\n")
        buffer.seek(0)
        with stage, stage.cursor() as cursor:
            cursor.copy_expert(
                'copy pipeline.aidt_raw (id, user_id, object_type, "statement", "timestamp") from stdin', buffer)
        bounds |= {"timestamp": rows[-1][4], "actor_id": rows[-1][5]}
        query = NEXT
        if len(rows) < PAGE:
            break
    source.close()
    stage.close()


if __name__ == "__main__":
    main()
