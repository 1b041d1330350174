"""Every shape of run, each with a script for its client and a model of what must hold."""

from tests.crash.scenarios import (
    branches,
    breakpoints,
    commands,
    conditions,
    edits,
    expiry,
    lives,
    questions,
    races,
    reviews,
    rollbacks,
    steering,
    subgraphs,
)
from tests.crash.scenarios.base import SCENARIOS, Gate, Scenario

__all__ = [
    "SCENARIOS",
    "Gate",
    "Scenario",
    "branches",
    "breakpoints",
    "commands",
    "conditions",
    "edits",
    "expiry",
    "lives",
    "questions",
    "races",
    "reviews",
    "rollbacks",
    "steering",
    "subgraphs",
]
