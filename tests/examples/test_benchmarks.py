"""The benchmark runs, and prints every figure that it promises."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import graphwire
import pytest

from benchmarks.paused.clone import clone_threads
from benchmarks.workload import ANSWER, QUESTION
from tests.servers import WEATHER, ServerProcess

# Many servers start, one after another.
pytestmark = pytest.mark.timeout(240)

ROOT = Path(__file__).resolve().parents[2]

INPUT = {"messages": [{"role": "user", "content": QUESTION}]}

#: Some of the rows; `make bench-quick` has all of them measured.
ALONE = [
    ("first_event", "call to task_started, p50", " ms", "≤ 8 ms"),
    ("", "call to task_started, p99", " ms", "≤ 25 ms"),
    ("growth", "bytes per step at step 20 / at step 2", "×", "≤ 2×"),
]
AMONG_MANY = [("listing", "one page of 50, p50, 100 threads", " ms", "≤ 10 ms")]


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
        env={**os.environ, "COLUMNS": "140"},
    )


def assert_prints(printed: str, figures: Sequence[tuple[str, str, str, str]]) -> None:
    assert re.search(r"disk flush +\d+\.\d\d ms p50, \d+\.\d\d ms p99", printed)
    _, _, table = printed.rpartition("must reach")
    lines = [line.strip() for line in table.splitlines()[2:-1] if line.strip()]
    assert len(lines) == len(figures)
    for line, (row, what, unit, limit) in zip(lines, figures, strict=True):
        figure = rf"{row} *{re.escape(what)} +[\d,]+(\.\d+)?{unit} +{re.escape(limit)} +(ok|NOT)"
        assert re.fullmatch(figure, line)


def test_rows_are_measured(tmp_path: Path) -> None:
    done = run("--folder", str(tmp_path), "--only", ",".join(row for row, *_ in ALONE if row))
    assert (done.returncode, done.stderr) == (0, "")
    assert_prints(done.stdout, ALONE)
    assert list(tmp_path.iterdir()) == []


def test_rows_among_many_threads_keep_their_database(tmp_path: Path) -> None:
    rows = [row for row, *_ in AMONG_MANY if row]
    done = run("--folder", str(tmp_path), "--only", ",".join(rows))
    assert (done.returncode, done.stderr) == (0, "")
    assert_prints(done.stdout, AMONG_MANY)
    [kept] = tmp_path.iterdir()
    [database] = kept.iterdir()
    made = database.stat().st_mtime_ns

    done = run("--folder", str(tmp_path), "--only", "listing")
    assert (done.returncode, done.stderr) == (0, "")
    assert database.stat().st_mtime_ns == made


def test_a_run_ends_when_its_time_is_up(tmp_path: Path) -> None:
    done = run("--folder", str(tmp_path), "--only", "first_event,replay", "--limit", "0.5")
    assert done.returncode == 1
    assert re.search(r"first_event +not measured: TimeoutError", done.stdout)
    assert re.search(r"replay +not measured: no time was left", done.stdout)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "option, value", [("--only", "rates,nonsense"), ("--threads", "250"), ("--threads", "0")]
)
def test_options_that_make_no_sense_are_refused(option: str, value: str) -> None:
    done = run(option, value)
    assert done.returncode == 2
    assert f"argument {option}" in done.stderr


def test_a_copied_thread_is_a_thread_of_its_own(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data.db", WEATHER)
    try:
        with graphwire.Client(server.start().address) as client:
            original = client.threads.create().thread_id
            client.runs.run(original, "agent", input=INPUT, interrupt_before=["action"])
        server.stop()
        clone_threads(tmp_path / "data.db", copies=2)
        server.start()
        with graphwire.Client(server.address) as client:
            threads = list(client.threads.list(statuses=["INTERRUPTED"]))
            ids = {thread.thread_id for thread in threads}
            assert len(ids) == 3
            assert len({thread.pauses[0].pause_id for thread in threads}) == 3
            for copy in ids - {original}:
                [paused] = client.runs.list(copy)
                events = list(client.runs.join(paused.run_id))
                assert {event.run_id for event in events} == {paused.run_id}
                resumed = client.runs.run(copy, resume=True)
                assert resumed.values["messages"][-1]["content"] == ANSWER
            [left] = client.threads.list(statuses=["INTERRUPTED"])
            assert left.thread_id == original
    finally:
        server.stop()
