#!/usr/bin/env python3
"""Runs a command and meanwhile watches the memory of a server's processes.

    memory.py POSTMASTER_PID TITLE FILE COMMAND …

FILE gets a line for each process whose title (as ps shows it) holds TITLE: its pid and the most
memory of its own that it had at a look, in MB. Exits as the command does.
"""

import subprocess
import sys

from processes import children, own_memory, title

INTERVAL = 0.1


def main():
    postmaster, wanted, file, *command = sys.argv[1:]
    peaks = {}
    with subprocess.Popen(command) as running:
        while True:
            for pid in children(int(postmaster)):
                if wanted in title(pid):
                    peaks[pid] = max(peaks.get(pid, 0), own_memory(pid))
            try:
                status = running.wait(INTERVAL)
                break
            except subprocess.TimeoutExpired:
                continue
    with open(file, "w", encoding="utf-8") as out:
        for pid, peak in sorted(peaks.items()):
            out.write(f"{pid} {peak / 2**20:.1f}\n")
    sys.exit(status)


if __name__ == "__main__":
    main()
