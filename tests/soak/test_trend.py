"""The trend: what grows is found, what only wavers is not."""

from __future__ import annotations

import math

import pytest

from tests.soak.trend import Bound, trend

BOUND = Bound(share=0.1, least=5)


def test_a_figure_that_grows_is_found() -> None:
    found = trend("rss", [(at, 100 + at) for at in range(60)], BOUND)
    assert found is not None
    assert found.growth == pytest.approx(39)
    assert found.allowed == pytest.approx(found.median / 10)
    assert found.grows


def test_what_happens_in_the_first_third_does_not_count() -> None:
    found = trend("rss", [(at, min(at, 20) * 1000) for at in range(61)], BOUND)
    assert found is not None
    assert (found.growth, found.grows) == (0, False)


def test_what_wavers_or_falls_does_not_grow() -> None:
    for figure in (lambda at: 100 + 5 * math.sin(at), lambda at: 1000 - at):
        found = trend("tasks", [(at, figure(at)) for at in range(100)], BOUND)
        assert found is not None
        assert not found.grows


def test_a_little_is_allowed_however_small_the_figure() -> None:
    found = trend("threads", [(at, at / 20) for at in range(100)], BOUND)
    assert found is not None
    assert not found.grows


def test_of_too_few_points_nothing_is_said() -> None:
    assert trend("rss", [], BOUND) is None
    assert trend("rss", [(at, at) for at in range(10)], BOUND) is None
