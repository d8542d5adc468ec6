#!/usr/bin/env bash
# Builds lrs_extract for one server and installs it there.
#
#   install-extension.sh PG_CONFIG [PROFILE]     PROFILE: release (default), dev, …
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
pg_config=${1:-}
profile=${2:-release}

if [ -z "$pg_config" ] || ! [ -x "$(command -v "$pg_config")" ]; then
    echo "usage: ${0##*/} PG_CONFIG [PROFILE], PG_CONFIG the path of the server's pg_config" >&2
    exit 2
fi
pg_config=$(command -v "$pg_config")

version=$("$pg_config" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/')
if [ ! -f "$("$pg_config" --includedir-server)/postgres.h" ]; then
    echo "error: $pg_config is a PostgreSQL $version without server headers;" \
        "Debian has them in postgresql-server-dev-$version" >&2
    exit 1
fi

cache=$("$here/install.sh" --cache)
# shellcheck source=/dev/null
[ ! -f "$cache/env.sh" ] || . "$cache/env.sh"
if ! command -v cargo-pgrx >/dev/null; then
    echo "error: cargo-pgrx is missing; tests/tools/install.sh --tools installs it" >&2
    exit 1
fi

# A server that install.sh did not set up is unknown to pgrx, and has to be
# named. One that it knows is not: the variable would make cargo build
# everything anew each time it comes or goes.
if ! grep -qsxF "pg$version = \"$pg_config\"" "${PGRX_HOME:-$HOME/.pgrx}/config.toml"; then
    export PGRX_PG_CONFIG_PATH=$pg_config
fi

sudo=()
for folder in "$("$pg_config" --pkglibdir)" "$("$pg_config" --sharedir)/extension"; do
    [ -w "$folder" ] || sudo=(--sudo)
done

cd "$here/../.."
exec cargo pgrx install --profile "$profile" "${sudo[@]}" --pg-config "$pg_config" \
    --no-default-features --features "pg$version"
