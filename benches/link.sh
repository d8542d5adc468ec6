#!/usr/bin/env bash
# Measures what a long link costs: pull and one COPY pipe from a source (13) into a
# stage (16), over links of 1 Gbit/s with no delay and with 50 ms there and back
# (link.c, which passes bytes on late). Prints a table, and writes target/bench/link.md.
#
#   ROWS=200000      rows in the source
#   ROUNDS=3         rounds, by turns; medians are reported
#   RTT_MS=50        there and back
#   MBIT=1000        of the link, each direction
#   INSTALL=no       measure the lrs_extract that is installed, build nothing
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../tests/tools/servers.sh
. "$here/../tests/tools/servers.sh"
# shellcheck source=rig.sh
. "$here/rig.sh"

rows=${ROWS:-200000}
rounds=${ROUNDS:-3}
rtt=${RTT_MS:-50}
mbit=${MBIT:-1000}
rig_whole_number ROWS "$rows"
rig_whole_number ROUNDS "$rounds"
rig_whole_number RTT_MS "$rtt"
rig_whole_number MBIT "$mbit"
results=$(rig_results)
rig_needs

folder=$(server_folder lrs-link)
SERVERS_REMOVE=("$folder")
source_dir=$folder/source
stage_dir=$folder/stage
links=()
on_exit() {
    local status=$?
    trap - EXIT
    [ ${#links[@]} -eq 0 ] || kill "${links[@]}" 2>/dev/null || true
    servers_cleanup
    exit "$status"
}
servers_trap
trap on_exit EXIT

step "lrs_extract, the release build, and the link"
# shellcheck disable=SC2153 # it is in env.sh
rig_install "$PG16_CONFIG"
gcc -O2 -Wall -Wextra -pthread -o "$folder/link" "$here/link.c"

step "servers on sockets of their own"
# shellcheck disable=SC2153
rig_server "$source_dir" "$PG13_CONFIG" "autovacuum = off"
rig_server "$stage_dir" "$PG16_CONFIG" "autovacuum = off"
rig_fill "$source_dir" standard "$rows"
rig_stage "$stage_dir" "$source_dir"
# link NAME DELAY_US
link() {
    local socket=$folder/$1/.s.PGSQL.5432
    mkdir "$folder/$1"
    "$folder/link" "$socket" "$source_dir/.s.PGSQL.5432" "$2" "$mbit" &
    links+=($!)
    for _ in $(seq 100); do
        [ ! -S "$socket" ] || break
        sleep 0.05
    done
    # The stage's server runs as another user.
    chmod -R a+rwX "$folder/$1"
}
link near 0
link far "$((rtt * 500))"

on_stage() { server_psql "$stage_dir" -d stagedb "$@"; }
columns="id, user_id, object_type, \"statement\", \"timestamp\""
fields="(full_statement ->> 'id')::uuid, full_statement #>> '{actor,account,name}', full_statement #>> '{object,objectType}', full_statement, \"timestamp\""

# pull HOST JOBS
pull() {
    on_stage -At -c "set client_min_messages = warning" -c "alter server lrs_source options (set host '$1')" \
        -c "select count(*) from lrs_extract.pull('2025-03-01', '2025-08-01', 50000, jobs => $2)" >/dev/null
}
# pipe HOST
pipe() {
    "$(server_bin "$source_dir")/psql" -X -q -h "$1" -p 5432 -U postgres -d srcdb \
        -c "copy (select $fields from acid.lrs_statement_new where \"timestamp\" >= '2025-03-01' and \"timestamp\" < '2025-08-01') to stdout (format binary)" |
        on_stage -c "copy pipeline.aidt_raw ($columns) from stdin (format binary)"
}

# measure COMMAND…: seconds.
measure() {
    local begin
    on_stage -c "set client_min_messages = warning" -c "truncate pipeline.aidt_raw" \
        -c "select lrs_extract.forget('2025-03-01', '2025-08-01', 'aidt')" -c checkpoint >/dev/null
    begin=$EPOCHREALTIME
    "$@"
    awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f\n", b - a }'
}
median() { sort -n "$1" | awk '{ s[NR] = $1 } END { print s[int((NR + 1) / 2)] }'; }

contenders=("pull, jobs 1|pull|1" "pull, jobs 2|pull|2" "pull, jobs 4|pull|4" "one COPY pipe|pipe|")
step "measuring, $rounds round(s)"
for _ in $(seq "$rounds"); do
    for contender in "${contenders[@]}"; do
        IFS='|' read -r name command jobs <<<"$contender"
        for way in "$folder/near" "$folder/far"; do
            # shellcheck disable=SC2086 # jobs may be no word
            measure "$command" "$way" $jobs >>"$folder/$name.${way##*/}"
        done
    done
done
{
    echo "# A link of $rtt ms and $mbit Mbit/s"
    echo
    echo "$(nproc) cores, $rows rows, PostgreSQL 13 to 16, $rounds round(s), medians, revision $(rig_revision)."
    echo
    echo "| | no delay, s | $rtt ms, s | × |"
    echo "| --- | ---: | ---: | ---: |"
    for contender in "${contenders[@]}"; do
        name=${contender%%|*}
        near=$(median "$folder/$name.near") far=$(median "$folder/$name.far")
        awk -v n="$name" -v a="$near" -v b="$far" 'BEGIN { printf "| %s | %.2f | %.2f | %.2f |\n", n, a, b, b / a }'
    done
} | tee "$results/link.md"
printf '\nwritten: %s\n' "$results/link.md"
