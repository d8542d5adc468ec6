#!/usr/bin/env bash
# Installs what package.sh makes into a bare Debian without Rust, and pulls there:
# the Debian package with what it depends on, a pull between two servers, both
# sides compared, drop extension, an upgrade of the package, its removal, which
# leaves nothing; then the tarball, by the commands of its INSTALL. Takes some
# minutes, and needs Debian, root or sudo, and the package server that this
# machine's apt is set up for. It packs for the PostgreSQL of that Debian.
#
#   ROWS=20000    statements in the source
#   OUT=folder    take what package.sh left there, instead of packing anew
#
# Servers run, and mounts are made, in namespaces of their own: they end with
# this script, whatever way it ends. Nothing of this machine changes, but that
# debootstrap is installed where it is missing.
set -euo pipefail
umask 022

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/.." && pwd)

step() { printf '\n== %s\n' "$*"; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

work=
child=
clean_up() {
    trap '' HUP INT TERM
    # unshare takes everything in its namespaces along, though not all at once: what
    # is on its way out may still write.
    if [ -n "$child" ]; then
        kill -KILL "$child" 2>/dev/null || true
        wait "$child" 2>/dev/null || true
    fi
    for _ in {1..20}; do
        [ -n "$work" ] && ! rm -rf --one-file-system "$work" 2>/dev/null || return 0
        sleep 0.5
    done
    echo "error: could not delete $work" >&2
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# In the background, or a signal would have to wait for its end.
run() {
    "$@" </dev/null &
    child=$!
    local status=0
    wait "$child" || status=$?
    child=
    return "$status"
}

# --- as the caller: the packages -----------------------------------------------

if [ "${1:-}" != --in-root ]; then
    command -v apt-get >/dev/null || die "this needs Debian: there is no apt-get here"
    major=$(apt-cache depends postgresql 2>/dev/null | sed -nE 's/^ *Depends: postgresql-([0-9]+)$/\1/p' | head -n 1)
    [ -n "$major" ] || die "apt knows no package postgresql: apt-get update"
    work=$(mktemp -d)
    chmod 755 "$work"
    if [ -z "${OUT:-}" ]; then
        step "packages for PostgreSQL $major"
        named="PG${major}_CONFIG"
        pg_config=${!named:-/usr/lib/postgresql/$major/bin/pg_config}
        [ -x "$pg_config" ] || die "there is no $pg_config: apt-get install postgresql-server-dev-$major"
        OUT=$work/packages "$here/package.sh" "$pg_config"
        OUT=$work/packages
    fi
    sudo=()
    [ "$(id -u)" -eq 0 ] || sudo=(sudo)
    # In its place, so that signals reach it; it deletes $work too.
    exec "${sudo[@]}" env ROWS="${ROWS:-20000}" "${BASH_SOURCE[0]}" --in-root "$major" "$OUT" "$work"
fi

# --- as root: the bare root -----------------------------------------------------

major=$2
packages=$3
work=$4
name=postgresql-$major-lrs-extract
debs=("$packages/${name}"_*.deb)
tarballs=("$packages"/lrs_extract-*-pg"$major"-linux-*.tar.gz)
{ [ ${#debs[@]} -eq 1 ] && [ -f "${debs[0]}" ] && [ ${#tarballs[@]} -eq 1 ] && [ -f "${tarballs[0]}" ]; } ||
    die "$packages has not one package and one tarball for $major"

step "sums"
(cd "$packages" && sha256sum --check "${debs[0]##*/}.sha256" "${tarballs[0]##*/}.sha256")
if command -v lintian >/dev/null; then
    # Nobody's address is made up: who packs for others names one in DEBEMAIL.
    lintian --allow-root --fail-on error,warning \
        --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog "${debs[0]}"
    echo "lintian: no errors, no warnings"
fi

step "a bare root"
command -v debootstrap >/dev/null ||
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -q install -y --no-install-recommends debootstrap
# shellcheck disable=SC1091
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
# From where this machine has its own packages.
# shellcheck disable=SC2016 # the dollars are apt's
mirror=$(apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' |
    sed -n "s/^$codename //p" | head -n 1)
[ -n "$mirror" ] || die "apt's own configuration names no server for $codename"
bare=$work/root
run unshare --mount --pid --fork --kill-child --mount-proc -- \
    debootstrap --variant=minbase "$codename" "$bare" "$mirror" >"$work/debootstrap.log" || {
    tail -n 15 "$work/debootstrap.log" >&2
    die "debootstrap failed"
}

# Runs a command in the root, with processes and mounts of its own; --offline
# leaves it no network.
in_root() {
    local net=()
    if [ "$1" = --offline ]; then
        net=(--net)
        shift
    fi
    # shellcheck disable=SC2016 # the dollars are the inner shell's
    run unshare --mount --pid --fork --kill-child "${net[@]}" -- bash -euc '
        mount -t proc proc "$1/proc"
        mkdir -p "$1/dev/shm"
        mount -t tmpfs -o mode=1777 tmpfs "$1/dev/shm"
        bare=$1
        shift
        exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
            chroot "$bare" "$@"' bash "$bare" "$@"
}
quietly() {
    "$@" >"$work/log" 2>&1 || {
        tail -n 15 "$work/log" >&2
        die "failed: $*"
    }
}

# No services are started, and no cluster is made: pull.sh makes its own.
printf '#!/bin/sh\nexit 101\n' >"$bare/usr/sbin/policy-rc.d"
chmod 755 "$bare/usr/sbin/policy-rc.d"
mkdir -p "$bare/etc/postgresql-common/createcluster.d" "$bare/lrs/tests" "$bare/lrs/packages"
echo 'create_main_cluster = false' >"$bare/etc/postgresql-common/createcluster.d/lrs.conf"
cp -r "$root/tests/tools" "$bare/lrs/tests/"
cp -r "$here" "$bare/lrs/packaging"
cp "${debs[0]}" "${tarballs[0]}" "$bare/lrs/packages/"
for program in cargo rustc cc; do
    ! in_root sh -c "command -v $program" || die "the root is not bare: it has $program"
done
du -sh --one-file-system "$bare" | sed 's/\t.*/ of Debian, without Rust and without a compiler/'

step "apt-get install ./${debs[0]##*/}"
deb=/lrs/packages/${debs[0]##*/}
quietly in_root apt-get update
quietly in_root apt-get install -y --no-install-recommends "$deb"
# shellcheck disable=SC2016 # the dollars are dpkg-query's
in_root dpkg-query -W -f '${Package} ${Version}: ${db:Status-Status}\n' "$name" "postgresql-$major"
for program in cargo rustc cc; do
    ! in_root sh -c "command -v $program" || die "the package brought $program along"
done

step "a pull"
in_root --offline /lrs/packaging/pull.sh "$major" "${ROWS:-20000}"

step "an upgrade of the package"
# The next version, which has a file more and a file less.
dpkg-deb --raw-extract "${debs[0]}" "$work/next"
sed -i 's/^Version: .*/&+next/' "$work/next/DEBIAN/control"
folder=$work/next/usr/share/postgresql/$major/extension
rm "$folder"/lrs_extract--0.1.0--*.sql
touch "$folder/lrs_extract--next.sql"
(cd "$work/next" && find usr -type f -print0 | xargs -0 md5sum >DEBIAN/md5sums)
dpkg-deb --root-owner-group --build "$work/next" "$bare/lrs/packages/next.deb" >/dev/null
quietly in_root apt-get install -y --no-install-recommends /lrs/packages/next.deb
# shellcheck disable=SC2016 # the dollars are dpkg-query's
in_root dpkg-query -W -f '${Package} ${Version}: ${db:Status-Status}\n' "$name"
folder=$bare/usr/share/postgresql/$major/extension
[ -f "$folder/lrs_extract--next.sql" ] || die "the new version's file is missing"
! compgen -G "$folder/lrs_extract--0.1.0--*.sql" >/dev/null || die "the old version's file is still there"
in_root dpkg --verify "$name"

step "its removal"
quietly in_root apt-get purge -y "$name"
left=$(find "$bare" -xdev \( -path "$bare/lrs" -o -path "$bare/proc" \) -prune -o -iname '*lrs*extract*' -print)
[ -z "$left" ] || die "it left $left"
! in_root dpkg-query -W "$name" >/dev/null 2>&1 || die "dpkg still knows it"
echo "nothing is left"

step "the tarball: ${tarballs[0]##*/}"
tar -xzf "${tarballs[0]}" -C "$bare/lrs/packages" --no-same-owner
tar_folder=${tarballs[0]##*/}
tar_folder=/lrs/packages/${tar_folder%.tar.gz}
# The commands that INSTALL shows, as they stand.
commands=$(sed -n 's/^  cp /cp /p' "$bare$tar_folder/INSTALL")
printf '%s\n' "$commands"
in_root sh -euc "PATH=/usr/lib/postgresql/$major/bin:\$PATH; cd $tar_folder; $commands"
in_root --offline /lrs/packaging/pull.sh "$major" 2000

printf '\npackages work on a bare root: installed, pulled, equal, upgraded, removed\n'
