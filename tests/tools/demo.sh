#!/usr/bin/env bash
# A whole pull on throwaway servers: a source (13) with five months of sample
# statements, a stage (16) with the extension, plan, pull, pull again, and both
# sides counted. Exits non-zero unless they are equal.
#
#   ROWS=200000   statements in the source
#   BATCH=50000   rows in a committed batch
#   KEEP=1        leave both servers up, and say how to reach and to stop them
#
#   demo.sh stop  stop what KEEP=1 left up, and delete it
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=servers.sh
. "$here/servers.sh"

rows=${ROWS:-200000}
batch=${BATCH:-50000}
keep=${KEEP:-0}
# Where KEEP=1 writes the folder of its servers.
kept_list=$("$here/install.sh" --cache)/demo.kept

step() { printf '\n== %s\n' "$*"; }

stop_kept() {
    local folder
    if [ ! -s "$kept_list" ]; then
        echo "no demo servers are up"
        return 0
    fi
    while read -r folder; do
        [ -d "$folder" ] || continue
        server_stop "$folder/source"
        server_stop "$folder/stage"
        rm -rf "$folder"
        echo "stopped and deleted $folder"
    done <"$kept_list"
    rm -f "$kept_list"
}

case ${1:-} in
'') ;;
stop)
    stop_kept
    exit
    ;;
*)
    echo "usage: [ROWS=…] [BATCH=…] [KEEP=1] ${0##*/} [stop]" >&2
    exit 2
    ;;
esac
for number in "$rows" "$batch"; do
    case $number in
    '' | *[!0-9]* | 0)
        echo "error: ROWS and BATCH are whole numbers above 0, not '$number'" >&2
        exit 2
        ;;
    esac
done

folder=
finished=no
on_exit() {
    local status=$?
    trap - EXIT
    trap '' HUP INT TERM
    # A failed run keeps nothing, whatever KEEP says, but shows what the stage logged.
    if [ "$status" -ne 0 ] && [ -n "$folder" ] && [ "$finished" = no ]; then
        printf '\nerror: the demo failed (exit %s); the stage'\''s log ends:\n' "$status" >&2
        tail -n 15 "$folder/stage/log" >&2 2>/dev/null || true
        SERVERS_REMOVE=("$folder")
    fi
    servers_cleanup
    exit "$status"
}
servers_trap
trap on_exit EXIT

step "what is needed"
"$here/install.sh"
# shellcheck source=/dev/null
. "$("$here/install.sh" --cache)/env.sh"

step "lrs_extract, built and installed for 16"
"$here/install-extension.sh" "$PG16_CONFIG"

step "a source (13) and a stage (16), each on a socket of its own"
folder=$(server_folder lrs-demo)
[ "$keep" = 1 ] || SERVERS_REMOVE=("$folder")
source_dir=$folder/source
stage_dir=$folder/stage
server_initdb "$source_dir" "$PG13_CONFIG"
server_initdb "$stage_dir" "$PG16_CONFIG"
# The source asks its reader for a password, as a source in life does.
sed -i '1i local all srcuser scram-sha-256' "$source_dir/data/pg_hba.conf"
server_start "$source_dir"
server_start "$stage_dir"
password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')

on_source() { server_psql "$source_dir" -d srcdb "$@"; }
on_stage() { server_psql "$stage_dir" -d stagedb "$@"; }

server_psql "$source_dir" -c 'create database srcdb'
server_psql "$stage_dir" -c 'create database stagedb'

step "the source: $rows statements"
PSQL="$(server_bin "$source_dir")/psql" "$here/sample_source.sh" "$rows" \
    -h "$source_dir" -p 5432 -U postgres -d srcdb
on_source <<SQL
set password_encryption = 'scram-sha-256';
create role srcuser login password '$password';
grant usage on schema acid to srcuser;
grant select on all tables in schema acid to srcuser;
\pset footer off
select count(*) as statements, count(*) - count(actor_id) as null_actors,
       count(*) - count(distinct "timestamp") as share_a_timestamp,
       pg_size_pretty(sum(octet_length(full_statement::text))) as json_text,
       (select pg_size_pretty(sum(pg_total_relation_size(inhrelid)))
          from pg_inherits where inhparent = 'acid.lrs_statement_new'::regclass) as on_disk
  from acid.lrs_statement_new;
SQL

step "the stage: the target, the extension, the server, the user mapping"
setup=$(
    cat <<SQL
create schema pipeline;
create table pipeline.aidt_raw (
    id uuid, user_id varchar, object_type varchar, "statement" jsonb, "timestamp" timestamptz,
    inserted_at timestamptz default current_timestamp, flag char(1) default 'N', partner_id text);
create extension lrs_extract;
create server lrs_source foreign data wrapper lrs_extract
  options (host '$source_dir', port '5432', dbname 'srcdb', sslmode 'disable');
create user mapping for current_user server lrs_source options (user 'srcuser', password '…');
SQL
)
printf '%s\n' "$setup"
on_stage <<<"${setup/…/$password}"

pull="select lrs_extract.pull('2025-03-01', '2025-08-01', $batch);"

# Streams: psql's FETCH_COUNT shows a row when its batch is committed.
show() {
    printf 'stagedb=# %s\n' "$1"
    on_stage <<SQL
set timezone = 'UTC';
\pset footer off
\set FETCH_COUNT ${2:-0}
\timing on
$1
SQL
}

step "plan"
show "select * from lrs_extract.plan('2025-03-01', '2025-08-01');"

step "pull: a row a committed batch"
show "$pull" 1

step "pull again: nothing to do"
batches=$(on_stage -At -c 'select count(*) from lrs_extract.batch')
show "$pull" 1
again=$(($(on_stage -At -c 'select count(*) from lrs_extract.batch') - batches))

step "the run"
show "\\x on
select * from lrs_extract.runs;"

step "both sides"
source_rows=$(on_source -At -c 'select count(*) from acid.lrs_statement_new')
target_rows=$(on_stage -At -c 'select count(*) from pipeline.aidt_raw')
rejected_rows=$(on_stage -At -c 'select count(*) from lrs_extract.reject')
on_stage -c '\pset footer off' -c \
    "select column_name, sqlstate, count(*) as rejected, min(message) as for_instance
       from lrs_extract.reject group by 1, 2 order by 1, 2"
printf 'source rows %s, target rows %s, rejected %s\n' "$source_rows" "$target_rows" "$rejected_rows"

if [ "$source_rows" -ne $((target_rows + rejected_rows)) ]; then
    echo "NOT equal: source rows and target rows + rejects differ by" \
        "$((source_rows - target_rows - rejected_rows))"
    finished=yes
    SERVERS_REMOVE=("$folder")
    exit 1
fi
if [ "$again" -ne 0 ]; then
    echo "NOT done: the second pull found $again batches to do"
    finished=yes
    SERVERS_REMOVE=("$folder")
    exit 1
fi
echo "equal"
finished=yes

if [ "$keep" = 1 ]; then
    # They outlive this script: nothing for servers_cleanup to stop.
    SERVERS_STARTED=()
    printf '%s\n' "$folder" >>"$kept_list"
    cat <<TEXT

Both servers stay up (KEEP=1). To reach them:

  source  $(server_bin "$source_dir")/psql -h $source_dir -p 5432 -U postgres -d srcdb
  stage   $(server_bin "$stage_dir")/psql -h $stage_dir -p 5432 -U postgres -d stagedb

To stop and delete them:

  make stop
TEXT
fi
