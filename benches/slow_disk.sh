#!/usr/bin/env bash
# Measures pull where the heap lies in another order than the key, on storage with
# a seek time: a source (13) that reads through slow_disk.c, with little memory of
# its own, and a stage (16) as it comes. Prints a table, and writes
# target/bench/slow_disk.md.
#
#   ROWS=60000        rows in the source
#   DISKS=…           seek in µs and queue, each "1000/32" (cached, 1 ms, 1 ms with 32 at once, 8 ms)
#   ONLY=REGEX        only contenders with such a name
#   INSTALL=no        measure the lrs_extract that is installed, build nothing
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../tests/tools/servers.sh
. "$here/../tests/tools/servers.sh"
# shellcheck source=rig.sh
. "$here/rig.sh"

rows=${ROWS:-60000}
rig_whole_number ROWS "$rows"
disks=${DISKS:-"0/1 1000/1 1000/32 8000/1"}
results=$(rig_results)
rig_needs

folder=$(server_folder lrs-slow)
SERVERS_REMOVE=("$folder")
source_dir=$folder/source
stage_dir=$folder/stage
servers_trap

step "lrs_extract, the release build, and the disk"
# shellcheck disable=SC2153 # it is in env.sh
rig_install "$PG16_CONFIG"
gcc -O2 -Wall -Wextra -shared -fPIC -o "$folder/slow_disk.so" "$here/slow_disk.c" -ldl
chmod 755 "$folder/slow_disk.so"

step "servers on sockets of their own"
# shellcheck disable=SC2153
rig_server "$source_dir" "$PG13_CONFIG" "autovacuum = off"
rig_server "$stage_dir" "$PG16_CONFIG" "autovacuum = off"
rig_fill "$source_dir" standard "$rows"
server_psql "$source_dir" -d srcdb -f "$here/random_heap.sql"
rig_stage "$stage_dir" "$source_dir"
echo "shared_buffers = 16MB" >>"$source_dir/data/postgresql.conf"

on_stage() { server_psql "$stage_dir" -d stagedb "$@"; }
columns="id, user_id, object_type, \"statement\", \"timestamp\""
fields="(full_statement ->> 'id')::uuid, full_statement #>> '{actor,account,name}', full_statement #>> '{object,objectType}', full_statement, \"timestamp\""

# pipe FROM TO: one binary COPY pipe.
pipe() {
    server_psql "$source_dir" -d srcdb -c "copy (select $fields from acid.lrs_statement_new where \"timestamp\" >= '$1' and \"timestamp\" < '$2') to stdout (format binary)" |
        server_psql "$stage_dir" -d stagedb -c "copy pipeline.aidt_raw ($columns) from stdin (format binary)"
}
pipes_by_month() {
    local month pids=()
    for month in 3 4 5 6 7; do
        pipe "2025-0$month-01" "2025-0$((month + 1))-01" &
        pids+=($!)
    done
    wait "${pids[@]}"
}
# pull_by WALK FROM TO
pull_by() {
    on_stage -c "update lrs_extract.pipeline set walk = '$1'"
    on_stage -At -c "set client_min_messages = warning" -c "select count(*) from lrs_extract.pull('$2', '$3', 50000)" >/dev/null
}

contenders=(
    "pull, auto|pull_by auto 2025-03-01 2025-08-01"
    "pull, walk = 'key'|pull_by key 2025-03-01 2025-08-01"
    "pull, walk = 'heap'|pull_by heap 2025-03-01 2025-08-01"
    "one COPY pipe|pipe 2025-03-01 2025-08-01"
    "COPY pipes by month|pipes_by_month"
    "pull of a day, auto|pull_by auto 2025-04-10 2025-04-11"
    "one COPY pipe, a day|pipe 2025-04-10 2025-04-11"
)

# measure COMMAND…: seconds on a source that has just been started.
measure() {
    local begin
    server_stop "$source_dir" >/dev/null
    if [ "$seek" = 0 ]; then
        server_start "$source_dir"
    else
        LD_PRELOAD=$folder/slow_disk.so SLOW_DISK_SEEK_US=$seek SLOW_DISK_QUEUE=$queue server_start "$source_dir"
    fi
    on_stage -c "set client_min_messages = warning" -c "truncate pipeline.aidt_raw" \
        -c "select lrs_extract.forget('2025-03-01', '2025-08-01', 'aidt')" -c checkpoint >/dev/null
    # The catalogs are no part of it.
    server_psql "$source_dir" -d srcdb -At -c "explain select * from acid.lrs_statement_new where \"timestamp\" < now()" >/dev/null
    begin=$EPOCHREALTIME
    "$@"
    awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'
}

step "measuring"
{
    echo "# A heap in disorder on slow storage"
    echo
    echo "$(nproc) cores, $rows rows in random heap order, PostgreSQL 13 with shared_buffers = 16MB to 16, revision $(rig_revision). Seconds; seek in µs / requests at a time."
    echo
    printf '| |'
    for disk in $disks; do printf ' %s |' "$disk"; done
    printf '\n| --- |'
    for disk in $disks; do printf ' ---: |'; done
    echo
} | tee "$results/slow_disk.md"
for contender in "${contenders[@]}"; do
    name=${contender%%|*}
    [[ $name =~ ${ONLY:-.} ]] || continue
    printf '| %s |' "$name" | tee -a "$results/slow_disk.md"
    for disk in $disks; do
        seek=${disk%/*} queue=${disk#*/}
        # shellcheck disable=SC2086 # words of a command
        printf ' %s |' "$(measure ${contender#*|})" | tee -a "$results/slow_disk.md"
    done
    echo | tee -a "$results/slow_disk.md"
done
printf '\nwritten: %s\n' "$results/slow_disk.md"
