"""Graphs with subgraphs that ask and stop, alone and beside other branches."""

from __future__ import annotations

from typing import Any, Literal

from langgraph.graph import StateGraph

from ledgered.nodes import Inside, asks, beside, chain, step

#: What a subgraph's `checkpointer` may be here. With False it has nothing to go on from.
Checkpointer = Literal[True] | None

_SLOW_STEPS = tuple(f"slow{number}" for number in range(4))


def _inside(**nodes: Any) -> StateGraph[Any]:
    return chain(nodes, Inside)


def _steps(*names: str, slowly: bool = False) -> dict[str, Any]:
    return {name: step(name, key="steps", slowly=slowly) for name in names}


def _parent(child: Any) -> Any:
    nodes = {"before": step("before"), "child": child, "after": step("after")}
    return chain(nodes).compile()


def _asking(checkpointer: Checkpointer) -> Any:
    first, last = _steps("one"), _steps("three")
    graph = _inside(**first, two=asks("inside?", key="steps"), **last)
    return _parent(graph.compile(checkpointer=checkpointer))


def _stopping(checkpointer: Checkpointer) -> Any:
    graph = _inside(**_steps("confirm", "danger", "report"))
    stops = ["confirm", "danger"]
    return _parent(graph.compile(checkpointer=checkpointer, interrupt_before=stops))


def _stopping_after(checkpointer: Checkpointer, node: str) -> Any:
    graph = _inside(**_steps("one", "two", "three"))
    return _parent(graph.compile(checkpointer=checkpointer, interrupt_after=[node]))


def _beside_an_answer(checkpointer: Checkpointer) -> Any:
    graph = _inside(**_steps("one", "danger"))
    child = graph.compile(checkpointer=checkpointer, interrupt_before=["danger"])
    return beside({"child": child, "ask": asks("beside?")}).compile()


def _deep() -> Any:
    first, last = _steps("one"), _steps("three")
    low = _inside(**first, two=asks("deep?", key="steps"), **last)
    middle = _inside(low=low.compile(interrupt_before=["two"], interrupt_after=["two"]))
    return _parent(middle.compile())


def _beside_slow_steps() -> Any:
    graph = _inside(**_steps("one", "danger"))
    slow = _inside(**_steps(*_SLOW_STEPS, slowly=True))
    child = graph.compile(interrupt_before=["danger"])
    return beside({"child": child, "slow": slow.compile()}).compile()


def _two_stopping() -> Any:
    def stopping(name: str) -> Any:
        graph = _inside(**_steps(f"{name}1", f"{name}2"))
        return graph.compile(interrupt_before=[f"{name}2"])

    return beside({"left": stopping("left"), "right": stopping("right")}).compile()


ask_inside = _asking(None)
ask_inside_kept = _asking(True)
stop_inside = _stopping(None)
stop_inside_kept = _stopping(True)
stop_after_inside = _stopping_after(None, "one")
stop_after_inside_kept = _stopping_after(True, "one")
stop_after_last_inside = _stopping_after(None, "three")
stop_after_last_inside_kept = _stopping_after(True, "three")
stop_beside_question = _beside_an_answer(None)
stop_beside_question_kept = _beside_an_answer(True)
deep = _deep()
stop_beside_slow = _beside_slow_steps()
two_stopping = _two_stopping()
mixed = beside(
    {"danger1": step("danger1"), "danger2": step("danger2"), "ask": asks("beside?")}
).compile()
