#!/usr/bin/env bash
# Runs every test on 13 and 16, and on 15 and 18 where they were found: unit
# tests, #[pg_test]s inside a server, and the tests of tests/ that start their
# own servers. The last line is `N passed, N failed, N skipped`.
#
#   test.sh [TESTNAME]          only tests with TESTNAME in their name
#   VERSIONS="16" test.sh       only on these versions, every test on each
#   CITUS_CONFIG=… test.sh      also with Citus: the pg_config of a server that has it
#
# Without VERSIONS, 13 and 16 run all integration tests; 15 and 18 run those of what
# differs between versions.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=servers.sh
. "$here/servers.sh"

required="13 16"
testname=${1:-}

"$here/install.sh"
# shellcheck source=/dev/null
. "$("$here/install.sh" --cache)/env.sh"
if [ -n "${VERSIONS:-}" ]; then
    required=$VERSIONS
else
    # Those with all the tests first: the others are built and tested beside them.
    VERSIONS=$required
    for version in $LRS_EXTRACT_VERSIONS; do
        case " $required " in
        *" $version "*) ;;
        *) VERSIONS+=" $version" ;;
        esac
    done
fi

cd "$here/../.."
export CARGO_TARGET_DIR=$PWD/target
# cargo-pgrx would build everything a second time, with a linker flag that this linker does without.
export CARGO_PGRX_DISABLE_GC_SECTIONS_WORKAROUND=1
# Servers inherit these through pgrx; backtraces would end up in errors' DETAIL.
unset RUST_BACKTRACE RUST_LIB_BACKTRACE
# The tests connect as this user where they don't run as postgres.
export USER=${USER:-$(id -un)}
# Not meant for the servers of the tests.
unset PGHOST PGHOSTADDR PGPORT PGUSER PGDATABASE PGPASSWORD PGSERVICE PGOPTIONS PGDATA PGSSLMODE

# The integration tests under way, by version: a shell each.
declare -A outside=()
# pgrx's own server keeps its clusters and its socket here.
pgdata=$(server_folder lrs-test)
logs=$(mktemp -d)

# The postmasters that work in a folder of ours, by their pid files.
stop_leftovers() {
    local pid_file pid
    for pid_file in "$pgdata"/*/postmaster.pid; do
        [ -f "$pid_file" ] || continue
        pid=$(head -n 1 "$pid_file")
        if [ "$(readlink "/proc/$pid/cwd")" = "${pid_file%/*}" ]; then
            echo "stopping the test server that was left running (pid $pid)" >&2
            kill -QUIT "$pid" 2>/dev/null || true
        fi
    done
}
clean_up() {
    trap '' HUP INT TERM
    local pid
    for pid in "${outside[@]}"; do
        pkill -TERM -P "$pid" 2>/dev/null || true
    done
    stop_leftovers
    rm -rf "$pgdata" "$logs"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# As root, servers run as postgres. A user who cannot write to the server's
# folders runs the tests as oneself by the same way, which installs by sudo. Prints
# no name where none is needed.
run_as() {
    local pg_config=$1
    if [ "$(id -u)" -eq 0 ]; then
        echo postgres
    elif [ ! -w "$("$pg_config" --pkglibdir)" ] || [ ! -w "$("$pg_config" --sharedir)/extension" ]; then
        echo "$USER"
    fi
}

# What `cargo pgrx test` sets for the tests inside the server, so that one cargo call can be told which
# test targets to build and run.
pgrx_environment() {
    export PGRX_FEATURES="pg$1 pg_test" PGRX_NO_DEFAULT_FEATURES=true PGRX_ALL_FEATURES=false
    export PGRX_BUILD_PROFILE=debug PGRX_NO_SCHEMA=false CARGO_PGRX_TEST_PGDATA=$pgdata
    # The first test inside would install the extension; install_into has done that.
    CARGO_PGRX=$(type -P true)
    export CARGO_PGRX
    local runas
    runas=$(run_as "$2")
    if [ -n "$runas" ]; then export CARGO_PGRX_TEST_RUNAS=$runas; fi
}

# Installs the extension with its tests inside.
install_into() {
    local version=$1 pg_config=$2 sudo=()
    [ -z "$(run_as "$pg_config")" ] || sudo=(--sudo)
    cargo pgrx install --test "${sudo[@]}" --pg-config "$pg_config" \
        --no-default-features --features "pg$version pg_test"
}

# Builds all, installs, and runs what needs no second server: one version at a time, for all share
# target/. Leaves the path of the integration tests' binary in $logs/binary$version. What uses the
# library uses the one that is installed (profile dev): of another profile, it would be built into the
# same file, by turns.
build_and_test_inside() {
    local version=$1 named="PG${1}_CONFIG" features
    features=(--no-default-features --features "pg$version pg_test")
    pgrx_environment "$version" "${!named}"
    install_into "$version" "${!named}" || return
    cargo test --profile dev "${features[@]}" --test integration --no-run --message-format json-render-diagnostics |
        sed -n 's/.*"target":{[^}]*"name":"integration".*"executable":"\([^"]*\)".*/\1/p' >"$logs/binary$version" || return
    local status=0
    cargo test --profile dev "${features[@]}" --test repository ${testname:+"$testname"} || status=$?
    cargo test "${features[@]}" --lib ${testname:+"$testname"} || status=$?
    return "$status"
}

has_extension() {
    local named="PG${1}_CONFIG"
    [ -f "$("${!named}" --sharedir)/extension/$2.control" ]
}

# Runs the integration tests, which start servers of their own: beside the builds, and beside those of
# other versions, for most of their time they wait. Those of modules named `alone` measure times.
test_outside() {
    local version=$1 part=()
    case " $required " in
    *" $version "*) ;;
    *)
        part=(every_row_once functions::verify functions::check target::stored_values target::partman source::tls
            operations::settings_mid_run locks_and_slots)
        # The newest also where its statistics and its standbys are asked.
        [ "$version" != "${VERSIONS##* }" ] ||
            part+=(functions::repair functions::report source::standby:: operations::monitoring)
        # What Debian has no packages of, where the server has it.
        ! has_extension "$version" citus || part+=(target::citus)
        ! has_extension "$version" timescaledb || part+=(target::hypertable)
        ;;
    esac
    if [ -n "$testname" ]; then
        "$(cat "$logs/binary$version")" "$testname"
    else
        "$(cat "$logs/binary$version")" --skip ::alone:: "${part[@]}"
    fi
}

# Runs the others, when nothing else runs.
test_alone() {
    case " $required " in
    *" $1 "*) [ -n "$testname" ] || "$(cat "$logs/binary$1")" ::alone:: --test-threads 1 ;;
    esac
}

# Sums a column of cargo's "test result: ok. 12 passed; 0 failed; …" lines.
total() {
    sed -n -E "s/^test result: .* ([0-9]+) $2;.*/\1/p" "$1" | awk '{ n += $1 } END { print n + 0 }'
}

passed=0
failed=0
skipped=0
broken=()
lines=()

# Prints what the integration tests of a version said, and adds its sums up.
report() {
    local version=$1 log=$logs/pg$1 status version_passed version_failed version_skipped line
    printf '\n== PostgreSQL %s: integration tests\n' "$version"
    cat "$logs/outside$version"
    cat "$logs/inside$version" "$logs/outside$version" >"$log"
    status=$(($(cat "$logs/inside$version.status") + $(cat "$logs/outside$version.status")))
    # A test that says so proved nothing, which the harness takes for passed.
    version_skipped=$(grep -c '^skipped: ' "$log" || true)
    version_passed=$(($(total "$log" passed) - version_skipped))
    version_failed=$(total "$log" failed)
    passed=$((passed + version_passed))
    failed=$((failed + version_failed))
    skipped=$((skipped + version_skipped))
    line="PostgreSQL $version: $version_passed passed, $version_failed failed, $version_skipped skipped,"
    line+=" $(cat "$logs/outside$version.seconds") s"
    if [ "$status" -ne 0 ] && [ "$version_failed" -eq 0 ]; then
        line+=" (the tests themselves could not be built or run)"
        broken+=("$version")
    fi
    case " $required " in
    *" $version "*)
        if [ "$version_passed" -eq 0 ]; then
            line+=" (no test ran)"
            broken+=("$version")
        fi
        ;;
    esac
    lines+=("$line")
}

# At most so many versions have their integration tests run at a time; the others are built meanwhile.
AT_A_TIME=2

# Waits for a place, and holds it by descriptor 9 until this shell ends.
take_place() {
    local n
    while :; do
        for n in $(seq "$AT_A_TIME"); do
            exec 9>"$logs/place$n"
            if flock -n 9; then return; fi
        done
        sleep 1
    done
}

for version in $VERSIONS; do
    begin=$SECONDS
    printf '\n== PostgreSQL %s: build, unit tests, tests inside the server\n' "$version"
    status=0
    (build_and_test_inside "$version") 2>&1 | tee "$logs/inside$version" || status=$?
    stop_leftovers
    echo "$status" >"$logs/inside$version.status"
    (
        status=0
        take_place
        test_outside "$version" 9>&- || status=$?
        echo "$status" >"$logs/outside$version.status"
        echo $((SECONDS - begin)) >"$logs/outside$version.seconds"
    ) >"$logs/outside$version" 2>&1 &
    outside[$version]=$!
done
for version in $VERSIONS; do
    wait "${outside[$version]}" || true
done
for version in $VERSIONS; do
    if ! test_alone "$version" >>"$logs/outside$version" 2>&1; then
        echo 1 >"$logs/outside$version.status"
    fi
    report "$version"
done

echo
printf '%s\n' "${lines[@]}"
printf '%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ] && [ ${#broken[@]} -eq 0 ]
