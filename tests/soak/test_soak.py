"""The soak in short: each scenario, and nothing is wrong."""

from __future__ import annotations

from pathlib import Path

from tests.soak.scenarios import SCENARIOS
from tests.soak.soak import Plan, soak


def test_a_short_soak_finds_nothing_wrong(tmp_path: Path) -> None:
    report = soak(Plan(seconds=6, seed=1, callers=4, sample_seconds=1.5), tmp_path, print)
    assert report.wrong == []
    # On a slow machine some may not have had their turn.
    assert report.played.keys() <= {scenario.__name__ for scenario in SCENARIOS}
    assert report.played.total() >= len(SCENARIOS)
