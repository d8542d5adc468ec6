# shellcheck shell=bash
# Throwaway PostgreSQL servers, as functions to be sourced:
#
#   server_initdb DIR PG_CONFIG   make a cluster in DIR/data, its socket folder is DIR
#   server_start DIR              start it (log: DIR/log), on its socket only
#   server_stop DIR [MODE]        stop it; MODE as in pg_ctl: fast (default), smart, immediate
#   server_psql DIR [ARG …]       its own psql, as superuser postgres
#   server_remove DIR             stop it and delete DIR
#   servers_trap                  stop every server started here, whatever way the script ends
#
# A server refuses to run as root, so root's servers run as the user postgres
# and everybody else's as themselves. Nothing listens on TCP.

SERVERS_STARTED=()
SERVERS_REMOVE=()

# A socket's path is an array of 108 bytes in the kernel (sys/un.h).
SOCKET_LIMIT=107

servers_die() {
    printf 'error: %s\n' "$*" >&2
    return 1
}

# The user that servers run as.
server_user() {
    if [ "$(id -u)" -eq 0 ]; then
        echo postgres
    else
        id -un
    fi
}

# Runs a command as that user. RUST_BACKTRACE goes: a server that has it shows
# a backtrace in the DETAIL of every error that an extension in Rust reports.
as_server_user() {
    local clean=(env -u RUST_BACKTRACE -u RUST_LIB_BACKTRACE)
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid=postgres --regid=postgres --init-groups -- "${clean[@]}" "$@"
    else
        "${clean[@]}" "$@"
    fi
}

# A new folder for servers with a path short enough for a socket.
server_folder() {
    local folder
    folder=$(mktemp -d "/tmp/${1:-lrs}.XXXXXX") || return 1
    chmod 755 "$folder"
    [ "$(id -u)" -ne 0 ] || chown postgres: "$folder"
    echo "$folder"
}

server_bin() {
    local dir=$1
    "$(cat "$dir/pg_config")" --bindir
}

server_initdb() {
    local dir=$1 pg_config=$2 bin
    local socket="$dir/.s.PGSQL.5432"
    if [ "${#socket}" -gt "$SOCKET_LIMIT" ]; then
        servers_die "$dir is too long for a socket folder: $socket has ${#socket} bytes, the system takes $SOCKET_LIMIT"
        return 1
    fi
    bin=$("$pg_config" --bindir) || return 1
    mkdir -p "$dir" || return 1
    chmod 755 "$dir"
    [ "$(id -u)" -ne 0 ] || chown postgres: "$dir"
    printf '%s\n' "$pg_config" >"$dir/pg_config"
    # From a folder that the server's user may enter, or initdb complains.
    (cd "$dir" && as_server_user "$bin/initdb" -D "$dir/data" -U postgres --auth=trust \
        --encoding=UTF8 --locale=C) >"$dir/initdb.log" 2>&1 || {
        servers_die "initdb failed:"
        cat "$dir/initdb.log" >&2
        return 1
    }
    cat >>"$dir/data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$dir'
shared_buffers = 256MB
max_wal_size = 4GB
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%a '
CONF
}

server_start() {
    local dir=$1 bin
    bin=$(server_bin "$dir") || return 1
    # Known before the start, so that an interrupt during it stops the server too.
    SERVERS_STARTED+=("$dir")
    (cd "$dir" && as_server_user "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w -t 60 -s start) </dev/null || {
        servers_die "the server in $dir does not start; its log ends:"
        tail -n 20 "$dir/log" >&2
        return 1
    }
}

server_stop() {
    local dir=$1 mode=${2:-fast} bin other kept=()
    if [ -f "$dir/data/postmaster.pid" ]; then
        bin=$(server_bin "$dir") || return 1
        (cd "$dir" && as_server_user "$bin/pg_ctl" -D "$dir/data" -m "$mode" -w -t 60 -s stop) </dev/null ||
            (cd "$dir" && as_server_user "$bin/pg_ctl" -D "$dir/data" -m immediate -w -t 30 -s stop) </dev/null ||
            return 1
    fi
    for other in "${SERVERS_STARTED[@]}"; do
        [ "$other" = "$dir" ] || kept+=("$other")
    done
    SERVERS_STARTED=("${kept[@]}")
}

server_psql() {
    local dir=$1
    shift
    "$(server_bin "$dir")/psql" -X -q -h "$dir" -p 5432 -U postgres -d postgres -v ON_ERROR_STOP=1 "$@"
}

server_remove() {
    local dir=$1
    server_stop "$dir" immediate && rm -rf "$dir"
}

# Stops what is running and deletes the folders named in SERVERS_REMOVE.
servers_cleanup() {
    local dir
    # A second signal (make passes on those that the terminal sends to all) must
    # not cut this short.
    trap '' HUP INT TERM
    for dir in "${SERVERS_STARTED[@]}"; do
        server_stop "$dir" || servers_die "could not stop the server in $dir" || true
    done
    for dir in "${SERVERS_REMOVE[@]}"; do
        rm -rf "$dir"
    done
    SERVERS_REMOVE=()
}

servers_trap() {
    trap servers_cleanup EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}
