#!/usr/bin/env bash
# Runs the DAG beside this script for real: Airflow in a virtual environment of
# its own, a throwaway source (13) and stage (16), the DAG parsed, two nights
# run by `airflow dags test`, and both sides compared. Needs Python 3.11 and
# PyPI; too large for every day (some 140 packages), so CI leaves it out.
#
#   AIRFLOW=3       the major version, 2 or 3; requirements-airflowN.txt has it
#   VENV=folder     a virtual environment to make once and to use again
#   PYTHON=python3  which Python makes it
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tools=$here/../../tests/tools
# shellcheck source=../../tests/tools/servers.sh
. "$tools/servers.sh"

airflow=${AIRFLOW:-3}
requirements=$here/requirements-airflow$airflow.txt
if [ ! -f "$requirements" ]; then
    echo "error: AIRFLOW is 2 or 3, not '$airflow'" >&2
    exit 2
fi

step() { printf '\n== %s\n' "$*"; }
fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

folder=
on_exit() {
    local status=$?
    trap - EXIT
    trap '' HUP INT TERM
    if [ "$status" -ne 0 ] && [ -n "$folder" ]; then
        printf '\nerror: failed (exit %s); the last words of Airflow and of the stage:\n' "$status" >&2
        tail -n 40 "$folder/airflow.log" >&2 2>/dev/null || true
        tail -n 15 "$folder/stage/log" >&2 2>/dev/null || true
    fi
    servers_cleanup
    exit "$status"
}
servers_trap
trap on_exit EXIT

step "what is needed"
"$tools/install.sh"
# shellcheck source=/dev/null
. "$("$tools/install.sh" --cache)/env.sh"

step "Airflow $airflow"
folder=$(server_folder lrs-air)
SERVERS_REMOVE=("$folder")
venv=${VENV:-$folder/venv}
if [ ! -x "$venv/bin/airflow" ]; then
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
fi
export AIRFLOW_HOME=$folder/home
export AIRFLOW__CORE__DAGS_FOLDER=$here
export AIRFLOW__CORE__LOAD_EXAMPLES=False
# Nothing of a run goes into the checkout.
export PYTHONDONTWRITEBYTECODE=1
# Nor do the caller's own settings for libpq reach the tasks.
unset PGHOST PGHOSTADDR PGPORT PGUSER PGDATABASE PGPASSWORD PGSERVICE PGOPTIONS PGSSLMODE
"$venv/bin/airflow" version
"$venv/bin/airflow" db migrate >"$folder/airflow.log" 2>&1

step "lrs_extract, built and installed for 16"
"$tools/install-extension.sh" "$PG16_CONFIG" "${PROFILE:-release}"

step "a source (13) and a stage (16)"
source_dir=$folder/source
stage_dir=$folder/stage
server_initdb "$source_dir" "$PG13_CONFIG"
server_initdb "$stage_dir" "$PG16_CONFIG"
# Both ask for a password, as servers in life do.
sed -i '1i local all srcuser scram-sha-256' "$source_dir/data/pg_hba.conf"
sed -i '1i local all etl scram-sha-256' "$stage_dir/data/pg_hba.conf"
server_start "$source_dir"
server_start "$stage_dir"
password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')

on_source() { server_psql "$source_dir" -d srcdb "$@"; }
on_stage() { server_psql "$stage_dir" -d stagedb "$@"; }

server_psql "$source_dir" -c 'create database srcdb'
server_psql "$stage_dir" -c 'create database stagedb'
PSQL="$(server_bin "$source_dir")/psql" MONTHS=1 "$tools/sample_source.sh" 20000 \
    -h "$source_dir" -p 5432 -U postgres -d srcdb
on_source <<SQL
set password_encryption = 'scram-sha-256';
create role srcuser login password '$password';
grant usage on schema acid to srcuser;
grant select on all tables in schema acid to srcuser;
SQL
# Airflow's role is no superuser.
on_stage <<SQL
set password_encryption = 'scram-sha-256';
create role etl login password '$password';
create schema pipeline;
create table pipeline.aidt_raw (
    id uuid, user_id varchar, object_type varchar, "statement" jsonb, "timestamp" timestamptz,
    inserted_at timestamptz default current_timestamp, flag char(1) default 'N', partner_id text);
create extension lrs_extract;
create server lrs_source foreign data wrapper lrs_extract
  options (host '$source_dir', port '5432', dbname 'srcdb', sslmode 'disable');
create user mapping for etl server lrs_source options (user 'srcuser', password '$password');
grant usage on schema lrs_extract to etl;
grant execute on function lrs_extract.plan, lrs_extract.pull, lrs_extract.repair to etl;
grant usage on foreign server lrs_source to etl;
grant usage on schema pipeline to etl;
grant insert, select on pipeline.aidt_raw to etl;
grant select on all tables in schema lrs_extract to etl;
SQL
AIRFLOW_CONN_LRS_STAGE=$(
    printf '{"conn_type": "postgres", "host": "%s", "port": 5432, "schema": "stagedb", "login": "etl",
             "password": "%s", "extra": {"application_name": "airflow", "keepalives_idle": 60}}' \
        "$stage_dir" "$password"
)
export AIRFLOW_CONN_LRS_STAGE

step "the DAG is parsed without an error"
"$venv/bin/python" - "$here/lrs_pull.py" <<'PYTHON' 2>>"$folder/airflow.log"
import sys

try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    from airflow.models import DagBag

bag = DagBag(sys.argv[1])
assert not bag.import_errors, bag.import_errors
dag = bag.dags["lrs_pull"]
assert dag.catchup and dag.max_active_runs == 1
assert [task.task_id for task in dag.topological_sort()] == ["pull", "repair"]
print("parsed:", dag.dag_id)
PYTHON

# The run that comes on this date, at two; its day is the one before.
night() { "$venv/bin/airflow" dags test lrs_pull "$1T02:00:00+00:00" >"$folder/airflow.log" 2>&1; }
said() { grep -q -- "$1" "$folder/airflow.log" || fail "no '$1' in the log of Airflow"; }
# The rows of [$1, $2): of the source, then of the target and the rejects.
rows() {
    local period="\"timestamp\" >= '$1' and \"timestamp\" < '$2'"
    on_source -At -c "select count(*), sum(hashtextextended(full_statement::text, 0)::numeric)
                        from acid.lrs_statement_new where $period"
    on_stage -At -c "select count(*), sum(hashtextextended(\"statement\"::text, 0)::numeric)
                       from (select \"timestamp\", \"statement\" from pipeline.aidt_raw union all
                             select \"timestamp\", \"statement\"::jsonb from lrs_extract.reject) arrived
                      where $period"
}
expect_equal() {
    local lines
    mapfile -t lines < <(rows "$1" "$2")
    [ "${lines[0]%%|*}" -gt 0 ] || fail "the source has no row in [$1, $2)"
    [ "${lines[0]}" = "${lines[1]}" ] || fail "[$1, $2) differs: source ${lines[0]}, stage ${lines[1]}"
    echo "[$1, $2): ${lines[0]%%|*} rows on both sides"
}

step "two nights"
night 2025-03-11
grep -E '% done|Operator output' "$folder/airflow.log" || true
said '% done, 0 s left'
expect_equal 2025-03-10 2025-03-11
night 2025-03-12
expect_equal 2025-03-10 2025-03-12
[ "$(on_stage -At -c 'select count(*) from pipeline.aidt_raw where "timestamp" not between
    $$2025-03-10$$ and $$2025-03-12$$')" = 0 ] || fail "rows of other days came along"

step "a night after which a statement of the day before came late"
on_source -c "insert into acid.lrs_statement_new
    select \"timestamp\" + interval '1 microsecond', full_statement, actor_id from acid.lrs_statement_new
     where \"timestamp\" >= '2025-03-10' order by \"timestamp\" limit 3"
night 2025-03-12
expect_equal 2025-03-10 2025-03-12

step "a night that Airflow runs twice"
night 2025-03-12
said 'nothing to do'
expect_equal 2025-03-10 2025-03-12

step "passed, with Airflow $("$venv/bin/airflow" version 2>/dev/null | tail -n 1)"
