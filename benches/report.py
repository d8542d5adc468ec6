#!/usr/bin/env python3
"""Makes the tables out of what measure.py wrote.

    report.py --settings TEXT --revision TEXT --markdown FILE --json FILE MEASURED.json …

The Markdown goes to standard output, too.
"""

import argparse
import json
import os
import platform
from datetime import datetime, timezone
from pathlib import Path
from statistics import median

BASE = "binary_pipe_1"


def processor():
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def machine():
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    return (f"{os.cpu_count()} cores ({processor()}), {memory:.0f} GB of memory, {system}, "
            f"Linux {platform.release().split('-')[0]}; source, stage and clients share it")


class Results:
    """The medians of one data set."""

    def __init__(self, data):
        self.data = data
        self.by_name = {c["name"]: c for c in data["contenders"]}

    def seconds(self, name):
        contender = self.by_name.get(name)
        return median(t["seconds"] for t in contender["timings"]) if contender else None

    def figure(self, name, key):
        contender = self.by_name.get(name)
        if not contender or key not in contender["timings"][0]:
            return None
        return median(t[key] for t in contender["timings"])

    def base(self, stage):
        """The one binary pipe into the same stage; a floor is held against 16's."""
        return self.seconds(f"{BASE}_{stage or '16'}")

    def fastest(self, names):
        timed = [(self.seconds(name), name) for name in names if name in self.by_name]
        return min(timed) if timed else (None, None)


def number(value, digits=2):
    return "" if value is None else f"{value:.{digits}f}"


def ratio(part, whole):
    return None if part is None or not whole else part / whole


def contender_table(results):
    rows = results.data["rows"]
    text = results.data["text_bytes"]
    lines = [
        "| contender | stage | median s | min – max | × one binary pipe | rows/s | MB/s | source CPU s "
        "| stage CPU s | client CPU s | WAL MB | stored MB | rows missing |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    order = {"pull": 0, "peer": 1, "floor": 2}
    for c in sorted(results.data["contenders"], key=lambda c: (order[c["kind"]], results.seconds(c["name"]))):
        name = c["name"]
        seconds = results.seconds(name)
        all_seconds = [t["seconds"] for t in c["timings"]]
        speed = ratio(results.base(c["stage"]), seconds)
        wal, stored = results.figure(name, "wal_bytes"), results.figure(name, "stored_bytes")
        missing = [rows - t["rows"] for t in c["timings"] if "rows" in t]
        cells = [
            f"**{c['label']}**" if c["kind"] == "pull" else c["label"] + (" (floor)" if c["kind"] == "floor" else ""),
            c["stage"] or "–",
            number(seconds),
            f"{min(all_seconds):.2f} – {max(all_seconds):.2f}",
            number(speed),
            f"{rows / seconds:,.0f}",
            number(text / seconds / 1e6, 0),
            number(results.figure(name, "source_cpu")),
            number(results.figure(name, "stage_cpu")),
            number(results.figure(name, "client_cpu")),
            "" if wal is None else number(wal / 1e6, 0),
            "" if stored is None else number(stored / 1e6, 0),
            str(max(missing)) if missing else "",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def ratio_table(results):
    """The figures that the project set itself, each as times as fast unless it says otherwise."""
    pull, pull_name = results.fastest(["pull_j1_16", "pull_j2_16"])
    pull_15, _ = results.fastest(["pull_j1_15", "pull_j2_15"])
    pipes, pipes_name = results.fastest([f"binary_pipe_{n}_16" for n in (1, 2, 3)])
    fdw, fdw_name = results.fastest(["fdw_100_15", "fdw_10000_15"])
    source_alone = results.seconds("source_alone")
    stored = results.figure("pull_j1_16", "stored_bytes") or results.figure("pull_j2_16", "stored_bytes")
    pipe_stored = results.figure(f"{BASE}_16", "stored_bytes")
    label = {name: c["label"] for name, c in results.by_name.items()}
    lines = ["| figure | measured | asked (goal) |", "| --- | ---: | --- |"]

    def add(text, value, asked, form="{:.2f} ×"):
        if value is not None:
            lines.append(f"| {text} | {form.format(value)} | {asked} |")

    fast = label.get(pull_name)
    add(f"speed of {fast} to one binary COPY pipe", ratio(results.base("16"), pull), "at least 2.5 (3)")
    add(f"speed of {fast} to the best number of pipes ({label.get(pipes_name)})", ratio(pipes, pull),
        "at least 1.7 (2)")
    add(f"speed of pull to postgres_fdw, both into 15 ({label.get(fdw_name)})", ratio(fdw, pull_15), "at least 4")
    add("speed of pull to dblink, both into 15", ratio(results.seconds("dblink_15"), pull_15), "–")
    add("speed of pull to the Python loop", ratio(results.seconds("python_16"), pull), "at least 5")
    add("speed of pull to DuckDB", ratio(results.seconds("duckdb_16"), pull), "–")
    add("time of pull to the source read alone", ratio(pull, source_alone), "at most 1.2 as a goal")
    for jobs in (1, 2):
        add(f"source CPU, pull, jobs {jobs}, to the binary pipe's (extraction on the source)",
            ratio(results.figure(f"pull_j{jobs}_16", "source_cpu"), results.figure(f"{BASE}_16", "source_cpu")),
            "at most 0.7")
    add("source CPU, statement alone to fields extracted there: what a pull can reach that reads no more than COPY",
        ratio(results.figure("source_alone", "source_cpu"), results.figure("source_extract", "source_cpu")), "–")
    if stored and pipe_stored:
        add("stored bytes, pull to the server's own", 100 * (stored / pipe_stored - 1), "within 5 %", "{:+.1f} %")
    checked = [c for c in results.data["contenders"] if c["timings"][0].get("values_equal") is not None]
    pulls = [c for c in checked if c["kind"] == "pull"]
    if pulls:
        # measure.py stops where one differs.
        lines.append(f"| rows that differ from the source's, {len(pulls)} pulls (hash of all rows) | 0 | 0 |")
    return lines


def section(data):
    results = Results(data)
    rows, text = data["rows"], data["text_bytes"]
    lines = [
        f"## Data set {data['dataset']}",
        "",
        f"{rows:,} rows, {text / rows:,.0f} bytes of JSON text a row ({text / 1e6:,.0f} MB), "
        f"{data['source_stored_bytes'] / rows:,.0f} bytes a row stored on the source; "
        f"{data['rounds']} round{'s, medians' if data['rounds'] > 1 else ''}. “× one binary pipe” is times as fast as "
        "one binary COPY pipe into the same stage.",
        "",
        *contender_table(results),
        "",
        *ratio_table(results),
        "",
        *[f"- Left out: {reason}." for reason in data["left_out"]],
    ]
    lossy = [c for c in data["contenders"] if c["lossy"] and any(t["rows"] < rows for t in c["timings"])]
    lines += [f"- {c['label']} lost rows without a word, see its column." for c in lossy]
    return lines


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--settings", required=True)
    parser.add_argument("--revision", required=True)
    parser.add_argument("--markdown", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("measured", type=Path, nargs="+")
    options = parser.parse_args()
    measured = [json.loads(file.read_text()) for file in options.measured]
    versions = {}
    for data in measured:
        versions |= data["versions"]
    head = {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine(),
        "versions": versions,
        "revision": options.revision,
        "settings": options.settings,
    }
    lines = [
        "# Benchmark of lrs_extract",
        "",
        f"- {head['date']}, revision {head['revision']}",
        f"- Machine: {head['machine']}",
        "- PostgreSQL: " + ", ".join(f"{what} {version}" for what, version in versions.items()),
        f"- Settings, the same for source and stages: {options.settings}; all else as PostgreSQL comes",
        "- Before each timing: target truncated, checkpoint. After it: rows counted; in the first round a hash of "
        "all values held against the source's. Contenders take turns within a round, forth and back.",
    ]
    if any(data["quick"] for data in measured):
        lines.append("- **QUICK=1: this shows that the benchmark works; its figures mean nothing.**")
    for data in measured:
        lines += ["", *section(data)]
    text = "\n".join(lines).rstrip() + "\n"
    options.markdown.write_text(text)
    options.json.write_text(json.dumps(head | {"datasets": measured}, indent=1) + "\n")
    print(text, end="")


if __name__ == "__main__":
    main()
