"""Every kind of event becomes its class, with Python values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import graphwire
from graphwire import AsyncClient, Event, MessageRole, PauseKind, RunStatus
from graphwire.v1 import pause_pb2, run_pb2
from graphwire.v1 import run_event_pb2 as pb

from . import wire
from .scripted import ScriptedServer, then, unavailable

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


async def shown(
    client: AsyncClient, scripted: ScriptedServer, *events: pb.RunEvent, after: int = 0
) -> list[Event]:
    """The events that a client shows for these, without the end."""
    last = max(event.sequence for event in events) + 1
    scripted.on("JoinRun", then(wire.joined(*events, wire.end(last))))
    found = [event async for event in client.runs.join("r", after_sequence=after)]
    assert isinstance(found[-1], graphwire.End)
    return found[:-1]


def common(sequence: int = 1) -> dict[str, Any]:
    return {"run_id": "r", "sequence": sequence, "attempt": 1, "time": NOON, "namespace": ()}


async def test_each_kind_has_its_class(client: AsyncClient, scripted: ScriptedServer) -> None:
    error = run_pb2.RunError(type="ValueError", message="no", node="n", namespace=["s:1"])
    events = [
        wire.event(
            1,
            metadata=pb.MetadataEvent(
                run_id="r", thread_id="t", assistant_id="a", resumed_run_id="q"
            ),
        ),
        wire.event(
            2, attempt_started=pb.AttemptStartedEvent(attempt=2, reason="lost", checkpoint_id="c")
        ),
        wire.event(3, values=pb.ValuesEvent(values=wire.payload('{"n":9007199254740993}'))),
        wire.event(4, updates=pb.UpdatesEvent(node="a", update=wire.payload("null"), cached=True)),
        wire.event(
            5,
            task_started=pb.TaskStartedEvent(
                task_id="k", node="a", input=wire.payload("[1]"), triggers=["x"]
            ),
        ),
        wire.event(
            6,
            task_finished=pb.TaskFinishedEvent(
                task_id="k", node="a", error=error, interrupt_ids=["i"]
            ),
        ),
        wire.event(
            7,
            task_finished=pb.TaskFinishedEvent(task_id="k", node="a", result=wire.payload("{}")),
        ),
        wire.event(
            8,
            checkpoint=pb.CheckpointEvent(
                checkpoint_id="c2",
                parent_checkpoint_id="c1",
                values=wire.payload('{"é":true}'),
                next=["b"],
                step=-1,
                source="input",
            ),
        ),
        wire.event(9, custom=pb.CustomEvent(data=wire.payload('"hello"'))),
    ]
    failure = graphwire.RunError(type="ValueError", message="no", node="n", namespace=("s:1",))
    assert await shown(client, scripted, *events) == [
        graphwire.Metadata(**common(1), thread_id="t", assistant_id="a", resumed_run_id="q"),
        graphwire.AttemptStarted(**common(2), reason="lost", checkpoint_id="c"),
        graphwire.Values(**common(3), values={"n": 9007199254740993}),
        graphwire.Updates(**common(4), node="a", update=None, cached=True),
        graphwire.TaskStarted(**common(5), task_id="k", node="a", input=[1], triggers=("x",)),
        graphwire.TaskFinished(
            **common(6), task_id="k", node="a", result=None, error=failure, interrupt_ids=("i",)
        ),
        graphwire.TaskFinished(
            **common(7), task_id="k", node="a", result={}, error=None, interrupt_ids=()
        ),
        graphwire.Checkpoint(
            **common(8),
            checkpoint_id="c2",
            parent_checkpoint_id="c1",
            values={"é": True},
            next=("b",),
            step=-1,
            source="input",
        ),
        graphwire.Custom(**common(9), data="hello"),
    ]


async def test_interrupted_says_why_where_and_what_is_asked(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    asked = wire.pause("p2", "ask")
    asked.kind = pause_pb2.PAUSE_KIND_INTERRUPT
    asked.interrupt_id = "i"
    asked.namespace.append("sub:1")
    asked.value.json = '{"question":"sure?"}'
    asked.response_schema.json = '{"type":"boolean"}'
    interrupted = pb.InterruptedEvent(
        pauses=[wire.pause("p1", "action"), asked], next=["action", "ask"], checkpoint_id="c"
    )
    [event] = await shown(client, scripted, wire.event(1, interrupted=interrupted))
    first = graphwire.Pause(
        pause_id="p1",
        thread_id="t",
        run_id="r",
        kind=PauseKind.BREAKPOINT_BEFORE,
        node="action",
        namespace=(),
        interrupt_id="",
        value=None,
        response_schema=None,
        checkpoint_id="c",
        create_time=NOON,
    )
    second = graphwire.Pause(
        pause_id="p2",
        thread_id="t",
        run_id="r",
        kind=PauseKind.INTERRUPT,
        node="ask",
        namespace=("sub:1",),
        interrupt_id="i",
        value={"question": "sure?"},
        response_schema={"type": "boolean"},
        checkpoint_id="c",
        create_time=NOON,
    )
    assert event == graphwire.Interrupted(
        **common(), pauses=(first, second), next=("action", "ask"), checkpoint_id="c"
    )


async def test_the_end_of_a_failed_run_says_how_it_failed(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    end = pb.EndEvent(
        status=run_pb2.RUN_STATUS_FAILED,
        error=run_pb2.RunError(type="KeyError", message="'x'", node="action"),
        checkpoint_id="c",
    )
    scripted.on("JoinRun", then(wire.joined(wire.event(1, end=end))))
    assert [event async for event in client.runs.join("r")] == [
        graphwire.End(
            **common(),
            status=RunStatus.FAILED,
            error=graphwire.RunError(type="KeyError", message="'x'", node="action", namespace=()),
            checkpoint_id="c",
        )
    ]


async def test_events_work_with_match(client: AsyncClient, scripted: ScriptedServer) -> None:
    events = [
        wire.event(1, updates=pb.UpdatesEvent(node="a", update=wire.payload('{"n":1}'))),
        wire.event(2, interrupted=pb.InterruptedEvent(pauses=[wire.pause("p", "b")])),
    ]
    scripted.on("JoinRun", then(wire.joined(*events, wire.end(3))))
    matched: list[object] = []
    async for event in client.runs.join("r"):
        match event:
            case graphwire.Updates(node=node, update={"n": n}):
                matched.append((node, n))
            case graphwire.Interrupted(pauses=[pause, *_]):
                matched.append(pause.node)
            case graphwire.End(status=RunStatus.SUCCEEDED):
                matched.append("end")
    assert matched == [("a", 1), "b", "end"]


async def test_the_namespace_and_attempt_come_with_every_event(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    event = wire.custom(1)
    event.attempt = 3
    event.namespace.extend(["sub:1", "deep:2"])
    [found] = await shown(client, scripted, event)
    assert (found.attempt, found.namespace) == (3, ("sub:1", "deep:2"))


async def test_heartbeats_and_kinds_of_a_newer_server_are_skipped(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    unknown = wire.event(2)
    unknown.MergeFromString(b"\xfa\x06\x02hi")  # field 111
    found = await shown(client, scripted, wire.custom(1), wire.heartbeat(), unknown, wire.custom(3))
    assert [event.sequence for event in found] == [1, 3]


async def test_a_skipped_kind_is_not_asked_for_again(
    client: AsyncClient, scripted: ScriptedServer, no_delays: None
) -> None:
    scripted.on(
        "JoinRun",
        then(wire.joined(wire.custom(1), wire.event(2)), unavailable),
        then(wire.joined(wire.end(3))),
    )
    assert [event.sequence async for event in client.runs.join("r")] == [1, 3]
    assert [request.after_sequence for request in scripted.requests("JoinRun")] == [0, 2]


async def test_an_enum_value_of_a_newer_server_is_unknown(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    end = pb.EndEvent.FromString(b"\x08\x63")  # status 99
    scripted.on("JoinRun", then(wire.joined(wire.event(1, end=end))))
    [event] = [event async for event in client.runs.join("r")]
    assert isinstance(event, graphwire.End)
    assert event.status is RunStatus.UNKNOWN


START = pb.MessageStart(
    role=pb.MESSAGE_ROLE_TOOL, node="action", name="weather", tool_call_id="call", type="tool"
)


def piece(sequence: int, text: str = "", **fields: Any) -> pb.RunEvent:
    content = [pb.ContentPiece(text=text)] if text else []
    fields = {"message_id": "m", "content": content, **fields}
    return wire.event(sequence, message=pb.MessageEvent(**fields))


def who(message: Event) -> tuple[object, ...]:
    assert isinstance(message, graphwire.Message)
    role, kind = message.role, message.type
    return (message.message_id, role, kind, message.node, message.name, message.tool_call_id)


TOOL = (MessageRole.TOOL, "tool", "action", "weather", "call")
NOBODY = (MessageRole.UNKNOWN, "", "", "", "")


async def test_every_piece_of_a_message_says_who_speaks(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    other = pb.MessageStart(role=pb.MESSAGE_ROLE_ASSISTANT, node="agent", type="ai")
    found = await shown(
        client,
        scripted,
        piece(1, "It is ", start=START),
        piece(2, "Hello", message_id="o", start=other),
        piece(3, "sunny."),
        piece(4, message_id="o", last=True),
        piece(5, last=True),
    )
    assistant = (MessageRole.ASSISTANT, "ai", "agent", "", "")
    assert [who(message) for message in found] == [
        ("m", *TOOL),
        ("o", *assistant),
        ("m", *TOOL),
        ("o", *assistant),
        ("m", *TOOL),
    ]


async def test_who_speaks_is_known_after_a_rejoin(
    client: AsyncClient, scripted: ScriptedServer, no_delays: None
) -> None:
    scripted.on(
        "JoinRun",
        then(wire.joined(piece(1, "a", start=START)), unavailable),
        then(wire.joined(piece(2, "b", last=True), wire.end(3))),
    )
    first, second, _ = [event async for event in client.runs.join("r")]
    assert who(first) == who(second) == ("m", *TOOL)


async def test_a_stream_joined_in_the_middle_of_a_message_does_not_know_who_speaks(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    [message] = await shown(client, scripted, piece(6, "b"), after=5)
    assert who(message) == ("m", *NOBODY)


async def test_a_new_attempt_voids_messages_that_had_not_ended(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    attempt = wire.event(2, attempt_started=pb.AttemptStartedEvent(attempt=2))
    found = await shown(client, scripted, piece(1, "a", start=START), attempt, piece(3, "b"))
    assert who(found[2]) == ("m", *NOBODY)


async def test_a_piece_holds_text_reasoning_blocks_tool_calls_and_usage(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    event = piece(
        1,
        content=[
            pb.ContentPiece(index=0, reasoning="Let me "),
            pb.ContentPiece(index=0, reasoning="think."),
            pb.ContentPiece(index=1, text="One "),
            pb.ContentPiece(index=2, block=wire.payload('{"type":"image"}')),
            pb.ContentPiece(index=1, text="moment."),
        ],
        tool_calls=[
            pb.ToolCallPiece(index=0, id="call", name="weather", args='{"city":'),
            pb.ToolCallPiece(index=0, args='"Bern"}'),
        ],
        usage=pb.Usage(input_tokens=3, output_tokens=4, total_tokens=7),
        last=True,
    )
    [message] = await shown(client, scripted, event)
    assert message == graphwire.Message(
        **common(),
        message_id="m",
        role=MessageRole.UNKNOWN,
        type="",
        node="",
        name="",
        tool_call_id="",
        text="One moment.",
        reasoning="Let me think.",
        blocks=({"type": "image"},),
        tool_calls=(
            graphwire.ToolCallPiece(index=0, id="call", name="weather", args='{"city":'),
            graphwire.ToolCallPiece(index=0, id="", name="", args='"Bern"}'),
        ),
        usage=graphwire.Usage(input_tokens=3, output_tokens=4, total_tokens=7),
        last=True,
    )
