"""Reviews of tool calls hold whatever happens to the run: each is in the state exactly once."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from graphwire import errors
from graphwire_server.graphs.tool_calls import Decision
from graphwire_server.runs.request import ResumeStart
from graphwire_server.storage.records import PauseStatus, RunRecord
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import RetryPolicy, Send

from tests.runs.in_process import DEADLINE, Ended, Ledger, Services, serving

GATES: dict[str, Any] = {"interrupt_before": ("tools",)}
QUESTION = {"messages": [{"role": "user", "content": "go", "id": "q"}]}
EDIT = Decision("a", "edit", args={"n": 9})
REJECT = Decision("b", "reject", message="no")

#: What is in the state when the first call was edited and the second one rejected.
REVIEWED = [
    ["a", {"n": 9}, "b", {"n": 2}],
    ["b", "error", "no"],
    ["a", "success", "9"],
]


class Tools:
    """The tool calls of a message, run by a node that can be made to misbehave.

    Attributes:
        ledger: The arguments that it was run with, in order.
        started: Set when the node has run its calls, and waits.
        blocks: Whether it waits, the next time, for ever.
        fails: How often it fails from now on, when it has run its calls.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.started = asyncio.Event()
        self.blocks = False
        self.fails = 0

    async def run(self, state: Any) -> dict[str, Any]:
        """Runs the calls of the last message, or those that it was sent."""
        calls = state if isinstance(state, list) else state["messages"][-1].tool_calls
        self.ledger.extend(f"{call['id']} {call['args']['n']}" for call in calls)
        await self.misbehave()
        results = [ToolMessage(str(c["args"]["n"]), tool_call_id=c["id"]) for c in calls]
        return {"messages": results}

    async def misbehave(self) -> None:
        """Waits for ever, or fails, if it is to."""
        if self.fails:
            self.fails -= 1
            raise RuntimeError("out of order")
        if self.blocks:
            self.blocks = False
            self.started.set()
            await asyncio.Event().wait()

    def graph(self, *, sends: bool = False, **options: Any) -> Any:
        """A model that makes two calls, and the node that runs them."""
        builder: Any = StateGraph(MessagesState)
        builder.add_node("model", _ask)
        builder.add_node("tools", self.run, **options)
        builder.add_edge(START, "model")
        if sends:
            builder.add_conditional_edges("model", _send, ["tools"])
        else:
            builder.add_edge("model", "tools")
        return builder.compile()


async def _ask(state: MessagesState) -> dict[str, Any]:
    calls: Any = [
        {"id": name, "name": "tool", "args": {"n": n}, "type": "tool_call"}
        for name, n in (("a", 1), ("b", 2))
    ]
    return {"messages": [AIMessage("", id="asks", tool_calls=calls)]}


def _send(state: MessagesState) -> list[Send]:
    last = state["messages"][-1]
    assert isinstance(last, AIMessage)
    return [Send("tools", [call]) for call in last.tool_calls]


@pytest.fixture
def tools(ledger: Ledger) -> Tools:
    return Tools(ledger)


async def pause(server: Services, value: Any = QUESTION) -> Ended:
    """Runs to the pause before the tools."""
    ended = await server.start(value, **GATES)
    assert ended.waits[0] == ("BREAKPOINT_BEFORE", "tools")
    return ended


async def review(server: Services, thread_id: str, *decisions: Decision) -> RunRecord:
    """Begins to go on with a review of the one pause."""
    return await server.begin(ResumeStart(review=decisions), thread_id)


async def review_each(server: Services, thread_id: str, **reviews: Decision) -> Ended:
    """Goes on with a decision for each pause."""
    given = tuple((pause_id, (decision,)) for pause_id, decision in reviews.items())
    return await server.end_of(await server.begin(ResumeStart(reviews=given), thread_id))


async def messages(server: Services, thread_id: str) -> list[Any]:
    """The messages in the state after the question, in short."""
    thread = await server.storage.read(lambda db: db.thread(thread_id, values=True))
    assert thread is not None
    assert thread.values is not None
    found: list[Any] = []
    for message in json.loads(thread.values)["messages"][1:]:
        if message["type"] == "ai":
            found.append([part for c in message["tool_calls"] for part in (c["id"], c["args"])])
        else:
            found.append([message["tool_call_id"], message["status"], message["content"]])
    return found


async def test_a_review_holds_when_the_server_is_lost_while_the_tools_run(
    tmp_path: Path, tools: Tools
) -> None:
    async with serving(tmp_path, tools.graph()) as server:
        thread_id = (await pause(server)).thread_id
        tools.blocks = True
        run = await review(server, thread_id, EDIT, REJECT)
        await tools.started.wait()
        await server.lose_lease()
        ended = await server.end_of(run)
        assert (ended.status, tools.ledger) == ("SUCCEEDED", ["a 9", "a 9"])
        assert await messages(server, thread_id) == REVIEWED


async def test_the_result_of_reviewed_tools_is_there_once_when_their_step_is_recovered(
    tmp_path: Path, tools: Tools
) -> None:
    waits = True

    async def beside(state: MessagesState) -> dict[str, Any]:
        nonlocal waits
        if waits:
            waits = False
            await asyncio.Event().wait()
        return {}

    builder: Any = StateGraph(MessagesState)
    builder.add_node("model", _ask)
    builder.add_node("tools", tools.run)
    builder.add_node("beside", beside)
    builder.add_edge(START, "model")
    builder.add_edge("model", "tools")
    builder.add_edge("model", "beside")
    async with serving(tmp_path, builder.compile()) as server:
        thread_id = (await pause(server)).thread_id
        run = await review(server, thread_id, EDIT, REJECT)
        # Their result is kept, but in no checkpoint: the node beside them waits for ever.
        async with asyncio.timeout(DEADLINE):
            while not await server.storage.read(lambda db: db.events(run.run_id, after=1, limit=1)):
                await asyncio.sleep(0.01)
        await server.lose_lease()
        ended = await server.end_of(run)
        assert (ended.status, tools.ledger) == ("SUCCEEDED", ["a 9"])
        assert [node for node, _ in ended.told("updates")].count("tools") == 1
        assert await messages(server, thread_id) == REVIEWED


async def test_a_review_holds_when_the_node_fails_and_is_tried_again(
    tmp_path: Path, tools: Tools
) -> None:
    policy = RetryPolicy(initial_interval=0.01, retry_on=RuntimeError, max_attempts=2)
    async with serving(tmp_path, tools.graph(retry_policy=policy)) as server:
        thread_id = (await pause(server)).thread_id
        tools.fails = 1
        ended = await server.end_of(await review(server, thread_id, EDIT, REJECT))
        assert (ended.status, tools.ledger) == ("SUCCEEDED", ["a 9", "a 9"])
        assert await messages(server, thread_id) == REVIEWED


async def test_a_review_holds_when_the_run_fails_and_the_thread_is_resumed(
    tmp_path: Path, tools: Tools
) -> None:
    async with serving(tmp_path, tools.graph()) as server:
        thread_id = (await pause(server)).thread_id
        tools.fails = 1
        ended = await server.end_of(await review(server, thread_id, EDIT, REJECT))
        assert ended.status == "FAILED"
        assert await messages(server, thread_id) == [["a", {"n": 1}, "b", {"n": 2}]]
        assert (await server.resume(thread_id)).status == "SUCCEEDED"
        assert tools.ledger == ["a 9", "a 9"]
        assert await messages(server, thread_id) == REVIEWED


async def test_a_review_holds_when_the_run_is_cancelled_and_the_thread_is_resumed(
    tmp_path: Path, tools: Tools
) -> None:
    async with serving(tmp_path, tools.graph()) as server:
        thread_id = (await pause(server)).thread_id
        tools.blocks = True
        run = await review(server, thread_id, EDIT, REJECT)
        await tools.started.wait()
        await server.runs.cancel(run.run_id)
        assert (await server.end_of(run)).status == "CANCELLED"
        assert (await server.resume(thread_id)).status == "SUCCEEDED"
        assert tools.ledger == ["a 9", "a 9"]
        assert await messages(server, thread_id) == REVIEWED


@pytest.mark.parametrize("first", [0, 1])
async def test_reviews_of_tasks_in_runs_of_their_own_are_all_there(
    tmp_path: Path, tools: Tools, first: int
) -> None:
    edits = [EDIT, Decision("b", "edit", args={"n": 8})]
    async with serving(tmp_path, tools.graph(sends=True)) as server:
        ended = await pause(server)
        ids = [each.pause_id for each in ended.pauses]
        await review_each(server, ended.thread_id, **{ids[first]: edits[first]})
        second = 1 - first
        await review_each(server, ended.thread_id, **{ids[second]: edits[second]})
        assert await messages(server, ended.thread_id) == [
            ["a", {"n": 9}, "b", {"n": 8}],
            ["a", "success", "9"],
            ["b", "success", "8"],
        ]


async def test_of_two_reviews_at_once_one_counts(tmp_path: Path, tools: Tools) -> None:
    async with serving(tmp_path, tools.graph()) as server:
        ended = await pause(server)
        both = await asyncio.gather(
            review(server, ended.thread_id, EDIT, REJECT),
            review(server, ended.thread_id, Decision("a", "reject"), Decision("b", "approve")),
            return_exceptions=True,
        )
        (run,) = [each for each in both if isinstance(each, RunRecord)]
        (refused,) = [each for each in both if not isinstance(each, RunRecord)]
        assert isinstance(refused, errors.FailedPreconditionError)
        assert (await server.end_of(run)).status == "SUCCEEDED"
        assert tools.ledger in (["a 9"], ["b 2"])
        with pytest.raises(errors.PauseNotOpenError):
            await review_each(server, ended.thread_id, **{ended.pauses[0].pause_id: EDIT})


async def test_a_review_is_kept_with_its_pause(tmp_path: Path, tools: Tools) -> None:
    async with serving(tmp_path, tools.graph()) as server:
        ended = await pause(server)
        run = await review(server, ended.thread_id, REJECT, EDIT)
        await server.end_of(run)
        (kept,) = await server.storage.read(lambda db: db.pauses_of_run(ended.run.run_id))
        assert kept.status is PauseStatus.RESUMED
        assert kept.resolved_by_run_id == run.run_id
        assert kept.tool_calls == (
            '[{"id":"a","name":"tool","args":{"n":1}},{"id":"b","name":"tool","args":{"n":2}}]'
        )
        assert kept.review == (
            '[{"tool_call_id":"b","decision":"reject","message":"no"},'
            '{"tool_call_id":"a","decision":"edit","args":{"n":9}}]'
        )


async def test_the_same_review_again_is_the_same_run(tmp_path: Path, tools: Tools) -> None:
    async with serving(tmp_path, tools.graph()) as server:
        thread_id = (await pause(server)).thread_id
        start = ResumeStart(review=(EDIT, REJECT))
        first = await server.begin(start, thread_id, request_id="once")
        await server.end_of(first)
        again = await server.begin(start, thread_id, request_id="once")
        assert again.run_id == first.run_id
        other = ResumeStart(review=(EDIT, Decision("b", "approve")))
        with pytest.raises(errors.RequestIdReusedError):
            await server.begin(other, thread_id, request_id="once")


async def test_a_fork_knows_nothing_of_a_review(tmp_path: Path, tools: Tools) -> None:
    async with serving(tmp_path, tools.graph()) as server:
        ended = await pause(server)
        await server.end_of(await review(server, ended.thread_id, EDIT, REJECT))
        there = ended.pauses[0].checkpoint_id
        with pytest.raises(errors.InvalidFieldError, match="leave answers, reviews and pause ids"):
            await server.begin(
                ResumeStart(review=(EDIT, REJECT)), ended.thread_id, checkpoint_id=there
            )
        forked = await server.resume(ended.thread_id, checkpoint_id=there)
        assert forked.waits == [("BREAKPOINT_BEFORE", "tools")]
        await server.resume(ended.thread_id)
        assert tools.ledger == ["a 9", "a 1", "b 2"]


async def test_a_pause_that_somebody_asked_for_takes_a_review(tmp_path: Path, tools: Tools) -> None:
    async with serving(tmp_path, tools.graph()) as server:
        ended = await server.start(QUESTION, interrupt_before=("model",))
        stepped = await server.begin(ResumeStart(step="INTO"), ended.thread_id)
        assert (await server.end_of(stepped)).waits == [("PAUSE", "tools")]
        await server.end_of(await review(server, ended.thread_id, EDIT, REJECT))
        assert tools.ledger == ["a 9"]
        assert await messages(server, ended.thread_id) == REVIEWED
