#!/usr/bin/env bash
# A long pull, watched: does a row of the last quarter of the batches cost what
# one of the first did, and how much memory does a worker take, with and without
# one huge statement on the way? On throwaway servers (13 to 16), with autovacuum
# as it comes. Writes target/bench/long_run.md, too.
#
#   ROWS=600000   rows in the source
#   BATCH=20000   rows in a committed batch
#   JOBS=1        workers
#   HUGE_MB=30    size of the huge statement
#   INSTALL=no    measure the lrs_extract that is installed, build nothing
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../tests/tools/servers.sh
. "$here/../tests/tools/servers.sh"
# shellcheck source=rig.sh
. "$here/rig.sh"

rows=${ROWS:-600000}
batch=${BATCH:-20000}
jobs=${JOBS:-1}
huge=${HUGE_MB:-30}
rig_whole_number ROWS "$rows"
rig_whole_number BATCH "$batch"
rig_whole_number JOBS "$jobs"
rig_whole_number HUGE_MB "$huge"
results=$(rig_results)
rig_needs

folder=$(server_folder lrs-long)
SERVERS_REMOVE=("$folder")
source_dir=$folder/source
stage_dir=$folder/stage
on_exit() {
    local status=$?
    trap - EXIT
    trap '' HUP INT TERM
    if [ "$status" -gt 128 ]; then
        printf '\ninterrupted\n' >&2
    elif [ "$status" -ne 0 ] && [ -f "$stage_dir/log" ]; then
        printf '\nerror: the long run failed (exit %s); the stage'\''s log ends:\n' "$status" >&2
        tail -n 10 "$stage_dir/log" >&2
    fi
    servers_cleanup
    exit "$status"
}
servers_trap
trap on_exit EXIT

step "lrs_extract, the release build"
rig_install "$PG16_CONFIG"
library=$(rig_library "$PG16_CONFIG")

step "servers on sockets of their own, with ${RIG_SETTINGS//$'\n'/, }"
# shellcheck disable=SC2153 # it is in env.sh
rig_server "$source_dir" "$PG13_CONFIG"
rig_server "$stage_dir" "$PG16_CONFIG"
rig_fill "$source_dir" standard "$rows"
rig_stage "$stage_dir" "$source_dir"

on_stage() { server_psql "$stage_dir" -d stagedb "$@"; }
on_source() { server_psql "$source_dir" -d srcdb "$@"; }

# watched_pull HEADING: pulls everything into the emptied target; Markdown.
watched_pull() {
    local heading=$1 begin seconds expected got quarters
    on_stage -c "set client_min_messages = warning" \
        -c "select lrs_extract.forget('2025-03-01', '2025-08-01', 'aidt')" -c "truncate pipeline.aidt_raw" \
        -c checkpoint >/dev/null
    begin=$EPOCHREALTIME
    python3 "$here/memory.py" "$(head -n 1 "$stage_dir/data/postmaster.pid")" 'lrs_extract worker' "$folder/peaks" \
        "$(server_bin "$stage_dir")/psql" -X -q -At -v ON_ERROR_STOP=1 -h "$stage_dir" -p 5432 -U postgres -d stagedb \
        -c "set client_min_messages = warning" -c "select count(*) from lrs_extract.pull('2025-03-01', '2025-08-01', $batch, jobs => $jobs)" \
        >"$folder/batches"
    seconds=$(awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')
    expected=$(on_source -At -c 'select count(*) from acid.lrs_statement_new')
    got=$(on_stage -At -c 'select count(*) from pipeline.aidt_raw')
    if [ "$expected" != "$got" ]; then
        echo "error: the source has $expected rows, the target $got" >&2
        return 1
    fi
    if ! [ -s "$folder/peaks" ]; then
        echo "error: no process with the title 'lrs_extract worker' was seen" >&2
        return 1
    fi
    quarters=$(on_stage -At -F ' | ' -f "$here/quarters.sql")
    cat <<TEXT

## $heading

$got rows in $(cat "$folder/batches") batches of at most $batch, jobs $jobs: $seconds s.

| quarter | batches | rows | µs a row | of it source wait | transform | insert | commit |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
$(sed 's/^/| /; s/$/ |/' <<<"$quarters")

- Last quarter to the first, a row: $(awk -F ' [|] ' '{ cost[$1] = $4 } END { if (cost[1] > 0) printf "%.2f", cost[4] / cost[1]; else print "–" }' <<<"$quarters") (asked: at most 1.25).
- Peak of a worker's own memory: $(sort -k2 -n "$folder/peaks" | tail -n 1 | cut -d' ' -f2) MB over $(wc -l <"$folder/peaks") worker(s) (looked at each 100 ms).
TEXT
}

step "pulling"
{
    echo "# A long pull"
    echo
    echo "$(nproc) cores, PostgreSQL $(on_source -At -c 'show server_version' | cut -d' ' -f1) to" \
        "$(on_stage -At -c 'show server_version' | cut -d' ' -f1), revision $(rig_revision);" \
        "${RIG_SETTINGS//$'\n'/, }; autovacuum and synchronous_commit on."
} | tee "$results/long_run.md"
watched_pull "Without a huge statement (asked: about 64 MB a worker)" | tee -a "$results/long_run.md"
on_source -v megabytes="$huge" -f "$here/huge_statement.sql"
watched_pull "With one statement of $huge MB on the way (asked: under 250 MB a worker)" | tee -a "$results/long_run.md"
if [ "$(rig_library "$PG16_CONFIG")" != "$library" ]; then
    echo "error: another build of lrs_extract was installed meanwhile: the figures are of a mixture" >&2
    exit 1
fi
printf '\nwritten: %s\n' "$results/long_run.md"
