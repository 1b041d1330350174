"""Measures what a breakpoint's condition costs: `python -m benchmarks.conditions`.

It is done in this process alone, and takes some seconds: what it costs to compile a condition,
to ask it about states of so many messages, and how long the costliest ones run until their
budget is used up.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from graphwire_server.graphs.conditions import (
    Condition,
    ConditionFailed,
    Variables,
    compile_condition,
)
from graphwire_server.graphs.conditions.types import LIST
from langchain_core.messages import AIMessage
from rich.console import Console
from rich.markup import escape
from rich.table import Table

LAST = 'state.messages[-1].tool_calls.exists(t, t.name == "refund" && t.args.amount > 100)'
ALL = 'state.messages.exists(m, m.type == "tool")'
MESSAGES = (10, 1_000, 10_000)
#: What runs until its budget is used up, each in a way of its own.
COSTLY = {
    "turns": "state.numbers.all(a, state.numbers.all(b, true))",
    "failures": "state.numbers.all(a, 1 / 0 == 1)",
    "lists": "state.numbers.map(a, [a, a] + [a] + [a]) == []",
    "comparisons": "state.numbers == state.same",
    "objects": ALL,
    "a pattern": "state.numbers.all(a, state.text.matches('(?:a?){300}a{300}'))",
    "patterns": "state.numbers.all(a, !state.text.matches('b{300}' + string(a)))",
}
_ROUNDS = 7
#: The keys of the state.
MESSAGES_ONLY = {"messages": LIST}


def main() -> None:
    """Measures, and prints a table."""
    table = Table("what", "condition", "µs", title="Conditions: median of each")
    compiled = compile_condition(LAST, MESSAGES_ONLY)
    table.add_row(
        "compile", escape(LAST), _shown(lambda: compile_condition(LAST, MESSAGES_ONLY), 200)
    )
    for messages in MESSAGES:
        asked = _variables(messages)
        table.add_row(
            f"false, {messages} messages", escape(LAST), _shown(_asking(compiled, asked), 1000)
        )
    for messages in MESSAGES[:2]:
        asked = _variables(messages)
        scan = _asking(compile_condition(ALL, MESSAGES_ONLY), asked)
        table.add_row(f"false, {messages} messages", ALL, _shown(scan, 10))
    everything = _variables(MESSAGES[-1])
    for name, text in COSTLY.items():
        costly = _asking(compile_condition(text, None), everything)
        table.add_row(f"too much: {name}", escape(text), _shown(costly, 1))
    Console(width=140).print(table)


def _variables(messages: int) -> Variables:
    """Returns what is asked about: a state whose every message calls a tool."""
    call = {"name": "refund", "args": {"amount": 100}, "id": "c"}
    state = {
        "messages": [AIMessage("", id=str(n), tool_calls=[call]) for n in range(messages)],
        "numbers": list(range(100_000)),
        "same": list(range(100_000)),
        "text": "a" * 1_000,
    }
    return Variables(
        node="tools",
        step=1,
        task_id="t",
        task_input=lambda: state,
        state=lambda: state,
        metadata=dict,
    )


def _asking(condition: Condition, variables: Variables) -> Callable[[], None]:
    def ask() -> None:
        try:
            held = condition.holds(variables)
        except ConditionFailed as failed:
            if "costs more" not in failed.message:
                raise
        else:
            assert not held

    return ask


def _shown(work: Callable[[], object], times: int) -> str:
    """Returns the microseconds that a call takes, the median of some rounds of so many."""
    rounds = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        for _ in range(times):
            work()
        rounds.append((time.perf_counter() - start) / times * 1e6)
    return f"{statistics.median(rounds):,.1f}"


if __name__ == "__main__":
    main()
