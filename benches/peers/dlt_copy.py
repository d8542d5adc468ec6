#!/usr/bin/env python3
"""dlt, reading Arrow batches from the source by ADBC or ConnectorX, into a table of its own on the stage.

    dlt_copy.py READER SOURCE_URL STAGE_URL FROM TO     READER: adbc, connectorx
    dlt_copy.py --check     is all of it there?
"""

import os
import sys
import tempfile

import adbc_driver_postgresql.dbapi
import connectorx
import dlt

# jsonb and uuid as text: neither reader has a type for them.
FIELDS = """
select (full_statement ->> 'id') as id,
       coalesce(full_statement #>> '{actor,account,name}', full_statement #>> '{actor,mbox}',
                full_statement #>> '{actor,mbox_sha1sum}', full_statement #>> '{actor,openid}') as user_id,
       coalesce(full_statement #>> '{object,objectType}', 'Activity') as object_type,
       full_statement::text as "statement", "timestamp"
  from acid.lrs_statement_new
 where "timestamp" >= '%s' and "timestamp" < '%s'
"""
ROWS_A_BATCH = 50_000


def by_adbc(url, query):
    with adbc_driver_postgresql.dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        yield from cursor.fetch_record_batch()


def by_connectorx(url, query):
    yield connectorx.read_sql(url, query, return_type="arrow").combine_chunks()


READERS = {"adbc": by_adbc, "connectorx": by_connectorx}


def main():
    if sys.argv[1:] == ["--check"]:
        return
    reader, source, stage, begin, end = sys.argv[1:]
    rows = dlt.resource(
        READERS[reader](source, FIELDS % (begin, end)),
        name="aidt_raw",
        write_disposition="replace",
        columns={"id": {"data_type": "text"}, "statement": {"data_type": "json"}},
    )
    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline(
            pipeline_name="bench",
            pipelines_dir=folder,
            dataset_name="dlt",
            destination=dlt.destinations.postgres(credentials=stage),
        )
        pipeline.run(rows, loader_file_format="csv").raise_on_failed_jobs()


if __name__ == "__main__":
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    main()
