"""Graphs with subgraphs that no breakpoint is compiled into: some wait until they may go on."""

from __future__ import annotations

from typing import Any

from ledgered.nodes import Inside, State, asks, beside, chain, step, waits


def _inside(**nodes: Any) -> Any:
    return chain(nodes, Inside)


def _step(name: str) -> Any:
    return step(name, key="steps")


def _waits(name: str) -> Any:
    return waits(name, key="steps")


def _parent(child: Any) -> Any:
    nodes = {"before": step("before"), "child": child, "after": step("after")}
    return chain(nodes, State).compile()


def _three() -> Any:
    return _inside(one=_step("one"), two=_step("two"), three=_step("three"))


def _branch(side: str) -> Any:
    nodes = {f"{side}1": _waits(f"{side}1"), f"{side}2": _step(f"{side}2")}
    return _inside(**nodes).compile()


inside = _parent(_three().compile())
inside_kept = _parent(_three().compile(checkpointer=True))
gated_inside = _parent(
    _inside(one=_step("one"), gate=_waits("gate"), three=_step("three")).compile()
)
gated_beside = beside({"left": _branch("left"), "right": _branch("right")}).compile()
gated_last = chain({"before": step("before"), "gate": waits("gate")}).compile()
ask_gated = chain({"ask": asks("name?"), "gate": waits("gate"), "after": step("after")}).compile()
