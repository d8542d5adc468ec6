#!/usr/bin/env bash
# What slows a load on the stage, measured: the same pull into the same target,
# one thing changed at a time, by turns. On throwaway servers (13 to 16). Prints
# a table of medians and writes target/bench/stage_care.md.
#
#   ROWS=100000   rows in the source
#   ROUNDS=3      rounds; each case runs once in each
#   ONLY=REGEX    only cases with such a name ("as advised" always runs)
#   INSTALL=no    measure the lrs_extract that is installed, build nothing
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../tests/tools/servers.sh
. "$here/../tests/tools/servers.sh"
# shellcheck source=rig.sh
. "$here/rig.sh"

rows=${ROWS:-100000}
rounds=${ROUNDS:-3}
rig_whole_number ROWS "$rows"
rig_whole_number ROUNDS "$rounds"
results=$(rig_results)
rig_needs

folder=$(server_folder lrs-care)
SERVERS_REMOVE=("$folder")
source_dir=$folder/source
stage_dir=$folder/stage
servers_trap

step "lrs_extract, the release build"
rig_install "$PG16_CONFIG"

step "servers on sockets of their own, with ${RIG_SETTINGS//$'\n'/, }"
# shellcheck disable=SC2153 # it is in env.sh
rig_server "$source_dir" "$PG13_CONFIG" "autovacuum = off"
rig_server "$stage_dir" "$PG16_CONFIG" "autovacuum = off"
rig_fill "$source_dir" standard "$rows"
rig_stage "$stage_dir" "$source_dir"

on_stage() { server_psql "$stage_dir" -d stagedb "$@"; }

# Name | batch | what is done before it | what undoes that. A function for triggers is there.
on_stage -c "create function pipeline.pass() returns trigger language plpgsql as 'begin return new; end'"
setting() { echo "alter system set $1; select pg_reload_conf();"; }
as_it_was="alter system reset all; select pg_reload_conf();"
cases=(
    "as advised|50000||"
    "batches of 5,000|5000||"
    "batches of 500|500||"
    "synchronous_commit = off, batches of 500|500|alter database stagedb set synchronous_commit = off;|alter database stagedb reset synchronous_commit;"
    "max_wal_size = 128MB: a checkpoint every few seconds|50000|$(setting "max_wal_size = '128MB'")|$as_it_was"
    "autovacuum at its most eager|50000|$(setting "autovacuum = on") $(setting "autovacuum_naptime = '1s'")|$as_it_was"
    "an index on (\"timestamp\")|50000|create index care on pipeline.aidt_raw (\"timestamp\");|drop index pipeline.care;"
    "an index on (id)|50000|create index care on pipeline.aidt_raw (id);|drop index pipeline.care;"
    "a GIN index on statement (jsonb_path_ops)|50000|create index care on pipeline.aidt_raw using gin (\"statement\" jsonb_path_ops);|drop index pipeline.care;"
    "a row trigger that does nothing (plpgsql)|50000|create trigger care before insert on pipeline.aidt_raw for each row execute function pipeline.pass();|drop trigger care on pipeline.aidt_raw;"
    "a statement trigger that does nothing|50000|create trigger care after insert on pipeline.aidt_raw for each statement execute function pipeline.pass();|drop trigger care on pipeline.aidt_raw;"
    "unlogged target (gone after a crash)|50000|alter table pipeline.aidt_raw set unlogged;|alter table pipeline.aidt_raw set logged;"
)

# one NAME BATCH BEFORE AFTER: a pull into the emptied target; "name|seconds|WAL in MB".
one() {
    local begin seconds wal
    on_stage -c "set client_min_messages = warning" \
        -c "select lrs_extract.forget('2025-03-01', '2025-08-01', 'aidt')" -c "truncate pipeline.aidt_raw" >/dev/null
    # Statement by statement: alter system takes no transaction.
    printf '%s\n' "$3" | on_stage >/dev/null
    sleep 1
    on_stage -c checkpoint
    wal=$(on_stage -At -c 'select pg_current_wal_insert_lsn()')
    begin=$EPOCHREALTIME
    on_stage -c "set client_min_messages = warning" \
        -c "select count(*) from lrs_extract.pull('2025-03-01', '2025-08-01', $2)" >/dev/null
    seconds=$(awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f", b - a }')
    wal=$(on_stage -At -c "select (pg_current_wal_insert_lsn() - '$wal') / 1000000")
    [ "$(on_stage -At -c 'select count(*) from pipeline.aidt_raw')" = "$rows" ] || {
        echo "error: $1: not $rows rows in the target" >&2
        return 1
    }
    on_stage -c "truncate pipeline.aidt_raw"
    printf '%s\n' "$4" | on_stage >/dev/null
    echo "$1|$seconds|$wal"
}

step "measuring, $rounds round(s)"
measured=$folder/measured
for round in $(seq "$rounds"); do
    for case in "${cases[@]}"; do
        IFS='|' read -r name batch before after <<<"$case"
        if [ -n "${ONLY:-}" ] && [ "$name" != "as advised" ] && ! [[ $name =~ $ONLY ]]; then
            continue
        fi
        one "$name" "$batch" "$before" "$after" >>"$measured"
        printf 'round %s: %s\n' "$round" "$(tail -n 1 "$measured" | tr '|' ' ')"
    done
done

step "results"
{
    echo "$rows statements of the sample, 13 to 16, jobs 2, $(nproc) cores; medians of $rounds round(s), by turns."
    echo "As advised: ${RIG_SETTINGS//$'\n'/, }, no index, no trigger, batches of 50,000."
    echo
    echo "| one thing changed | seconds | times | WAL, MB |"
    echo "| --- | ---: | ---: | ---: |"
    for case in "${cases[@]}"; do
        name=${case%%|*}
        awk -F'|' -v name="$name" '$1 == name' "$measured" | sort -t'|' -k2 -n |
            awk -F'|' '{ name = $1; s[NR] = $2; w[NR] = $3 }
                END { m = int((NR + 1) / 2); if (NR) printf "%s|%s|%s\n", name, s[m], w[m] }'
    done | awk -F'|' 'NR == 1 { base = $2 } { printf "| %s | %.2f | %.2f | %.0f |\n", $1, $2, $2 / base, $3 }'
} | tee "$results/stage_care.md"
printf '\nwritten: %s\n' "$results/stage_care.md"
