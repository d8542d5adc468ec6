#!/usr/bin/env bash
# A pull by an installed lrs_extract: test.sh runs this inside its bare root. Two
# servers on sockets of their own, sample statements, the stage as in
# docker/stage.sql, a pull, both sides compared, drop extension. Exits non-zero
# unless they are equal.
#
#   pull.sh MAJOR [ROWS]
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tools=$here/../tests/tools
# shellcheck source=../tests/tools/servers.sh
. "$tools/servers.sh"

major=$1
rows=${2:-20000}
pg_config=/usr/lib/postgresql/$major/bin/pg_config

fail() {
    printf 'error: %s\n' "$*" >&2
    tail -n 15 "$folder/stage/log" >&2 2>/dev/null || true
    exit 1
}

servers_trap
folder=$(server_folder lrs)
SERVERS_REMOVE=("$folder")
for side in source stage; do
    server_initdb "$folder/$side" "$pg_config"
done
# The source asks its reader for a password, as a source in life does.
sed -i '1i local all srcuser scram-sha-256' "$folder/source/data/pg_hba.conf"
server_start "$folder/source"
server_start "$folder/stage"

on_source() { server_psql "$folder/source" -d srcdb "$@"; }
on_stage() { server_psql "$folder/stage" -d stagedb "$@"; }

LRS_SOURCE_PASSWORD=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
export LRS_SOURCE_PASSWORD
server_psql "$folder/source" -c 'create database srcdb'
server_psql "$folder/stage" -c 'create database stagedb'
PSQL=$(server_bin "$folder/source")/psql "$tools/sample_source.sh" "$rows" \
    -h "$folder/source" -p 5432 -U postgres -d srcdb
on_source -f "$here/docker/source.sql"
on_stage -v source_host="$folder/source" -f "$here/docker/stage.sql"

echo "extension: $(on_stage -At -c "select extname || ' ' || extversion from pg_extension where extname = 'lrs_extract'")"
[ "$(on_stage -At -c "select path from pg_extension_update_paths('lrs_extract')
                       where source = '0.1.0' and target = (select extversion from pg_extension
                                                            where extname = 'lrs_extract')")" ] ||
    fail "there is no way to update from 0.1.0"

pull="select count(*), coalesce(sum(rows), 0), coalesce(sum(rejected), 0)
        from lrs_extract.pull('2025-03-01', '2025-08-01', 5000)"
echo "pull (batches|rows|rejected): $(on_stage -At -c "$pull" 2>"$folder/notices" || cat "$folder/notices" >&2)"
[ "$(on_stage -At -c "$pull" 2>/dev/null)" = '0|0|0' ] || fail "the second pull found something to do"

# Statements as multisets, each by its canonical text; the rejects are rows that the
# source has and the target does not.
digest="select count(*) || ' ' || coalesce(md5(string_agg(one, '' order by one)), '')
          from (select md5(statement) from"
source=$(on_source -At -c "$digest (select full_statement::text from acid.lrs_statement_new) s (statement)) d (one)")
stage=$(on_stage -At -c "$digest (select statement::text from pipeline.aidt_raw
    union all select statement::jsonb::text from lrs_extract.reject) s (statement)) d (one)")
echo "source: $source"
echo "stage:  $stage"
[ "$source" = "$stage" ] && [ "${source% *}" -eq "$rows" ] || fail "NOT equal"
[ "$(on_stage -At -c "select count(*) from lrs_extract.verify('2025-03-01', '2025-08-01', level => 'keys')" \
    2>/dev/null)" = 0 ] || fail "NOT equal, says verify"
echo "equal"

on_stage -c 'set client_min_messages = warning' -c 'drop extension lrs_extract cascade'
# The schema stays, as that of any extension whose control file names one; empty.
left=$(on_stage -At -c "select string_agg(distinct classid::regclass::text, ', ') from (
    select classid from pg_depend where refclassid = 'pg_namespace'::regclass
                                    and refobjid = 'lrs_extract'::regnamespace
    union all select tableoid from pg_foreign_data_wrapper
    union all select tableoid from pg_foreign_server) o")
[ -z "$left" ] || fail "drop extension left objects in $left"
on_stage -c 'drop schema lrs_extract'
[ "$(on_stage -At -c 'select count(*) > 0 from pipeline.aidt_raw')" = t ] || fail "drop extension took the target's rows"
echo "dropped"
