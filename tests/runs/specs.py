"""What runs were asked for, with what a test does not care about filled in."""

from __future__ import annotations

from typing import Any

from graphwire_server.runs.request import RunSpec


def a_spec(**given: Any) -> RunSpec:
    """The spec of a run with input."""
    filled: dict[str, Any] = {
        "kind": "input",
        "value": {},
        "goto": [],
        "answers": {},
        "interrupt_before": [],
        "interrupt_after": [],
        "stream_modes": ["UPDATES"],
        "stream_subgraphs": False,
        "recursion_limit": 25,
        "tags": [],
        "configurable": {},
        "context": None,
        "metadata": {},
        "checkpoint_id": "",
        "discards": False,
        "durability": "SYNC",
        "multitask": "REJECT",
        "recovery": "CONTINUE",
    }
    return RunSpec(**(filled | given))
