"""What the numbers depend on: the machine, its disk, the versions of what runs."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("langgraph", "langgraph-checkpoint-sqlite", "grpcio", "protobuf", "uvloop")

_FLUSHES = 300
#: About what a small commit appends to SQLite's write-ahead log, in bytes.
_APPENDED = 4096


def machine() -> str:
    """Says what the machine is, and how busy it is."""
    return f"{os.cpu_count()} CPUs, {platform.machine()}, {platform.system()}, {load()} now"


def load() -> str:
    """Says how busy the machine was in the last minute."""
    return f"load average {os.getloadavg()[0]:.1f}"


def versions() -> str:
    """Names the versions of what runs."""
    packages = [f"{name} {version(name)}" for name in PACKAGES]
    python = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    return ", ".join([python, *packages])


def flush_times(folder: Path) -> list[float]:
    """Returns how long it takes, in seconds, until a small append to a file is on the disk."""
    times = []
    with (folder / "flushes").open("wb", buffering=0) as file:
        for _ in range(_FLUSHES):
            start = time.perf_counter()
            file.write(bytes(_APPENDED))
            os.fsync(file.fileno())
            times.append(time.perf_counter() - start)
    return times


def resident(pid: int) -> int:
    """Returns the resident memory of a process, in bytes."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii")
    except FileNotFoundError:  # not Linux
        kibibytes = subprocess.check_output(["ps", "-o", "rss=", "-p", str(pid)], text=True)
    else:
        kibibytes = status.partition("VmRSS:")[2].split()[0]
    return int(kibibytes) * 1024
