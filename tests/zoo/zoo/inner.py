"""Graphs in graphs: as nodes, and called by a node's code; with breakpoints compiled in."""

from __future__ import annotations

import asyncio
from typing import Any

from langchain_core.runnables import RunnableConfig

from zoo.log import Log, Node, writes, writes_in_thread
from zoo.questions import asks, beside, chain
from zoo.shapes import loop


def _danger(*stops: str) -> Any:
    return chain(one=writes("one"), danger=writes("danger")).compile(interrupt_before=list(stops))


both_stop = beside(left=_danger("danger"), right=_danger("danger")).compile()
each_node_stops = chain(child=_danger("one", "danger"), after=writes("after")).compile()
child_asks_and_stops = chain(
    child=chain(ask=asks("child"), danger=writes("danger")).compile(interrupt_before=["danger"]),
    after=writes("after"),
).compile()

stop_after_child = chain(
    child=chain(one=writes("one"), two=writes("two")).compile(interrupt_after=["two"]),
    after=writes("after"),
).compile()
stop_after_each_round = chain(
    child=loop.builder.compile(interrupt_after=["step"]), after=writes("after")
).compile()
stop_after_last = chain(
    child=chain(one=writes("one")).compile(interrupt_after=["one"]),
).compile(interrupt_after=["child"])

ask_in_child_with_memory = chain(
    before=writes("before"),
    child=chain(one=writes("one"), ask=asks("child"), two=writes("two")).compile(checkpointer=True),
    after=writes("after"),
).compile()
stop_in_child_with_memory = chain(
    child=chain(one=writes("one"), two=writes("two")).compile(
        checkpointer=True, interrupt_before=["two"]
    ),
    after=writes("after"),
).compile()

_called = chain(one=writes("one"), two=writes("two")).compile(
    interrupt_before=["two"], interrupt_after=["one"]
)
_called_in_thread = chain(one=writes_in_thread("one"), two=writes_in_thread("two")).compile(
    interrupt_before=["two"], interrupt_after=["one"]
)


async def _call(state: Log, config: RunnableConfig) -> Log:
    result = await _called.ainvoke({"log": ["call"]}, config)
    return {"log": ["called", *result["log"]]}


def _call_in_thread(state: Log, config: RunnableConfig) -> Log:
    result = _called_in_thread.invoke({"log": ["call"]}, config)
    return {"log": ["called", *result["log"]]}


def _calls(node: Node) -> Any:
    return chain(call=node, after=writes("after")).compile()


calls_graph = _calls(_call)
calls_graph_in_thread = _calls(_call_in_thread)

_stops_after = chain(one=writes("one"), two=writes("two"), three=writes("three")).compile(
    interrupt_after=["two"]
)
_stops_after_in_thread = chain(
    one=writes_in_thread("one"), two=writes_in_thread("two"), three=writes_in_thread("three")
).compile(interrupt_after=["two"])


async def _call_with_durability(state: Log, config: RunnableConfig) -> Log:
    durability = config["configurable"].get("called")
    result = await _stops_after.ainvoke({"log": ["call"]}, config, durability=durability)
    return {"log": ["called", *result["log"]]}


def _call_with_durability_in_thread(state: Log, config: RunnableConfig) -> Log:
    durability = config["configurable"].get("called")
    result = _stops_after_in_thread.invoke({"log": ["call"]}, config, durability=durability)
    return {"log": ["called", *result["log"]]}


#: The durability of the graph that they call is their configurable value `called`.
calls_beside_ask = beside(call=_call_with_durability, ask=asks("beside")).compile()
calls_beside_ask_in_thread = beside(
    call=_call_with_durability_in_thread, ask=asks("beside")
).compile()

ask_twice_without_saver = chain(
    before=writes("before"),
    child=chain(one=asks("one"), two=asks("two")).compile(checkpointer=False),
    after=writes("after"),
).compile()

_asks_and_stops = chain(ask=asks("call"), danger=writes("danger")).compile(
    interrupt_before=["danger"]
)


async def _call_twice(state: Log) -> Log:
    given: Any = {"log": []}
    return {"log": [name for _ in "12" for name in (await _asks_and_stops.ainvoke(given))["log"]]}


async def _call_thrice_at_once(state: Log) -> Log:
    given: Any = {"log": []}
    results = await asyncio.gather(*(_asks_and_stops.ainvoke(given) for _ in "123"))
    return {"log": [name for result in results for name in result["log"]]}


calls_twice = _calls(_call_twice)
calls_thrice_at_once = _calls(_call_thrice_at_once)

_stops_again = chain(one=writes("one"), two=writes("two")).compile(
    checkpointer=False, interrupt_after=["one"]
)


async def _call_what_stops_again(state: Log) -> Log:
    found = [_stops_again]
    await found[0].ainvoke(state)
    return {"log": ["called"]}


calls_what_stops_again = _calls(_call_what_stops_again)

_remembers = chain(one=writes("one"), two=writes("two")).compile(
    checkpointer=True, interrupt_before=["two"]
)


async def _call_with_memory(state: Log) -> Log:
    given: Any = {"log": ["given"]}
    return {"log": ["called", *(await _remembers.ainvoke(given))["log"]]}


calls_graph_with_memory = _calls(_call_with_memory)
