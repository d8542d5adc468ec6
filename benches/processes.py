"""What /proc tells of a PostgreSQL server's processes: CPU time and memory."""

import os

TICKS = os.sysconf("SC_CLK_TCK")


def _stat(pid):
    """The fields of /proc/PID/stat after the name (which may hold anything); None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def children(postmaster):
    """The server's processes: all are children of the postmaster itself."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            stat = _stat(name)
            if stat and int(stat[1]) == postmaster:
                found.append(int(name))
    return found


def cpu_seconds(postmaster):
    """User and system time of a server so far: the postmaster's, that of the children it has
    reaped, and that of those which live."""
    while True:
        before = _stat(postmaster)
        if before is None:
            raise RuntimeError(f"the server with process {postmaster} is gone")
        stats = [_stat(pid) for pid in children(postmaster)]
        after = _stat(postmaster)
        # A child that ended meanwhile would be missing, or counted twice: look again.
        if after and before[13:15] == after[13:15] and None not in stats:
            own = sum(int(ticks) for ticks in after[11:15])
            return (own + sum(int(s[11]) + int(s[12]) for s in stats)) / TICKS


def title(pid):
    """What ps shows for a process, or nothing where it is gone."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def own_memory(pid):
    """Bytes of a process's own memory: anonymous pages that are resident. Not Private_* of smaps,
    which counts pages of shared_buffers that no other process has touched yet as private."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0
