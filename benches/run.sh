#!/usr/bin/env bash
# Measures pull against what people do today, on throwaway servers: a source
# (13), a stage (16), and a stage (15) for what needs contrib. Prints a table,
# and writes target/bench/results.md, results.json and a chart.
#
#   DATASET=all        standard, korean, small, several of them, or all
#   ROWS=300000        rows in the source
#   ROUNDS=3           rounds; each contender runs once in each, medians are reported
#   OUT=FILE           the chart (benches/results.svg; with less than a whole run
#                      target/bench/results.svg)
#   ONLY=REGEX         only contenders with such a name, as in results.json
#   STAGES=16          no stage 15, and so no postgres_fdw and dblink
#   PULL_SETTINGS=…    settings for pull alone: "lrs_extract.transform_threads = 2; …"
#   QUICK=1            30,000 rows, one round, fewer contenders: does it work?
#   INSTALL=no         measure the lrs_extract that is installed, build nothing
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../tests/tools/servers.sh
. "$here/../tests/tools/servers.sh"
# shellcheck source=rig.sh
. "$here/rig.sh"

quick=()
if [ "${QUICK:-0}" = 1 ]; then
    quick=(--quick)
    ROWS=${ROWS:-30000}
    ROUNDS=${ROUNDS:-1}
    DATASET=${DATASET:-standard}
fi
rows=${ROWS:-300000}
rounds=${ROUNDS:-3}
only=${ONLY:-}
STAGES=${STAGES:-}
pull_settings=${PULL_SETTINGS:-}
datasets=${DATASET:-all}
[ "$datasets" != all ] || datasets="standard korean small"
rig_whole_number ROWS "$rows"
rig_whole_number ROUNDS "$rounds"
for dataset in $datasets; do
    case $dataset in
    standard | korean | small) ;;
    *)
        echo "error: DATASET is standard, korean, small or all, not '$dataset'" >&2
        exit 2
        ;;
    esac
done
results=$(rig_results)
# The chart in the sources shows whole runs on the standard data only.
if [ ${#quick[@]} -eq 0 ] && [ -z "$only$STAGES$pull_settings" ] && [ "${datasets%% *}" = standard ]; then
    out=${OUT:-$here/results.svg}
else
    out=${OUT:-$results/results.svg}
fi

rig_needs

# Where a peer's Python is, made at need; nothing where it cannot be had.
peer_python() {
    local name=$1 check=$2 venv=$rig_cache/bench-$1
    if ! "$venv/bin/python" -c "$check" >/dev/null 2>&1; then
        rm -rf "$venv"
        python3 -m venv "$venv" >/dev/null 2>&1 &&
            "$venv/bin/pip" --quiet --disable-pip-version-check install --only-binary=:all: \
                -r "$here/peers/requirements-$name.txt" >"$results/pip-$name.log" 2>&1 &&
            "$venv/bin/python" -c "$check" >/dev/null 2>&1 || return 1
    fi
    echo "$venv/bin/python"
}

peers=()
if python=$(peer_python psycopg2 'import psycopg2'); then
    peers+=(--peer "psycopg2=$python")
else
    echo "psycopg2-binary cannot be had: going on without the Python loop" >&2
fi
if python=$(peer_python duckdb 'import duckdb, duckdb_extension_postgres_scanner') &&
    "$python" "$here/peers/duckdb_copy.py" --check >"$results/duckdb-check.log" 2>&1; then
    peers+=(--peer "duckdb=$python")
else
    echo "DuckDB and its postgres extension cannot be had: going on without" >&2
fi
if python=$(peer_python sling 'import sling_linux_amd64'); then
    # pip does not mark it as a program.
    chmod +x "$("$python" -c 'import sling_linux_amd64 as s; print(s.__path__[0])')/bin/sling-linux-amd64"
    peers+=(--peer "sling=$python")
else
    echo "sling cannot be had: going on without" >&2
fi
if python=$(peer_python dlt 'import dlt, connectorx, adbc_driver_postgresql, psycopg2'); then
    peers+=(--peer "dlt=$python")
else
    echo "dlt and its readers cannot be had: going on without" >&2
fi

folder=$(server_folder lrs-bench)
SERVERS_REMOVE=("$folder")
finished=no
on_exit() {
    local status=$?
    trap - EXIT
    trap '' HUP INT TERM
    if [ "$status" -gt 128 ]; then
        printf '\ninterrupted\n' >&2
    elif [ "$status" -ne 0 ] && [ "$finished" = no ]; then
        printf '\nerror: the benchmark failed (exit %s)\n' "$status" >&2
        local log
        for log in "$folder"/*/log; do
            [ -f "$log" ] || continue
            printf '%s ends:\n' "$log" >&2
            tail -n 5 "$log" >&2
        done
    fi
    servers_cleanup
    exit "$status"
}
servers_trap
trap on_exit EXIT

step "lrs_extract, the release build"
stages=(16)
configs=("$PG16_CONFIG")
if [ "$STAGES" = 16 ]; then
    echo "STAGES=16: the stage 15 is left out"
elif [ -n "${PG15_CONFIG:-}" ]; then
    stages+=(15)
    configs+=("$PG15_CONFIG")
else
    echo "PostgreSQL 15 is not here: going on without it"
fi
rig_install "${configs[@]}"
libraries=()
for i in "${!stages[@]}"; do
    libraries+=(--library "${stages[i]}=$(rig_library "${configs[i]}")")
done

# No autovacuum: it would fall on one contender and not on the next.
settings="$RIG_SETTINGS
autovacuum = off"
step "servers on sockets and loopback addresses of their own, with" "${settings//$'\n'/, }, synchronous_commit = on (the default)"
# shellcheck disable=SC2153 # it is in env.sh
# Addresses of their own, each with the default port: some clients know no sockets.
rig_server "$folder/source" "$PG13_CONFIG" "autovacuum = off" "listen_addresses = '127.77.13.1'"
stage_options=()
for i in "${!stages[@]}"; do
    rig_server "$folder/stage${stages[i]}" "${configs[i]}" "autovacuum = off" "listen_addresses = '127.77.${stages[i]}.1'"
    stage_options+=(--stage "${stages[i]}=$folder/stage${stages[i]}")
done

measured=()
for dataset in $datasets; do
    step "data set $dataset: $rows rows"
    rig_fill "$folder/source" "$dataset" "$rows"
    for i in "${!stages[@]}"; do
        stage=$folder/stage${stages[i]}
        rig_stage "$stage" "$folder/source"
        if [ "${stages[i]}" != 16 ] && [ -f "$("${configs[i]}" --sharedir)/extension/postgres_fdw.control" ] &&
            [ -f "$("${configs[i]}" --sharedir)/extension/dblink.control" ]; then
            server_psql "$stage" -d stagedb -v source_host="$folder/source" -f "$here/stage_contrib.sql"
        fi
    done
    step "measuring, $rounds round(s)"
    python3 "$here/measure.py" --source "$folder/source" "${stage_options[@]}" "${libraries[@]}" \
        "${peers[@]}" "${quick[@]}" --pull-settings "$pull_settings" \
        --dataset "$dataset" --rounds "$rounds" --only "$only" --out "$results/$dataset.json"
    measured+=("$results/$dataset.json")
done

step "stopping the servers"
servers_cleanup

step "results"
python3 "$here/report.py" --settings "${settings//$'\n'/, }, synchronous_commit = on${pull_settings:+; for pull alone: $pull_settings}" \
    --revision "$(rig_revision)$([ "${INSTALL:-yes}" != no ] || echo ' (INSTALL=no: what was installed)')" \
    --markdown "$results/results.md" --json "$results/results.json" "${measured[@]}"
python3 "$here/chart.py" "$results/results.json" "$out"
finished=yes
printf '\nwritten: %s, %s, %s\n' "$results/results.md" "$results/results.json" "$out"
