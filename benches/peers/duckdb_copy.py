#!/usr/bin/env python3
"""DuckDB between two servers, by its postgres extension, as PyPI ships it.

    duckdb_copy.py SOURCE_CONNINFO STAGE_CONNINFO FROM TO
    duckdb_copy.py --check     is the extension there, and does it load?
"""

import importlib.resources
import sys

import duckdb
import duckdb_extension_postgres_scanner

FIELDS = """
select (full_statement ->> 'id')::uuid as id,
       coalesce(full_statement #>> '{actor,account,name}', full_statement #>> '{actor,mbox}',
                full_statement #>> '{actor,mbox_sha1sum}', full_statement #>> '{actor,openid}')::varchar as user_id,
       coalesce(full_statement #>> '{object,objectType}', 'Activity')::varchar as object_type,
       full_statement as "statement", "timestamp"
  from acid.lrs_statement_new
 where "timestamp" >= '%s' and "timestamp" < '%s'
"""


def connect():
    connection = duckdb.connect()
    folder = importlib.resources.files(duckdb_extension_postgres_scanner)
    file = folder / "extensions" / f"v{duckdb.__version__}" / "postgres_scanner.duckdb_extension"
    connection.execute(f"load '{file}'")
    return connection


def main():
    connection = connect()
    if sys.argv[1:] == ["--check"]:
        return
    source_conninfo, stage_conninfo, begin, end = sys.argv[1:]
    connection.execute(f"attach '{source_conninfo}' as source (type postgres, read_only)")
    connection.execute(f"attach '{stage_conninfo}' as stage (type postgres)")
    query = (FIELDS % (begin, end)).replace("'", "''")
    connection.execute(
        'insert into stage.pipeline.aidt_raw (id, user_id, object_type, "statement", "timestamp") '
        f"select * from postgres_query('source', '{query}')")


if __name__ == "__main__":
    main()
