"""`client.threads`: copies, states to begin with, search, subgraphs, what is kept."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import graphwire
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from graphwire import (
    AsyncClient,
    Breakpoint,
    Command,
    Goto,
    Resume,
    StateUpdate,
    StorageAmount,
    ThreadStatus,
)
from graphwire.v1 import breakpoint_pb2, run_pb2
from graphwire.v1 import threads_pb2 as pb

from . import wire
from .scripted import ScriptedServer
from .test_client_threads import without_id

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
THREAD_SOURCE = breakpoint_pb2.BREAKPOINT_SOURCE_THREAD
BEFORE = breakpoint_pb2.BREAKPOINT_POSITION_BEFORE


async def test_create_sends_a_state_and_breakpoints(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on("CreateThread", pb.CreateThreadResponse(thread=wire.thread()))
    await client.threads.create(
        assistant_id="agent",
        supersteps=[
            StateUpdate("__input__", {"n": 1}),
            [StateUpdate("left", None), StateUpdate("right", [2])],
            StateUpdate("done", command=Command(update={"n": 3}, goto=["left", Goto("right", 4)])),
        ],
        breakpoints=["action", Breakpoint("tools", "state.n > 1", label="careful")],
    )
    (request,) = scripted.requests("CreateThread")
    assert without_id(request) == pb.CreateThreadRequest(
        assistant_id="agent",
        supersteps=[
            pb.Superstep(
                updates=[pb.StateUpdate(as_node="__input__", values=wire.payload('{"n":1}'))]
            ),
            pb.Superstep(
                updates=[
                    pb.StateUpdate(as_node="left", values=wire.payload("null")),
                    pb.StateUpdate(as_node="right", values=wire.payload("[2]")),
                ]
            ),
            pb.Superstep(
                updates=[
                    pb.StateUpdate(
                        as_node="done",
                        command=pb.NodeCommand(
                            update=wire.payload('{"n":3}'),
                            goto=[
                                run_pb2.Goto(node="left"),
                                run_pb2.Goto(node="right", input=wire.payload("4")),
                            ],
                        ),
                    )
                ]
            ),
        ],
        breakpoints=[
            breakpoint_pb2.Breakpoint(node="action"),
            breakpoint_pb2.Breakpoint(
                node="tools", position=BEFORE, condition="state.n > 1", label="careful"
            ),
        ],
    )


async def test_a_value_that_json_cannot_hold_is_refused_with_its_place(
    client: AsyncClient,
) -> None:
    both = [StateUpdate("b", {}), StateUpdate("c", {"x": object()})]
    with pytest.raises(graphwire.InvalidPayloadError, match=r"supersteps\[1\].updates\[1\].values"):
        await client.threads.create(assistant_id="agent", supersteps=[StateUpdate("a", {}), both])
    command = Command(goto=Goto("c", object()))
    with pytest.raises(
        graphwire.InvalidPayloadError, match=r"supersteps\[0\].updates\[0\].command.goto\[0\].input"
    ):
        await client.threads.create(
            assistant_id="agent", supersteps=[StateUpdate("a", command=command)]
        )


@pytest.mark.parametrize("step", [{"values": {}}, [{"values": {}}]])
async def test_a_superstep_of_something_else_is_refused(client: AsyncClient, step: Any) -> None:
    with pytest.raises(TypeError, match=r"supersteps\[0\].updates\[0\] is .*: it must be a StateU"):
        await client.threads.create(assistant_id="agent", supersteps=[step])


async def test_breakpoints_that_a_thread_has_can_be_given_back(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    stored = breakpoint_pb2.Breakpoint(
        breakpoint_id="b", node="action", position=BEFORE, source=THREAD_SOURCE
    )
    thread = wire.thread("t")
    thread.breakpoints.append(stored)
    scripted.on("GetThread", pb.GetThreadResponse(thread=thread))
    scripted.on("UpdateThread", pb.UpdateThreadResponse(thread=thread))
    found = await client.threads.get("t")
    assert [(each.breakpoint_id, each.source) for each in found.breakpoints] == [("b", "THREAD")]
    changed = await client.threads.update("t", breakpoints=[*found.breakpoints, "tools"])
    await client.threads.update("t", breakpoints=())
    await client.threads.update("t", {"a": 1})
    assert changed.breakpoints == found.breakpoints
    more, none, unsaid = (without_id(each) for each in scripted.requests("UpdateThread"))
    own = breakpoint_pb2.Breakpoint(breakpoint_id="b", node="action", position=BEFORE)
    both = [own, breakpoint_pb2.Breakpoint(node="tools")]
    assert more == pb.UpdateThreadRequest(
        thread_id="t", breakpoints=breakpoint_pb2.BreakpointList(breakpoints=both)
    )
    assert none == pb.UpdateThreadRequest(
        thread_id="t", breakpoints=breakpoint_pb2.BreakpointList()
    )
    assert unsaid == pb.UpdateThreadRequest(thread_id="t", metadata=wire.payload('{"a":1}'))


async def test_breakpoints_of_somebody_else_cannot(client: AsyncClient) -> None:
    of_assistant = Breakpoint("a", source=graphwire.BreakpointSource.ASSISTANT)
    with pytest.raises(TypeError, match=r"breakpoints\.breakpoints\[0\] was set by the assistant"):
        await client.threads.update("t", breakpoints=of_assistant)


async def test_list_sends_how_it_sorts_and_what_it_returns(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    message = pb.Thread(
        thread_id="t",
        values=wire.payload('{"log":[1]}'),
        extracted={"last": wire.payload("1"), "none": wire.payload("null")},
        state_update_time=wire.NOON,
    )
    scripted.on("ListThreads", pb.ListThreadsResponse(threads=[message]))
    (found,) = [
        thread
        async for thread in client.threads.list(
            thread_ids=["t", "u"],
            order_by="state_update_time",
            direction=graphwire.SortDirection.ASCENDING,
            read_mask=["thread_id", "values"],
            extract={"last": "log[-1]", "none": "count"},
        )
    ]
    assert scripted.requests("ListThreads") == [
        pb.ListThreadsRequest(
            filter=pb.ThreadFilter(thread_ids=["t", "u"]),
            order_by=pb.THREAD_ORDER_STATE_UPDATE_TIME,
            direction=pb.SORT_DIRECTION_ASCENDING,
            read_mask=FieldMask(paths=["thread_id", "values"]),
            extract={"last": "log[-1]", "none": "count"},
        )
    ]
    assert (found.values, found.state_update_time) == ({"log": [1]}, NOON)
    assert found.extracted == {"last": 1, "none": None}
    # What the mask leaves out is empty.
    assert (found.status, found.metadata) == (ThreadStatus.UNKNOWN, None)


async def test_get_and_count_take_a_mask_and_ids(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on("GetThread", pb.GetThreadResponse(thread=wire.thread("t")))
    scripted.on("CountThreads", pb.CountThreadsResponse(count=2))
    await client.threads.get("t", read_mask="values")
    assert await client.threads.count(thread_ids="t") == 2
    assert scripted.requests("GetThread") == [
        pb.GetThreadRequest(thread_id="t", read_mask=FieldMask(paths=["values"]))
    ]
    assert scripted.requests("CountThreads") == [
        pb.CountThreadsRequest(filter=pb.ThreadFilter(thread_ids=["t"]))
    ]


async def test_copy_returns_the_copy(client: AsyncClient, scripted: ScriptedServer) -> None:
    scripted.on("CopyThread", pb.CopyThreadResponse(thread=wire.thread("copy")))
    assert (await client.threads.copy("t", "copy")).thread_id == "copy"
    await client.threads.copy("t", request_id="own")
    named, chosen = scripted.requests("CopyThread")
    assert without_id(named) == pb.CopyThreadRequest(thread_id="t", new_thread_id="copy")
    assert chosen == pb.CopyThreadRequest(thread_id="t", request_id="own")


async def test_prune_returns_how_many(client: AsyncClient, scripted: ScriptedServer) -> None:
    scripted.on("PruneThreads", pb.PruneThreadsResponse(pruned_count=1))
    assert await client.threads.prune("t", "delete") == 1
    await client.threads.prune(["t", "u"], graphwire.PruneStrategy.KEEP_LATEST)
    assert scripted.requests("PruneThreads") == [
        pb.PruneThreadsRequest(thread_ids=["t"], strategy=pb.PRUNE_STRATEGY_DELETE),
        pb.PruneThreadsRequest(thread_ids=["t", "u"], strategy=pb.PRUNE_STRATEGY_KEEP_LATEST),
    ]
    with pytest.raises(graphwire.InvalidFieldError, match="none of DELETE, KEEP_LATEST"):
        await client.threads.prune("t", "everything")


async def test_storage_returns_what_there_is(client: AsyncClient, scripted: ScriptedServer) -> None:
    scripted.on(
        "GetThreadStorage",
        pb.GetThreadStorageResponse(
            checkpoints=pb.StorageAmount(count=1, bytes=2),
            channel_values=pb.StorageAmount(count=3, bytes=4),
            channels={"log": pb.StorageAmount(count=3, bytes=4)},
            writes=pb.StorageAmount(),
            events=pb.StorageAmount(count=5, bytes=6),
            run_count=7,
        ),
    )
    values = StorageAmount(count=3, bytes=4)
    assert await client.threads.storage("t") == graphwire.ThreadStorage(
        checkpoints=StorageAmount(count=1, bytes=2),
        channel_values=values,
        channels={"log": values},
        writes=StorageAmount(count=0, bytes=0),
        events=StorageAmount(count=5, bytes=6),
        run_count=7,
    )


async def test_states_of_subgraphs_are_asked_for_by_their_namespace(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    namespace = ("child:1", "low:2")
    state = pb.ThreadState(namespace=namespace, checkpoint_id="c")
    scripted.on("GetThreadState", pb.GetThreadStateResponse(state=state))
    scripted.on("UpdateThreadState", pb.UpdateThreadStateResponse(state=state))
    scripted.on("ListThreadHistory", pb.ListThreadHistoryResponse(states=[state]))
    assert (await client.threads.state("t", namespace=namespace)).namespace == namespace
    await client.threads.update_state("t", {"a": 1}, namespace=namespace)
    history: dict[str, Any] = {"before_checkpoint_id": "b", "metadata": {"source": "update"}}
    found = [s async for s in client.threads.history("t", namespace=namespace, **history)]
    assert [each.checkpoint_id for each in found] == ["c"]
    assert scripted.requests("GetThreadState") == [
        pb.GetThreadStateRequest(thread_id="t", namespace=namespace)
    ]
    (edit,) = scripted.requests("UpdateThreadState")
    assert without_id(edit) == pb.UpdateThreadStateRequest(
        thread_id="t", values=wire.payload('{"a":1}'), namespace=namespace
    )
    assert scripted.requests("ListThreadHistory") == [
        pb.ListThreadHistoryRequest(
            thread_id="t",
            before_checkpoint_id="b",
            metadata=wire.payload('{"source":"update"}'),
            namespace=namespace,
        )
    ]


def test_an_update_with_the_node_second_is_refused() -> None:
    swapped: Any = ({"n": 1}, "left")
    with pytest.raises(TypeError, match=r"as_node is the name of a node, not dict: StateUpdate"):
        StateUpdate(*swapped)
    other: Any = {"goto": "b"}
    with pytest.raises(TypeError, match=r"command is \{'goto': 'b'\}: it must be Command\(…\)"):
        StateUpdate("a", command=other)
    with pytest.raises(TypeError, match="command has a resume: that is for a run"):
        StateUpdate("a", command=Command(resume=Resume()))
