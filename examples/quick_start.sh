#!/usr/bin/env bash
# Prints the SQL that sets up a pull between two servers, from five answers. It
# connects to nothing and runs nothing: read what it prints, put the password in
# the place of '…', and give each part to psql on its server.
#
#   quick_start.sh [--source | --stage] [HOST[:PORT] [DATABASE [TABLE [COLUMNS [ROLE]]]]]
#
#   HOST[:PORT]  the source: a name, an address ([::1]:5432), or a socket's folder
#   DATABASE     its database
#   TABLE        its table with the schema, as SQL writes it: acid.lrs_statement_new
#   COLUMNS      timestamp, actor and statement, as SQL writes them, with commas:
#                timestamp,actor_id,full_statement
#   ROLE         the role that reads there
#
# What is not given is taken from LRS_HOST, LRS_DATABASE, LRS_TABLE, LRS_COLUMNS
# and LRS_ROLE, or asked for. In TABLE and COLUMNS, as in SQL, a name with upper
# case or other characters than letters, digits and _ goes in double quotes;
# DATABASE and ROLE are taken as they are.
set -euo pipefail
# Only ASCII letters are folded, as the server does it.
LC_ALL=C

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 2
}

# answer VARIABLE QUESTION: what the variable holds, or what is typed.
answer() {
    local given=${!1:-}
    if [ -z "$given" ]; then
        printf '%s: ' "$2" >&2
        IFS= read -r given || true
    fi
    [ -n "$given" ] || fail "no answer to: $2"
    printf -v "$1" '%s' "$given"
}

identifier() {
    printf '"%s"' "${1//\"/\"\"}"
}

literal() {
    local text=${1//\'/\'\'}
    case $text in
    # Whatever standard_conforming_strings is.
    *\\*) printf "E'%s'" "${text//\\/\\\\}" ;;
    *) printf "'%s'" "$text" ;;
    esac
}

# names TEXT SEPARATOR: the names of a list, as the catalog has them, into the
# array "parsed".
names() {
    local rest=$1 separator=$2 name
    parsed=()
    while :; do
        rest=${rest#"${rest%%[![:space:]]*}"}
        if [[ $rest =~ ^\"(([^\"]|\"\")+)\" ]]; then
            name=${BASH_REMATCH[1]//\"\"/\"}
        elif [[ $rest =~ ^([^][:space:]\".,\;\'()[]+) ]]; then
            name=${BASH_REMATCH[1],,}
        else
            fail "not a name: $rest"
        fi
        rest=${rest:${#BASH_REMATCH[0]}}
        rest=${rest#"${rest%%[![:space:]]*}"}
        parsed+=("$name")
        [ -n "$rest" ] || return 0
        [ "${rest:0:1}" = "$separator" ] || fail "no '$separator' before: $rest"
        rest=${rest:1}
    done
}

side=both
case ${1:-} in
--source | --stage)
    side=${1#--}
    shift
    ;;
-h | --help)
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"
    exit
    ;;
-*) fail "no option $1" ;;
esac
[ $# -le 5 ] || fail "five answers, not $#"

LRS_HOST=${1:-${LRS_HOST:-}}
LRS_DATABASE=${2:-${LRS_DATABASE:-}}
LRS_TABLE=${3:-${LRS_TABLE:-}}
LRS_COLUMNS=${4:-${LRS_COLUMNS:-}}
LRS_ROLE=${5:-${LRS_ROLE:-}}
answer LRS_HOST "The source's host, or host:port"
answer LRS_DATABASE "Its database"
answer LRS_TABLE "Its table, such as acid.lrs_statement_new"
answer LRS_COLUMNS "Columns: timestamp,actor,statement"
answer LRS_ROLE "The role that reads there"

port=5432
if [[ $LRS_HOST =~ ^\[(.*)\](:([0-9]+))?$ ]]; then
    host=${BASH_REMATCH[1]} port=${BASH_REMATCH[3]:-5432}
elif [[ $LRS_HOST =~ ^([^:]+):([0-9]+)$ ]]; then
    host=${BASH_REMATCH[1]} port=${BASH_REMATCH[2]}
else
    host=$LRS_HOST
fi
# The certificate of a server has no name for what does not leave this machine.
case $host in
/* | localhost | 127.* | ::1) sslmode=prefer ;;
*) sslmode=verify-full ;;
esac

names "$LRS_TABLE" .
[ ${#parsed[@]} -eq 2 ] || fail "the table with its schema, such as acid.lrs_statement_new, not: $LRS_TABLE"
schema=$(identifier "${parsed[0]}")
table=$schema.$(identifier "${parsed[1]}")
names "$LRS_COLUMNS" ,
[ ${#parsed[@]} -eq 3 ] || fail "three columns, such as timestamp,actor_id,full_statement, not: $LRS_COLUMNS"
timestamp=$(literal "${parsed[0]}")
actor=$(literal "${parsed[1]}")
statement=$(literal "${parsed[2]}")
role=$(identifier "$LRS_ROLE")

source_side() {
    cat <<SQL
-- On the source, in its database, as a superuser.

create role $role login password '…';
grant connect on database $(identifier "$LRS_DATABASE") to $role;
grant usage on schema $schema to $role;
grant select on $table to $role;

-- The statistics of the partitions, which plan reads.
select format('grant select on %s to %I;', t.relid::regclass, $(literal "$LRS_ROLE"))
  from pg_partition_tree($(literal "$table")) t
 where t.level > 0
\\gexec

-- The indexes that a walk by key lacks: run what this shows.
select format('create index concurrently on %s (%I, %I);', c.oid::regclass, $timestamp, $actor) as index
  from (select $(literal "$table")::regclass as relid
        union
        select t.relid from pg_partition_tree($(literal "$table")) t) t
  join pg_class c on c.oid = t.relid and c.relkind in ('r', 'm')
 where not exists (
   select
     from pg_index i
     join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0] and a.attname = $timestamp
     join pg_attribute b on b.attrelid = c.oid and b.attnum = i.indkey[1] and b.attname = $actor
    where i.indrelid = c.oid and i.indisvalid and i.indpred is null);
SQL
}

stage_side() {
    cat <<SQL
-- On the stage, in its database, as a superuser.

create schema if not exists pipeline;
create table if not exists pipeline.aidt_raw (
  id uuid, user_id varchar, object_type varchar, "statement" jsonb, "timestamp" timestamptz,
  inserted_at timestamptz default current_timestamp, flag char(1) default 'N', partner_id text);

create extension if not exists lrs_extract;
create server lrs_source foreign data wrapper lrs_extract
  options (host $(literal "$host"), port '$port', dbname $(literal "$LRS_DATABASE"), sslmode '$sslmode');
create user mapping for current_user server lrs_source
  options (user $(literal "$LRS_ROLE"), password '…');
update lrs_extract.pipeline
   set server = 'lrs_source',
       source_table = $(literal "$table"),
       timestamp_column = $timestamp,
       actor_column = $actor,
       statement_column = $statement,
       mapping = mapping || jsonb_build_object('timestamp', jsonb_build_object('source', $timestamp))
 where name = 'aidt';

-- What is not ok, and what to type.
select name, ok, found, advice from lrs_extract.check('aidt');

-- Last month; change the period to yours.
select * from lrs_extract.plan(date_trunc('month', now()) - interval '1 month', date_trunc('month', now()));
select lrs_extract.pull(date_trunc('month', now()) - interval '1 month', date_trunc('month', now()), 50000);
SQL
}

case $side in
source) source_side ;;
stage) stage_side ;;
both)
    source_side
    echo
    stage_side
    ;;
esac
