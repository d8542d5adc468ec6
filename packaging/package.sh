#!/usr/bin/env bash
# Packs lrs_extract for one server, to be installed on machines without Rust: a
# Debian package with Debian's names and folders, a tarball with lib/ and
# extension/, and their sha256 sums.
#
#   package.sh PG_CONFIG
#
#   OUT=folder      where they go (target/packages)
#   REVISION=1      the Debian revision
#   DEBFULLNAME, DEBEMAIL   who packs, as Debian's tools have it
#
# Where there is no dpkg-deb, only the tarball is made. The same commit, in the same
# folder of the same machine, gives the same bytes: times are the commit's (SOURCE_DATE_EPOCH
# names others), and the library holds no path of this machine.
set -euo pipefail
umask 022
export LC_ALL=C.UTF-8

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/.." && pwd)
tools=$root/tests/tools

say() { printf '%s\n' "package: $*"; }
die() {
    printf '%s\n' "package: error: $*" >&2
    exit 1
}

pg_config=${1:-}
if [ $# -ne 1 ] || ! [ -x "$(command -v "$pg_config")" ]; then
    echo "usage: ${0##*/} PG_CONFIG, the path of the server's pg_config" >&2
    exit 2
fi
pg_config=$(command -v "$pg_config")
major=$("$pg_config" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/')
[ -f "$("$pg_config" --includedir-server)/postgres.h" ] ||
    die "$pg_config is a PostgreSQL $major without server headers; Debian has them in postgresql-server-dev-$major"

with_deb=yes
command -v dpkg-deb >/dev/null || with_deb=no
if [ "$with_deb" = yes ] && ! command -v dpkg-gencontrol >/dev/null; then
    die "dpkg-deb is here without dpkg-shlibdeps and dpkg-gencontrol: apt-get install dpkg-dev"
fi

version=$(sed -n 's/^version = "\(.*\)"$/\1/p;/^version/q' "$root/Cargo.toml")
out=${OUT:-$root/target/packages}
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    # Without git (an unpacked archive), the day of the release.
    SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct 2>/dev/null) ||
        SOURCE_DATE_EPOCH=$(date -u +%s -d "$(sed -n "s/^## \[$version\] - //p" "$root/CHANGELOG.md")")
fi
export SOURCE_DATE_EPOCH

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# --- the extension -----------------------------------------------------------

# Fills $work/lib and $work/extension, whatever folders the pg_config names.
build() {
    "$tools/install.sh" --tools
    # shellcheck source=/dev/null
    . "$("$tools/install.sh" --cache)/env.sh"
    # One that pgrx was not told of; see install-extension.sh.
    if ! grep -qsxF "pg$major = \"$pg_config\"" "$PGRX_HOME/config.toml"; then
        export PGRX_PG_CONFIG_PATH=$pg_config
    fi
    # What a panic or a C file says of its place is a path: without this machine's
    # folders. Of several that match, the last counts. The flags are in place of
    # RUSTFLAGS: what is packed is for other machines than this one.
    local target=${CARGO_TARGET_DIR:-$root/target} cargo_home=${CARGO_HOME:-$HOME/.cargo} flags
    flags=("--remap-path-prefix=$root=lrs_extract" "--remap-path-prefix=$target=target"
        "--remap-path-prefix=$cargo_home=cargo")
    CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && printf '%s' "${flags[*]}")
    export CARGO_ENCODED_RUSTFLAGS
    export CFLAGS="${CFLAGS:-} ${flags[*]/#--remap-path-prefix/-ffile-prefix-map}"
    # build.rs does what the workaround is for.
    export CARGO_PGRX_DISABLE_GC_SECTIONS_WORKAROUND=1
    (cd "$root" && cargo pgrx package --pg-config "$pg_config" --out-dir "$work/built" \
        --no-default-features --features "pg$major")

    mkdir "$work/lib" "$work/extension"
    install -m 644 "$work/built$("$pg_config" --pkglibdir)/lrs_extract.so" "$work/lib/"
    install -m 644 "$work/built$("$pg_config" --sharedir)"/extension/lrs_extract* "$work/extension/"
    # What dh_strip does to a library.
    strip --remove-section=.comment --remove-section=.note --strip-unneeded "$work/lib/lrs_extract.so"
    [ -f "$work/extension/lrs_extract--$version.sql" ] || die "cargo pgrx package made no lrs_extract--$version.sql"
}

# Name, version and license of each crate that is linked into the library.
crates() {
    (cd "$root" && cargo tree --locked --edges normal,no-proc-macro --prefix none --no-dedupe \
        --no-default-features --features "pg$major" --format '{p}|{l}') |
        sed -nE '/^lrs_extract /!s/^([^ ]+) v([^ |]+)[^|]*\|(.*)$/\1 \2 \3/p' | sort -u
}

# The crates with the license files that they come with, each text once.
notices() {
    local name number license folder file sum line sums=()
    local -A text=() users=()
    echo "Rust crates linked into lrs_extract $version, with their licenses. Parts of Rust's standard library,"
    echo "MIT OR Apache-2.0, are linked into it as well."
    echo
    while read -r name number license; do
        line="$name $number"
        echo "  $line: $license"
        folder=$(grep -E "/$name(-$number)?\$" "$work/folders" | head -n 1) ||
            die "cargo metadata does not name the folder of $line"
        for file in "$folder"/{LICEN[CS]E,license,COPYING,COPYRIGHT,NOTICE}*; do
            [ -f "$file" ] || continue
            sum=$(sha256sum "$file")
            sum=${sum%% *}
            [ -n "${text[$sum]:-}" ] || sums+=("$sum")
            text[$sum]=$file
            users[$sum]+=", $line"
        done
    done <"$work/crates"
    for sum in "${sums[@]}"; do
        printf '\n%s\n%s\n\n' "--------" "${users[$sum]#, }:" | fold -s -w 100
        cat "${text[$sum]}"
    done
}

# --- the packages ------------------------------------------------------------

# All times of a folder's files, for the same bytes each time.
settle_times() { find "$1" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +; }

make_tarball() {
    local name
    name=lrs_extract-$version-pg$major-linux-$(uname -m)
    mkdir "$work/$name"
    cp -r "$work/lib" "$work/extension" "$root/LICENSE" "$root/README.md" "$root/CHANGELOG.md" "$work/$name/"
    cp "$work/notices" "$work/$name/NOTICES"
    cat >"$work/$name/INSTALL" <<TEXT
lrs_extract $version for PostgreSQL $major on $(uname -m), glibc ${glibc} or later.

Copy two folders into those of the server, as a user who may write there:

  cp lib/* "\$(pg_config --pkglibdir)/"
  cp extension/* "\$(pg_config --sharedir)/extension/"

pg_config is the server's own, of version $major. Then, in a database:

  create extension lrs_extract;

Where an older version is there: alter extension lrs_extract update;
TEXT
    settle_times "$work/$name"
    tar --create --directory "$work" --sort=name --owner=0 --group=0 --numeric-owner --format=gnu "$name" |
        gzip -9n >"$out/$name.tar.gz"
    made+=("$name.tar.gz")
}

# The newest version of glibc that the library asks for.
needed_glibc() {
    objdump -T "$work/lib/lrs_extract.so" | grep -oE 'GLIBC_[0-9.]+' | cut -d_ -f2 | sort -V | tail -n 1
}

make_deb() {
    local package=postgresql-$major-lrs-extract
    # A ~ sorts before the release, as a hyphen does in a version of Cargo's.
    local revision=${REVISION:-1} upstream=${version//-/\~}
    local maintainer="${DEBFULLNAME:-The lrs_extract authors} <${DEBEMAIL:-lrs_extract@localhost}>"
    local tree=$work/$package file architecture
    local doc=$tree/usr/share/doc/$package
    mkdir -p "$tree/DEBIAN" "$tree/usr/lib/postgresql/$major" "$tree/usr/share/postgresql/$major" "$doc" "$work/debian"
    cp -r "$work/lib" "$tree/usr/lib/postgresql/$major/lib"
    cp -r "$work/extension" "$tree/usr/share/postgresql/$major/extension"
    gzip -9n <"$root/CHANGELOG.md" >"$doc/changelog.gz"
    gzip -9n <"$work/notices" >"$doc/NOTICES.gz"
    cp "$root/README.md" "$doc/"
    copyright "$package" >"$doc/copyright"
    changelog "$upstream-$revision" "$maintainer" >"$work/debian/changelog"
    gzip -9n <"$work/debian/changelog" >"$doc/changelog.Debian.gz"

    # dpkg-shlibdeps and dpkg-gencontrol read these names below the current folder.
    cat >"$work/debian/control" <<CONTROL
Source: lrs-extract
Section: database
Priority: optional
Maintainer: $maintainer

Package: $package
Architecture: any
Depends: postgresql-$major, \${shlibs:Depends}
Description: pull a period of a huge table into this PostgreSQL
 lrs_extract is an extension for PostgreSQL $major. One SQL call pulls a period
 of a huge partitioned table from a busy source server into a table here:
 each row exactly once, resumable after the last committed batch, with a
 report of where the time went. Made for learning record stores (xAPI).
 .
 The source needs no software, only a role that may read the table.
CONTROL
    # That the server's own symbols are in no library is told of, and as it should be.
    (cd "$work" && dpkg-shlibdeps -Tdebian/substvars -e"$tree/usr/lib/postgresql/$major/lib/lrs_extract.so") \
        2>"$work/shlibdeps.log" || {
        cat "$work/shlibdeps.log" >&2
        die "dpkg-shlibdeps failed"
    }
    (cd "$work" && dpkg-gencontrol -p"$package" -Tdebian/substvars -fdebian/files -P"$tree") \
        2>"$work/gencontrol.log" || {
        cat "$work/gencontrol.log" >&2
        die "dpkg-gencontrol failed"
    }
    (cd "$tree" && find usr -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
    settle_times "$tree"
    architecture=$(dpkg --print-architecture)
    file=${package}_$upstream-${revision}_$architecture.deb
    dpkg-deb --root-owner-group -Zxz --build "$tree" "$out/$file" >/dev/null
    made+=("$file")
}

# One entry a release, so that it agrees with CHANGELOG.md.
changelog() {
    local latest=$1 maintainer=$2 release day number
    sed -nE 's/^## \[([0-9][^]]*)\] - ([0-9-]+)$/\1 \2/p' "$root/CHANGELOG.md" |
        while read -r release day; do
            number=${release//-/\~}-1
            [ "$release" != "$version" ] || number=$latest
            printf 'lrs-extract (%s) unstable; urgency=medium\n\n' "$number"
            printf '  * Release %s: changelog.gz has its changes.\n\n' "$release"
            printf ' -- %s  %s\n\n' "$maintainer" "$(date -u -R -d "$day")"
        done
}

copyright() {
    local package=$1
    cat <<TEXT
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: lrs_extract
Comment:
 Rust crates are linked into the library. These are they, with their licenses;
 /usr/share/doc/$package/NOTICES.gz has the texts.
 .
$(sed -E 's/^([^ ]+ [^ ]+) (.*)$/  \1: \2/' "$work/crates")

Files: *
$(sed -n 's/^Copyright (c) /Copyright: /p' "$root/LICENSE")
License: MIT
$(sed -n '/^Permission/,$p' "$root/LICENSE" | sed 's/^$/./; s/^/ /')
TEXT
}

# -----------------------------------------------------------------------------

build
crates >"$work/crates"
# cargo's JSON has a manifest_path for each crate: enough to find its folder by.
(cd "$root" && cargo metadata --locked --format-version 1 --no-default-features --features "pg$major") |
    grep -oE '"manifest_path":"[^"]*/Cargo\.toml"' | sed -E 's/^"manifest_path":"(.*)\/Cargo\.toml"$/\1/' \
    >"$work/folders"
notices >"$work/notices"
glibc=$(needed_glibc)

mkdir -p "$out"
made=()
if [ "$with_deb" = yes ]; then
    make_deb
else
    say "there is no dpkg-deb here: only the tarball is made"
fi
make_tarball
(cd "$out" && for file in "${made[@]}"; do sha256sum "$file" >"$file.sha256"; done)
say "in $out:"
(cd "$out" && ls -s --block-size=KiB "${made[@]}")
