#!/usr/bin/env python3
"""Draws the medians of a results.json as bars: plain SVG, legible on light and dark.

    chart.py RESULTS.json OUT.svg
"""

import json
import sys
from html import escape
from pathlib import Path
from statistics import median

WIDTH, LABELS, RIGHT, TOP, BAR, STEP, GROUP = 820, 300, 110, 78, 18, 26, 24
GROUPS = (("pull", "lrs_extract"), ("peer", "what people do today"), ("floor", "floors: only a part of the work"))
# The drawing brings its own background, so that it is legible wherever it is shown.
STYLE = """
    .ground { fill: #ffffff; stroke: #d0d7de }
    text { font: 13px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2328 }
    .title { font-size: 16px; font-weight: 600 }
    .quiet { fill: #59636e; font-size: 12px }
    .pull { fill: #1a7f64 } .peer { fill: #7d8fa3 } .floor { fill: #c5ced8 }
    .axis { stroke: #d0d7de }
    @media (prefers-color-scheme: dark) {
      .ground { fill: #0d1117; stroke: #30363d }
      text { fill: #e6edf3 }
      .quiet { fill: #9198a1 }
      .pull { fill: #2fb592 } .peer { fill: #6e8299 } .floor { fill: #3d4a58 }
      .axis { stroke: #30363d }
    }
"""


def bars(data):
    """(kind, label, seconds, note) of each contender, the fastest of a group first."""
    made = []
    seconds = {c["name"]: median(t["seconds"] for t in c["timings"]) for c in data["contenders"]}
    for c in data["contenders"]:
        base = seconds.get(f"binary_pipe_1_{c['stage'] or '16'}")
        note = f"{base / seconds[c['name']]:.1f} ×" if base and c["kind"] != "floor" else ""
        label = c["label"] + (f" (into {c['stage']})" if c["stage"] and c["stage"] != "16" else "")
        made.append((c["kind"], label, seconds[c["name"]], note))
    return sorted(made, key=lambda bar: bar[2])


def draw(results):
    data = results["datasets"][0]
    made = bars(data)
    longest = max(bar[2] for bar in made)
    scale = (WIDTH - LABELS - RIGHT) / longest
    body = []
    y = TOP
    for kind, heading in GROUPS:
        group = [bar for bar in made if bar[0] == kind]
        if not group:
            continue
        body.append(f'<text class="quiet" x="{LABELS + 5}" y="{y + 10}">{escape(heading)}</text>')
        y += GROUP - 4
        for _, label, seconds, note in group:
            width = max(seconds * scale, 1)
            middle = y + BAR - 5
            body.append(f'<text x="{LABELS - 10}" y="{middle}" text-anchor="end">{escape(label)}</text>')
            body.append(f'<rect class="{kind}" x="{LABELS}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2"/>')
            figure = f"{seconds:.1f} s" + (f"  ·  {note}" if note else "")
            body.append(f'<text x="{LABELS + width + 7:.1f}" y="{middle}">{figure}</text>')
            y += STEP
        y += GROUP - 10
    body.append(f'<line class="axis" x1="{LABELS}" y1="{TOP - 4}" x2="{LABELS}" y2="{y - 10}"/>')
    versions = results["versions"]
    cores = results["machine"].partition(" (")[0]
    title = f"{data['rows']:,} statements of {data['text_bytes'] / data['rows'] / 1000:.1f} KB, seconds (less is better)"
    quiet = (f"PostgreSQL {versions['source']} to {versions['stage 16']}, {cores} for both; median of {data['rounds']}; "
             "× : times as fast as one binary COPY pipe")
    height = y + 2
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="{escape(title)}">',
        f"  <style>{STYLE}  </style>",
        f'  <rect class="ground" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
        f'  <text class="title" x="20" y="32">{escape(title)}</text>',
        f'  <text class="quiet" x="20" y="54">{escape(quiet)}</text>',
        *("  " + line for line in body),
        "</svg>",
    ]) + "\n"


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: chart.py RESULTS.json OUT.svg")
    out = Path(sys.argv[2])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(draw(json.loads(Path(sys.argv[1]).read_text())))


if __name__ == "__main__":
    main()
