"""The benchmarks run, and print every number that they promise."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_quick_run_measures_every_variant(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--quick", "--folder", str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    rate, ratio, time = r"\d+ \(\d+ to \d+\)", r"\d+\.\d\d", r"\d+\.\d\d"
    for at_once in (1, 16):
        row = rf"^ *{at_once}( +{rate}){{3}}( +{ratio}){{2}} *$"
        assert re.search(row, done.stdout, re.MULTILINE), done.stdout
    for what in ("metadata", "task_started", "task_started of a resume"):
        row = rf"\b{what}( +{time}){{2}} +10 *$"
        assert re.search(row, done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"disk flush +\d+\.\d\d ms p50, \d+\.\d\d ms p99", done.stdout)
    assert list(tmp_path.iterdir()) == []
