#!/usr/bin/env bash
# Adds ROWS sample statements to the database that psql would connect to
# (PGHOST, PGPORT, PGUSER, PGDATABASE, or psql's own options after ROWS).
#
#   sample_source.sh [ROWS [PSQL-OPTION …]]
#   MONTHS=5 TIES=none|days NULLS=0.01 ODD=0.01 sample_source.sh 1000000 -h /tmp/source
#
# What the names mean is said at the top of sample_source.sql. PSQL names the
# psql to use.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
rows=${1:-200000}
[ $# -eq 0 ] || shift

case $rows in
'' | *[!0-9]*)
    echo "usage: ${0##*/} [ROWS [PSQL-OPTION …]], ROWS a whole number" >&2
    exit 2
    ;;
esac

printf 'adding %s statements over %s months from 2025-03 …\n' "$rows" "${MONTHS:-5}"
begin=$SECONDS
"${PSQL:-psql}" -X -q -v rows="$rows" -v months="${MONTHS:-5}" -v ties="${TIES:-none}" \
    -v nulls="${NULLS:-0.01}" -v odd="${ODD:-0.01}" "$@" -f "$here/sample_source.sql"
printf 'added in %s s\n' "$((SECONDS - begin))"
