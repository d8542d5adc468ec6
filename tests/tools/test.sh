#!/usr/bin/env bash
# Runs every test on 13 and 16, and on 15 and 18 where they were found: unit
# tests, #[pg_test]s inside a server, and the tests of tests/ that start their
# own servers. The last line is `N passed, N failed, N skipped`.
#
#   test.sh [TESTNAME]          only tests with TESTNAME in their name
#   VERSIONS="16" test.sh       only on these versions
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
    VERSIONS=$LRS_EXTRACT_VERSIONS
fi

cd "$here/../.."
export CARGO_TARGET_DIR=$PWD/target
# Servers inherit these through pgrx; backtraces would end up in errors' DETAIL.
unset RUST_BACKTRACE RUST_LIB_BACKTRACE
# The tests connect as this user where they don't run as postgres.
export USER=${USER:-$(id -un)}
# Not meant for the servers of the tests.
unset PGHOST PGHOSTADDR PGPORT PGUSER PGDATABASE PGPASSWORD PGSERVICE PGOPTIONS PGDATA PGSSLMODE

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
    stop_leftovers
    rm -rf "$pgdata" "$logs"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# As root, servers run as postgres. A user who cannot write to the server's
# folders runs the tests as oneself by the same way, which installs by sudo.
run_as() {
    local pg_config=$1
    if [ "$(id -u)" -eq 0 ]; then
        echo "--runas postgres"
    elif [ ! -w "$("$pg_config" --pkglibdir)" ] || [ ! -w "$("$pg_config" --sharedir)/extension" ]; then
        echo "--runas $USER"
    fi
}

# Builds the extension with its tests inside and installs it. `cargo pgrx test` does the same once a
# test inside the server runs; those outside would meet an older one, or none, where TESTNAME leaves
# all of the former out.
install_into() {
    local pg_config=$1 sudo=()
    [ -z "$(run_as "$pg_config")" ] || sudo=(--sudo)
    cargo pgrx install --test "${sudo[@]}" --pg-config "$pg_config" \
        --no-default-features --features "pg$version pg_test"
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
for version in $VERSIONS; do
    printf '\n== PostgreSQL %s\n' "$version"
    named="PG${version}_CONFIG"
    log=$logs/pg$version
    read -r -a runas <<<"$(run_as "${!named}")"
    begin=$SECONDS
    status=0
    # cargo runs as the caller, so that target/ and the checkout may be root's alone.
    {
        install_into "${!named}" &&
            cargo pgrx test "${runas[@]}" --pgdata "$pgdata" --no-default-features \
                "pg$version" ${testname:+"$testname"}
    } 2>&1 | tee "$log" || status=$?
    stop_leftovers
    # A test that says so proved nothing, which the harness takes for passed.
    version_skipped=$(grep -c '^skipped: ' "$log" || true)
    version_passed=$(($(total "$log" passed) - version_skipped))
    version_failed=$(total "$log" failed)
    passed=$((passed + version_passed))
    failed=$((failed + version_failed))
    skipped=$((skipped + version_skipped))
    line="PostgreSQL $version: $version_passed passed, $version_failed failed, $version_skipped skipped, $((SECONDS - begin)) s"
    if [ "$status" -ne 0 ] && [ "$version_failed" -eq 0 ]; then
        line+=" (cargo pgrx test itself failed, exit $status)"
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
done

echo
printf '%s\n' "${lines[@]}"
printf '%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ] && [ ${#broken[@]} -eq 0 ]
