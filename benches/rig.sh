# shellcheck shell=bash
# What run.sh and long_run.sh share, as functions to be sourced after
# tests/tools/servers.sh: throwaway servers with the settings of a measurement, a
# source filled with a data set, a stage with the extension.

rig_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
rig_tools=$rig_here/../tests/tools

# The same for source and stages. Nothing that a careful administrator would
# not set: every commit is flushed, and full pages are written.
RIG_SETTINGS="shared_buffers = 512MB
max_wal_size = 8GB
checkpoint_timeout = 30min
jit = off"

step() { printf '\n== %s\n' "$*"; }

# rig_results: the folder that results go to, made at need.
rig_results() {
    mkdir -p "$rig_here/../target/bench"
    (cd "$rig_here/../target/bench" && pwd)
}

# rig_needs: installs what is missing; the versions found are variables then.
rig_needs() {
    step "what is needed"
    "$rig_tools/install.sh"
    rig_cache=$("$rig_tools/install.sh" --cache)
    # shellcheck source=/dev/null
    . "$rig_cache/env.sh"
    # Not meant for the servers here.
    unset PGHOST PGHOSTADDR PGPORT PGUSER PGDATABASE PGPASSWORD PGSERVICE PGOPTIONS PGDATA PGSSLMODE
    # No __pycache__ in the sources.
    export PYTHONDONTWRITEBYTECODE=1
}

rig_whole_number() {
    local name=$1 value=$2
    case $value in
    '' | *[!0-9]* | 0)
        echo "error: $name is a whole number above 0, not '$value'" >&2
        exit 2
        ;;
    esac
}

# rig_install PG_CONFIG …: the release build of what is checked out, or, with
# INSTALL=no, whatever is installed there now.
rig_install() {
    local pg_config
    for pg_config in "$@"; do
        if [ "${INSTALL:-yes}" = no ]; then
            [ -f "$("$pg_config" --pkglibdir)/lrs_extract.so" ] || {
                echo "error: INSTALL=no, but lrs_extract is not installed for $("$pg_config" --version)" >&2
                return 1
            }
        else
            "$rig_tools/install-extension.sh" "$pg_config" || {
                echo "error: lrs_extract could not be built for $("$pg_config" --version)" >&2
                return 1
            }
        fi
    done
}

# rig_library PG_CONFIG: a hash of the library that is installed. Whoever runs the
# tests meanwhile installs a build of their own over it.
rig_library() {
    sha256sum "$("$1" --pkglibdir)/lrs_extract.so" | cut -d' ' -f1
}

# rig_server DIR PG_CONFIG [SETTING …]
rig_server() {
    local dir=$1 pg_config=$2
    shift 2
    server_initdb "$dir" "$pg_config"
    printf '%s\n' "$RIG_SETTINGS" "$@" >>"$dir/data/postgresql.conf"
    server_start "$dir"
}

# rig_fill DIR DATASET ROWS: database srcdb in the source in DIR, made anew.
rig_fill() {
    local dir=$1 dataset=$2 rows=$3
    server_psql "$dir" -c 'set client_min_messages = warning' -c 'drop database if exists srcdb' -c 'create database srcdb'
    case $dataset in
    standard)
        # No odd statements: what the peers cannot cast would end them.
        ODD=0 PSQL="$(server_bin "$dir")/psql" "$rig_tools/sample_source.sh" "$rows" \
            -h "$dir" -p 5432 -U postgres -d srcdb
        ;;
    korean | small)
        printf 'adding %s statements (%s) …\n' "$rows" "$dataset"
        server_psql "$dir" -d srcdb -v rows="$rows" -f "$rig_here/source_$dataset.sql"
        ;;
    *)
        echo "error: DATASET is standard, korean or small, not '$dataset'" >&2
        return 2
        ;;
    esac
    server_psql "$dir" -c checkpoint
}

# rig_stage DIR SOURCE_DIR: database stagedb with the target and the extension.
rig_stage() {
    local dir=$1 source_dir=$2
    server_psql "$dir" -c 'set client_min_messages = warning' -c 'drop database if exists stagedb' -c 'create database stagedb'
    server_psql "$dir" -d stagedb -v source_host="$source_dir" -f "$rig_here/stage.sql"
}

# What the head of a report says about the checkout, if it is one.
rig_revision() {
    git -C "$rig_here" describe --always --dirty 2>/dev/null || echo unknown
}
