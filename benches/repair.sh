#!/usr/bin/env bash
# What a repair costs: of ROWS statements that were pulled, 50 came late in ten
# places, 5 are twice in the target, 5 were changed on the source. By counts, by
# hashes, against a pull of everything and against data-diff, which finds such
# differences and repairs none. On throwaway servers (13 to 16); the source is
# behind a counter of bytes. Writes target/bench/repair.md, too.
#
#   ROWS=300000   rows in the source
#   INSTALL=no    measure the lrs_extract that is installed, build nothing
#   DATA_DIFF=no  leave data-diff out (it is installed by pip into target/bench)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../tests/tools/servers.sh
. "$here/../tests/tools/servers.sh"
# shellcheck source=rig.sh
. "$here/rig.sh"

rows=${ROWS:-300000}
rig_whole_number ROWS "$rows"
results=$(rig_results)
rig_needs

folder=$(server_folder lrs-repair)
SERVERS_REMOVE=("$folder")
source_dir=$folder/source
stage_dir=$folder/stage
counter=
on_exit() {
    local status=$?
    trap - EXIT
    [ -z "$counter" ] || kill $counter 2>/dev/null || true
    servers_cleanup
    exit "$status"
}
servers_trap
trap on_exit EXIT

step "lrs_extract, the release build"
rig_install "$PG16_CONFIG"

step "servers on sockets of their own, with ${RIG_SETTINGS//$'\n'/, }"
# shellcheck disable=SC2153 # it is in env.sh
rig_server "$source_dir" "$PG13_CONFIG"
rig_server "$stage_dir" "$PG16_CONFIG"
rig_fill "$source_dir" standard "$rows"
rig_stage "$stage_dir" "$source_dir"

on_stage() { server_psql "$stage_dir" -d stagedb "$@"; }
on_source() { server_psql "$source_dir" -d srcdb "$@"; }

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
chmod 755 "$folder"
python3 "$here/byte_counter.py" "$source_dir" "$port" "$folder/bytes" &
counter=$!
for _ in $(seq 100); do
    [ -s "$folder/bytes" ] && break
    sleep 0.05
done
on_stage -c "alter server lrs_source options (set host '127.0.0.1', set port '$port')"

measured=$folder/measured

# timed NAME COMMAND …: "name|seconds|bytes|what it printed".
timed() {
    local name=$1 begin before said
    shift
    sleep 0.2
    before=$(cat "$folder/bytes")
    begin=$EPOCHREALTIME
    said=$("$@")
    awk -v a="$begin" -v b="$EPOCHREALTIME" -v name="$name" -v said="$said" -v before="$before" -v after="$(sleep 0.2; cat "$folder/bytes")" \
        'BEGIN { printf "%s|%.2f|%.3f|%s\n", name, b - a, (after - before) / 1000000, said }' | tee -a "$measured"
}

pull_all() {
    on_stage -At -c "set client_min_messages = warning" \
        -c "select count(*) || ' batches' from lrs_extract.pull('2025-03-01', '2025-08-01', 50000)"
}

repair() {
    on_stage -At -c "set client_min_messages = warning" \
        -c "select count(*) || ' ranges, ' || sum(pulled) || ' pulled, ' || sum(deleted) || ' deleted' from lrs_extract.repair('2025-03-01', '2025-08-01', $1)"
}

# Statements come late in ten places; some are twice in the target; some have changed.
disturb() {
    on_source -c "insert into acid.lrs_statement_new
        select \"timestamp\" + interval '1 microsecond' * n, jsonb_set(full_statement, '{id}', to_jsonb(md5(n || random()::text)::uuid)), actor_id
          from (select (random() * 0)::int + n as n, t.* from generate_series(1, 5) n,
                  (select distinct on (k) s.* from generate_series(0, 9) k,
                     lateral (select * from acid.lrs_statement_new s
                               where s.\"timestamp\" >= '2025-03-03'::timestamptz + k * interval '15 days'
                               order by s.\"timestamp\" limit 1) s) t) late" \
        -c "update acid.lrs_statement_new s set full_statement = full_statement || jsonb_build_object('changed', clock_timestamp())
             from (select distinct on (k) x.ctid, x.tableoid from generate_series(0, 4) k,
                     lateral (select ctid, tableoid, \"timestamp\" from acid.lrs_statement_new
                               where \"timestamp\" >= '2025-03-08'::timestamptz + k * interval '29 days'
                               order by \"timestamp\" limit 1) x) c
            where s.ctid = c.ctid and s.tableoid = c.tableoid" \
        -c "vacuum analyze acid.lrs_statement_new" >/dev/null
    on_stage -c "insert into pipeline.aidt_raw select * from pipeline.aidt_raw
                  where ctid in (select min(ctid) from pipeline.aidt_raw group by date_trunc('month', \"timestamp\") limit 5)" \
        -c "vacuum analyze pipeline.aidt_raw" >/dev/null
}

step "measuring"
on_source -c 'vacuum analyze acid.lrs_statement_new'
timed 'pull of everything' pull_all
on_stage -c "create index on pipeline.aidt_raw (\"timestamp\")" -c "vacuum analyze pipeline.aidt_raw" -c checkpoint
disturb
timed "repair, 'count', surplus 'delete'" repair "surplus => 'delete'"
timed "repair, 'hash', surplus 'delete'" repair "level => 'hash', surplus => 'delete'"
timed "repair, 'count', nothing differs" repair "level => 'count'"
timed "repair, 'hash', nothing differs" repair "level => 'hash'"
disturb
timed "repair, 'hash', of all that differs" repair "level => 'hash', surplus => 'delete'"

if [ "${DATA_DIFF:-yes}" != no ]; then
    step "data-diff"
    peer=$results/data-diff
    [ -x "$peer/bin/data-diff" ] || {
        python3 -m venv "$peer"
        "$peer/bin/pip" install -q -r "$here/peers/requirements-data-diff.txt"
    }
    disturb
    on_source -c "create or replace view acid.diffed as
        select full_statement ->> 'id' as id, \"timestamp\", full_statement::text as statement from acid.lrs_statement_new"
    on_stage -c "create or replace view pipeline.diffed as
        select id::text as id, \"timestamp\", statement::text as statement from pipeline.aidt_raw"
    stage_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    python3 "$here/byte_counter.py" "$stage_dir" "$stage_port" "$folder/stage_bytes" &
    other=$!
    counter="$counter $other"
    sleep 1
    diff_all() {
        # It wants a password in the address; none is asked for.
        "$peer/bin/data-diff" "postgresql://postgres:none@127.0.0.1:$port/srcdb" acid.diffed \
            "postgresql://postgres:none@127.0.0.1:$stage_port/stagedb" pipeline.diffed \
            -k id -c timestamp -c statement --threads 2 >"$folder/data-diff.out" 2>"$folder/data-diff.log" ||
            { tail -n 5 "$folder/data-diff.log" >&2; exit 1; }
        echo "$(wc -l <"$folder/data-diff.out") rows differ"
    }
    timed 'data-diff, finds alone' diff_all
fi

step "results"
{
    echo "$rows statements of the sample, 13 to 16, $(nproc) cores, revision $(rig_revision). Bytes are those of the source's connections."
    echo
    echo "| what | seconds | MB | |"
    echo "| --- | ---: | ---: | --- |"
    awk -F'|' '{ printf "| %s | %.2f | %.3f | %s |\n", $1, $2, $3, $4 }' "$measured"
} | tee "$results/repair.md"
printf '\nwritten: %s\n' "$results/repair.md"
