#!/usr/bin/env python3
"""Measures the contenders on one data set, round by round, and writes what it saw as JSON.

    measure.py --source DIR --stage 16=DIR [--stage 15=DIR] --dataset NAME --rounds N --out FILE
               [--library VERSION=SHA256 …] [--peer NAME=PYTHON …] [--only REGEX] [--pull-settings SETTINGS] [--quick]

The servers are up, the source is filled and the stages are laid out: run.sh sees to that.
"""

import argparse
import hashlib
import json
import re
import resource
import sys
import time
from pathlib import Path

from contenders import COLUMNS, FIELDS, FINGERPRINT, PERIOD, SOURCE_TABLE, TARGET
from contenders import Failed, Server, all_of_them, copy_pipes, period
from processes import cpu_seconds


def say(text):
    print(text, flush=True)


def client_cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def same_library(stages, libraries):
    """Ends it where another build of lrs_extract was installed meanwhile: each new backend loads that."""
    for version, wanted in libraries.items():
        found = hashlib.sha256((stages[version].pkglibdir / "lrs_extract.so").read_bytes()).hexdigest()
        if found != wanted:
            raise Failed(f"another build of lrs_extract was installed for {version} while this ran: "
                         "the figures are of a mixture")


def measure(contender, source, stage):
    """One timing, from an empty target and a fresh checkpoint on."""
    if stage:
        stage.query(f"truncate {TARGET}", "checkpoint")
    contender.prepare()
    wal = stage.query("select pg_current_wal_insert_lsn()") if stage else None
    before = cpu_seconds(source.postmaster), stage and cpu_seconds(stage.postmaster), client_cpu()
    begin = time.perf_counter()
    contender.run()
    seconds = time.perf_counter() - begin
    figures = {
        "seconds": seconds,
        # Statements to the stage are the client's too, but weigh nothing.
        "client_cpu": client_cpu() - before[2],
        "source_cpu": cpu_seconds(source.postmaster) - before[0],
    }
    if stage:
        figures["stage_cpu"] = cpu_seconds(stage.postmaster) - before[1]
        figures["wal_bytes"] = int(stage.query(f"select pg_current_wal_insert_lsn() - '{wal}'::pg_lsn"))
    return figures


def verify(contender, stage, expected, with_values):
    """Counts the target's rows and holds their values against the source's."""
    count, size = map(int, stage.query(f"select count(*), pg_table_size('{TARGET}') from {TARGET}").split("|"))
    seen = {"rows": count, "stored_bytes": size}
    if count != expected["rows"] and not contender.lossy:
        rejects = stage.query("select column_name, message, count(*) from lrs_extract.reject group by 1, 2 limit 3")
        raise Failed(f"{contender.label}: the target holds {count} rows, the source {expected['rows']}"
                     + (f"; rejected: {rejects}" if rejects else ""))
    if with_values and count == expected["rows"]:
        fingerprint = stage.query(f"select {FINGERPRINT.format(COLUMNS)} from {TARGET}")
        seen["values_equal"] = fingerprint == expected["fingerprint"]
        if not seen["values_equal"]:
            raise Failed(f"{contender.label}: rows differ from the source's (count and hash {fingerprint}, "
                         f"source {expected['fingerprint']})")
    return seen


def pair(text):
    name, _, value = text.partition("=")
    if not value:
        raise argparse.ArgumentTypeError(f"NAME=VALUE, not {text!r}")
    return name, value


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", required=True)
    parser.add_argument("--stage", type=pair, action="append", required=True)
    parser.add_argument("--peer", type=pair, action="append", default=[])
    parser.add_argument("--library", type=pair, action="append", default=[])
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--pull-settings", default="")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def main():
    options = arguments()
    source = Server(options.source, "srcdb")
    stages = {version: Server(folder, "stagedb") for version, folder in options.stage}
    contenders, left_out = all_of_them(source, stages, dict(options.peer), options.pull_settings, options.quick)
    if options.only:
        contenders = [c for c in contenders if re.search(options.only, c.name)]
        left_out.append(f"all whose name does not match {options.only!r}")
    if not contenders:
        raise Failed(f"no contender's name matches {options.only!r}")

    say("what the source holds …")
    fingerprint, text_bytes, stored = source.query(
        f"select {FINGERPRINT.format(FIELDS)} from {SOURCE_TABLE} {period(PERIOD)}",
        f"select sum(octet_length(full_statement::text)) from {SOURCE_TABLE} {period(PERIOD)}",
        "select sum(pg_table_size(inhrelid)) from pg_inherits "
        f"where inhparent = '{SOURCE_TABLE}'::regclass").splitlines()
    expected = {"fingerprint": fingerprint, "rows": int(fingerprint.split("|")[0])}

    if any(c.name == "local_16" for c in contenders):
        say("the table that the local insert … select reads …")
        stage = stages["16"]
        stage.query("drop table if exists pipeline.loaded", f"truncate {TARGET}")
        copy_pipes("16", source, stage, 1, "binary").run()
        stage.query(f"create table pipeline.loaded as select * from {TARGET}", "vacuum analyze pipeline.loaded")

    same_library(stages, dict(options.library))
    timings = {c.name: [] for c in contenders}
    for round_no in range(1, options.rounds + 1):
        # Back and forth, so that nobody always follows the same one.
        for contender in contenders if round_no % 2 else reversed(contenders):
            stage = stages.get(contender.stage)
            figures = measure(contender, source, stage)
            if contender.fills:
                figures |= verify(contender, stage, expected, with_values=round_no == 1)
            timings[contender.name].append(figures)
            say(f"round {round_no}  {contender.label:<46} {contender.stage or '':<3} {figures['seconds']:8.2f} s")
        same_library(stages, dict(options.library))

    options.out.write_text(json.dumps({
        "dataset": options.dataset,
        "rows": expected["rows"],
        "text_bytes": int(text_bytes),
        "source_stored_bytes": int(stored),
        "rounds": options.rounds,
        "quick": options.quick,
        "versions": {"source": source.version} | {f"stage {v}": s.version for v, s in stages.items()},
        "left_out": left_out,
        "contenders": [
            {"name": c.name, "label": c.label, "stage": c.stage, "kind": c.kind, "lossy": c.lossy,
             "timings": timings[c.name]} for c in contenders
        ],
    }, indent=1) + "\n")


if __name__ == "__main__":
    try:
        main()
    except Failed as error:
        sys.exit(f"error: {error}")
