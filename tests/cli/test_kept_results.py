"""Results that a step kept while it waited: told again by the run that goes on, shown once."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

from graphwire.events import Updates
from graphwire_server.cli.view import HumanView
from rich.console import Console


def update(node: str, said: Any, *, cached: bool = False) -> Updates:
    now = datetime.now(UTC)
    return Updates(
        run_id="r",
        sequence=1,
        attempt=1,
        time=now,
        namespace=(),
        node=node,
        update=said,
        cached=cached,
    )


def shown(*events: Updates, seen: set[str]) -> str:
    """What a view shows of some updates, after runs that have shown others."""
    text = io.StringIO()
    with HumanView(Console(file=text, width=80), goes_on=True, shown=seen) as view:
        for event in events:
            view.show(event)
    return text.getvalue()


def test_what_the_run_before_has_shown_is_not_shown_again() -> None:
    seen: set[str] = set()
    assert "● left" in shown(update("left", {"log": ["yes"]}), seen=seen)
    again = shown(
        update("left", {"log": ["yes"]}, cached=True), update("right", {"log": ["no"]}), seen=seen
    )
    assert "left" not in again
    assert "● right" in again


def test_what_nobody_has_shown_is_shown_kept_or_not() -> None:
    seen: set[str] = set()
    kept = update("left", {"log": ["yes"]}, cached=True)
    # Twice in one run: the graph's own cache, round for round.
    assert shown(kept, update("x", 1), kept, seen=seen).count("● left") == 2
    other = update("left", {"log": ["other"]}, cached=True)
    assert "other" in shown(other, seen=seen)


def test_a_node_that_runs_again_is_shown_again() -> None:
    seen: set[str] = set()
    same = update("left", {"log": ["yes"]})
    assert "● left" in shown(same, seen=seen)
    assert "● left" in shown(same, seen=seen)
