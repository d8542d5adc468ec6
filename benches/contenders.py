"""Who is measured: each contender brings the rows of the period into an empty target, or is a floor
that says what cannot be beaten. All deliver id, user_id, object_type, statement and timestamp."""

import os
import shlex
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

HERE = Path(__file__).resolve().parent

PERIOD = ("2025-03-01 00:00:00+00", "2025-08-01 00:00:00+00")
MONTHS = [(f"2025-{m:02}-01 00:00:00+00", f"2025-{m + 1:02}-01 00:00:00+00") for m in range(3, 8)]
BATCH = 50000

SOURCE_TABLE = "acid.lrs_statement_new"
TARGET = "pipeline.aidt_raw"
COLUMNS = 'id, user_id, object_type, "statement", "timestamp"'
# What the shipped mapping does, in SQL.
EXPRESSIONS = {
    "id": "(full_statement ->> 'id')::uuid",
    "user_id": "coalesce(full_statement #>> '{actor,account,name}', full_statement #>> '{actor,mbox}', "
               "full_statement #>> '{actor,mbox_sha1sum}', full_statement #>> '{actor,openid}')::varchar",
    "object_type": "coalesce(full_statement #>> '{object,objectType}', 'Activity')::varchar",
    "statement": "full_statement",
    "timestamp": '"timestamp"',
}
FIELDS = ", ".join(EXPRESSIONS.values())
NAMED_FIELDS = ", ".join(f'{expression} as "{name}"' for name, expression in EXPRESSIONS.items())
# Text in, the same hash out on every version.
FINGERPRINT = "count(*), coalesce(sum(hashtextextended(concat_ws('|', {}), 0)::numeric), 0)"


class Failed(Exception):
    """A contender, or what is needed around it, did not work."""


class Server:
    """A throwaway server, as tests/tools/servers.sh lays it out."""

    def __init__(self, folder, database):
        self.folder = Path(folder)
        self.database = database
        config = (self.folder / "pg_config").read_text().strip()
        self.pkglibdir = Path(output([config, "--pkglibdir"]).strip())
        self.bindir = Path(output([config, "--bindir"]).strip())
        self.postmaster = int((self.folder / "data/postmaster.pid").read_text().split()[0])
        self.version = self.query("show server_version").split()[0]
        # For clients that know no sockets.
        self.address = self.query("show listen_addresses")

    def psql(self, *sql):
        """The words of a psql call that runs these statements."""
        words = [str(self.bindir / "psql"), "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1",
                 "-h", str(self.folder), "-p", "5432", "-U", "postgres", "-d", self.database]
        for statement in sql:
            words += ["-c", statement]
        return words

    def query(self, *sql):
        """Runs statements, each on its own, and gives what they print."""
        return output(self.psql(*sql)).strip()

    @property
    def conninfo(self):
        return f"host={self.folder} port=5432 user=postgres dbname={self.database}"

    @property
    def url(self):
        # Some of them want a password, whether the server asks for one or not.
        return f"postgresql://postgres:none@{self.address}:5432/{self.database}?sslmode=disable"


def output(words, **environment):
    """Runs a command and gives its output; its complaints are the error."""
    done = subprocess.run(words, capture_output=True, text=True, check=False,
                          env=os.environ | environment)
    if done.returncode != 0:
        raise Failed(f"{words[0]} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def pipe(source_words, stage_words):
    """Runs one command's output into another's input, as a shell does."""
    line = f"{shlex.join(source_words)} | {shlex.join(stage_words)}"
    output(["bash", "-o", "pipefail", "-c", line])


@dataclass
class Contender:
    name: str
    label: str
    # The stage's version, or None where there is none.
    stage: str | None
    # pull: this extension; peer: what people do today; floor: only a part of the work.
    kind: str
    run: Callable[[], None]
    # Runs before the clock starts.
    prepare: Callable[[], None] = lambda: None
    # Is the target expected to hold the rows afterwards?
    fills: bool = True
    # Is it known to lose rows without a word? Then how many is told, and not an error.
    lossy: bool = False


def period(bounds):
    return f"where \"timestamp\" >= '{bounds[0]}' and \"timestamp\" < '{bounds[1]}'"


def pull(version, stage, jobs, settings):
    def forget():
        stage.query(f"select lrs_extract.forget('{PERIOD[0]}', '{PERIOD[1]}', 'aidt')")

    def run():
        stage.query(
            "set client_min_messages = warning",
            *[f"set {setting}" for setting in settings.split(";") if setting.strip()],
            f"select count(*) from lrs_extract.pull('{PERIOD[0]}', '{PERIOD[1]}', {BATCH}, jobs => {jobs})",
        )

    return Contender(f"pull_j{jobs}_{version}", f"pull, jobs {jobs}", version, "pull", run, forget)


def copy_pipes(version, source, stage, count, form):
    def one(bounds):
        options = "(format binary)" if form == "binary" else ""
        pipe(source.psql(f"copy (select {FIELDS} from {SOURCE_TABLE} {period(bounds)}) to stdout {options}"),
             stage.psql(f"copy {TARGET} ({COLUMNS}) from stdin {options}"))

    def run():
        if count == 1:
            one(PERIOD)
            return
        # By month; each pipe that is done takes the next one.
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(one, MONTHS))

    label = f"COPY pipe, {form}" if count == 1 else f"COPY pipes, {form}, {count} side by side"
    return Contender(f"{form}_pipe_{count}_{version}", label, version, "peer", run)


def insert_select(name, label, version, stage, query, prepare=None, kind="peer"):
    def run():
        stage.query(f"insert into {TARGET} ({COLUMNS}) {query}")

    return Contender(name, label, version, kind, run, prepare or (lambda: None))


def postgres_fdw(version, stage, fetch_size):
    def prepare():
        # stage_contrib.sql has added the option.
        stage.query(f"alter server fdw_source options (set fetch_size '{fetch_size}')")

    return insert_select(
        f"fdw_{fetch_size}_{version}", f"postgres_fdw, fetch_size {fetch_size}", version, stage,
        f"select {FIELDS} from {SOURCE_TABLE} {period(PERIOD)}", prepare)


def dblink(version, source, stage):
    remote = f"select {FIELDS} from {SOURCE_TABLE} {period(PERIOD)}"
    return insert_select(
        f"dblink_{version}", "dblink", version, stage,
        f"select * from dblink('{source.conninfo}', $q${remote}$q$) as t(id uuid, user_id varchar, "
        'object_type varchar, "statement" jsonb, "timestamp" timestamptz)')


def script(name, label, version, source, stage, python, file, lossy=False):
    def run():
        output([python, str(HERE / "peers" / file), source.conninfo, stage.conninfo, *PERIOD])

    return Contender(name, label, version, "peer", run, lossy=lossy)


def sling(version, source, stage, python):
    query = f"select {NAMED_FIELDS} from {SOURCE_TABLE} {period(PERIOD)}"

    def run():
        # The wheel's own program.
        program = output([python, "-c", "import sling_linux_amd64 as s; print(s.__path__[0])"]).strip()
        output([f"{program}/bin/sling-linux-amd64", "run", "--mode", "truncate",
                "--src-conn", "SOURCE", "--src-stream", query, "--tgt-conn", "STAGE", "--tgt-object", TARGET],
               SOURCE=source.url, STAGE=stage.url, SLING_DISABLE_TELEMETRY="true")

    return Contender(f"sling_{version}", "sling", version, "peer", run)


def dlt(version, source, stage, python, reader, label):
    def run():
        output([python, str(HERE / "peers/dlt_copy.py"), reader, source.url, stage.url, *PERIOD])
        copied = stage.query("select count(*) from dlt.aidt_raw")
        expected = source.query(f"select count(*) from {SOURCE_TABLE} {period(PERIOD)}")
        if copied != expected:
            raise Failed(f"dlt copied {copied} rows of {expected}")

    return Contender(f"dlt_{reader}_{version}", f"dlt with {label}, into its own table", version, "peer", run,
                     lambda: stage.query("drop schema if exists dlt cascade"), fills=False)


def pgcopydb(version, source, stage):
    """A plain copy of the database: no field is extracted."""
    clone = f"host={stage.folder} port=5432 user=postgres dbname=bench_clone"

    def prepare():
        stage.query("drop database if exists bench_clone", "create database bench_clone")

    def run():
        with tempfile.TemporaryDirectory() as folder:
            output(["pgcopydb", "clone", "--source", source.conninfo, "--target", clone, "--dir", f"{folder}/work",
                    "--table-jobs", "2", "--index-jobs", "2", "--no-owner", "--no-acl", "--skip-vacuum"],
                   PATH=f"{stage.bindir}:{os.environ['PATH']}")

    return Contender(f"pgcopydb_{version}", "pgcopydb, the table as it is", version, "peer", run, prepare, fills=False)


def read_alone(name, label, source, columns):
    def run():
        query = f"copy (select {columns} from {SOURCE_TABLE} {period(PERIOD)}) to stdout (format binary)"
        output(["bash", "-c", f"{shlex.join(source.psql(query))} >/dev/null"])

    return Contender(name, label, None, "floor", run, fills=False)


def all_of_them(source, stages, peers, pull_settings, quick):
    """The contenders of a run, and those left out with the reason. `peers` names the Python
    interpreters of the peers that need one of their own; `pull_settings` are set for pull alone."""
    stage = stages["16"]
    listed = [
        pull("16", stage, 1, pull_settings),
        pull("16", stage, 2, pull_settings),
        copy_pipes("16", source, stage, 1, "binary"),
        copy_pipes("16", source, stage, 2, "binary"),
        copy_pipes("16", source, stage, 3, "binary"),
        copy_pipes("16", source, stage, 1, "text"),
        copy_pipes("16", source, stage, 2, "text"),
        copy_pipes("16", source, stage, 3, "text"),
    ]
    left_out = []
    if peers.get("psycopg2"):
        listed.append(script("python_16", "Airflow-style Python loop", "16", source, stage,
                             peers["psycopg2"], "airflow_loop.py", lossy=True))
    else:
        left_out.append("the Airflow-style Python loop: psycopg2-binary could not be had from PyPI")
    if peers.get("duckdb"):
        listed.append(script("duckdb_16", "DuckDB postgres extension", "16", source, stage,
                             peers["duckdb"], "duckdb_copy.py"))
    else:
        left_out.append("DuckDB: it and its postgres extension could not be had from PyPI")
    if peers.get("sling"):
        listed.append(sling("16", source, stage, peers["sling"]))
    else:
        left_out.append("sling: its binary could not be had from PyPI")
    if peers.get("dlt"):
        listed += [dlt("16", source, stage, peers["dlt"], "adbc", "ADBC"),
                   dlt("16", source, stage, peers["dlt"], "connectorx", "ConnectorX")]
    else:
        left_out.append("dlt: it and its readers could not be had from PyPI")
    if shutil.which("pgcopydb"):
        listed.append(pgcopydb("16", source, stage))
    else:
        left_out.append("pgcopydb: not installed (Debian's package pgcopydb)")
    if "15" in stages:
        other = stages["15"]
        listed += [
            pull("15", other, 1, pull_settings),
            pull("15", other, 2, pull_settings),
            copy_pipes("15", source, other, 1, "binary"),
        ]
        if other.query("select count(*) from pg_extension where extname in ('postgres_fdw', 'dblink')") == "2":
            listed += [postgres_fdw("15", other, 100), postgres_fdw("15", other, 10000), dblink("15", source, other)]
        else:
            left_out.append("postgres_fdw and dblink: the 15 that is here has no contrib")
    else:
        left_out.append("postgres_fdw and dblink: no PostgreSQL 15 is here, and the 16 may lack contrib")
    listed += [
        read_alone("source_alone", "source alone, key and statement", source,
                   '"timestamp", actor_id, full_statement'),
        read_alone("source_extract", "source alone, three fields extracted there", source, FIELDS),
        insert_select("local_16", "local insert … select", "16", stage,
                      f"select {COLUMNS} from pipeline.loaded", kind="floor"),
    ]
    if quick:
        quick_ones = {"pull_j1_16", "pull_j2_16", "binary_pipe_1_16", "binary_pipe_2_16", "python_16",
                      "fdw_10000_15", "pull_j2_15", "source_alone", "local_16"}
        listed = [contender for contender in listed if contender.name in quick_ones]
        left_out.append("some contenders, for QUICK=1")
    return listed, left_out


