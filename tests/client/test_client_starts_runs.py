"""What starts a run is explicit, and every option reaches the server."""

from __future__ import annotations

import inspect
from datetime import timedelta
from typing import Any

import graphwire
import pytest
from google.protobuf.duration_pb2 import Duration
from graphwire import AsyncClient, Breakpoint, Command, Goto, Resume, RunOptions, StreamMode
from graphwire.v1 import breakpoint_pb2, run_pb2
from graphwire.v1 import runs_pb2 as pb

from . import wire
from .scripted import ScriptedServer, then


@pytest.fixture(autouse=True)
def answers(scripted: ScriptedServer) -> None:
    scripted.on("CreateRun", pb.CreateRunResponse(run=wire.run("r", run_pb2.RUN_STATUS_RUNNING)))
    scripted.on("StreamRun", then(wire.streamed(wire.metadata(), wire.end(2))))
    scripted.on("WaitRun", pb.WaitRunResponse(run=wire.run(), values=wire.payload('{"n":1}')))


async def created(
    client: AsyncClient, scripted: ScriptedServer, **start: Any
) -> pb.CreateRunRequest:
    """The request that CreateRun gets, without its request id."""
    await client.runs.create("t", "agent", **start)
    request: pb.CreateRunRequest = scripted.requests("CreateRun")[-1]
    request.ClearField("request_id")
    return request


def expected(**fields: Any) -> pb.CreateRunRequest:
    return pb.CreateRunRequest(thread_id="t", assistant_id="agent", **fields)


async def test_input_is_any_json_value(client: AsyncClient, scripted: ScriptedServer) -> None:
    for value, text in (({"n": 1}, '{"n":1}'), ([], "[]"), ("hi", '"hi"'), (None, "null")):
        request = await created(client, scripted, input=value)
        assert request == expected(input=wire.payload(text))


@pytest.mark.parametrize("resume", [True, Resume()])
async def test_resume_alone_goes_on_from_everything(
    client: AsyncClient, scripted: ScriptedServer, resume: Any
) -> None:
    request = await created(client, scripted, resume=resume)
    assert request == expected(resume=run_pb2.Resume())
    assert request.HasField("resume")


async def test_resume_names_pauses_answers_and_the_checkpoint(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    resume = Resume(pause_ids=["p1"], answers={"p2": "yes", "p3": None}, expected_checkpoint_id="c")
    assert await created(client, scripted, resume=resume) == expected(
        resume=run_pb2.Resume(
            pause_ids=["p1"],
            answers={"p2": wire.payload('"yes"'), "p3": wire.payload("null")},
            expected_checkpoint_id="c",
        )
    )


@pytest.mark.parametrize("answer, text", [("yes", '"yes"'), (None, "null"), (False, "false")])
async def test_any_value_is_an_answer(
    client: AsyncClient, scripted: ScriptedServer, answer: Any, text: str
) -> None:
    request = await created(client, scripted, resume=Resume(answer=answer))
    assert request == expected(resume=run_pb2.Resume(answer=wire.payload(text)))


@pytest.mark.parametrize(
    "goto, messages",
    [
        ("b", [run_pb2.Goto(node="b")]),
        (Goto("b", {"n": 1}), [run_pb2.Goto(node="b", input=wire.payload('{"n":1}'))]),
        (Goto("b", None), [run_pb2.Goto(node="b", input=wire.payload("null"))]),
        (["a", Goto("b")], [run_pb2.Goto(node="a"), run_pb2.Goto(node="b")]),
        ((), []),
    ],
)
async def test_command_goes_to_nodes(
    client: AsyncClient, scripted: ScriptedServer, goto: Any, messages: list[run_pb2.Goto]
) -> None:
    request = await created(client, scripted, command=Command(goto=goto))
    assert request == expected(command=run_pb2.Command(goto=messages))


async def test_a_command_answers_with_a_resume_and_not_with_a_plain_value(
    client: AsyncClient,
) -> None:
    command = Command(resume="yes")  # type: ignore[arg-type]  # as LangGraph takes it
    with pytest.raises(TypeError, match=r"command.resume is 'yes': it must be Resume\(…\)"):
        await client.runs.create("t", command=command)


async def test_command_updates_and_answers(client: AsyncClient, scripted: ScriptedServer) -> None:
    command = Command(update={"n": 2}, resume=Resume(answer=1))
    assert await created(client, scripted, command=command) == expected(
        command=run_pb2.Command(
            update=wire.payload('{"n":2}'), resume=run_pb2.Resume(answer=wire.payload("1"))
        )
    )


@pytest.mark.parametrize(
    "start, given",
    [
        ({}, "none of them"),
        ({"input": None, "resume": True}, "input and resume"),
        ({"input": 1, "resume": Resume(), "command": Command()}, "input and resume and command"),
    ],
)
@pytest.mark.parametrize("method", ["create", "run", "stream"])
async def test_exactly_one_start_is_required(
    client: AsyncClient, scripted: ScriptedServer, method: str, start: dict[str, Any], given: str
) -> None:
    with pytest.raises(TypeError, match=rf"one of input, resume or command; given: {given}$"):
        await use(client, method, "t", "agent", **start)
    assert scripted.calls == []


@pytest.mark.parametrize(
    "start, complaint",
    [
        ({"resume": False}, r"resume is False: it must be True or Resume\(answer=…\)"),
        ({"resume": "yes"}, r"resume is 'yes': it must be True or Resume\(answer=…\)"),
        ({"resume": {}}, r"resume is \{\}: it must be True or Resume"),
        ({"command": {"goto": "b"}}, r"command is \{'goto': 'b'\}: it must be Command\(…\)"),
    ],
)
async def test_a_start_of_the_wrong_type_is_refused(
    client: AsyncClient, scripted: ScriptedServer, start: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(TypeError, match=complaint):
        await use(client, "create", "t", "agent", **start)
    assert scripted.calls == []


async def test_none_is_a_stateless_run_and_an_empty_thread_id_is_refused(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    await client.runs.create(None, "agent", input={"n": 1})
    assert scripted.requests("CreateRun")[0].thread_id == ""
    with pytest.raises(ValueError, match="thread_id is empty: pass None for a stateless run"):
        await client.runs.create("", "agent", input={"n": 1})
    assert len(scripted.calls) == 1


OPTIONS: RunOptions = {
    "interrupt_before": ["action", "pay"],
    "interrupt_after": "*",
    "breakpoints": [
        Breakpoint("pay", "state.n > 1", position="after", label="large", skip_first=2),
        Breakpoint("child/pay", expires_after=1.5, on_expiry="reject", expiry_message="late"),
        "action",
    ],
    "clear_breakpoints": True,
    "stream_modes": ["updates", StreamMode.MESSAGES, "Custom"],
    "stream_subgraphs": True,
    "config": {"recursion_limit": 9, "tags": ["a"], "configurable": {"user": 7}},
    "context": {"lang": "de"},
    "metadata": {"k": 1},
    "checkpoint_id": "c",
    "durability": "async",
    "multitask_strategy": "ENQUEUE",
    "on_pause": "discard",
    "if_not_exists": "create",
    "start_delay": 1.5,
    "request_id": "mine",
    "recovery_policy": "manual",
    "on_completion": "keep",
    "webhook": "https://example.com/",
}
FIELDS: dict[str, Any] = {
    "thread_id": "t",
    "assistant_id": "agent",
    "input": wire.payload('{"n":1}'),
    "interrupt_before": ["action", "pay"],
    "interrupt_after": ["*"],
    "breakpoints": [
        breakpoint_pb2.Breakpoint(
            node="pay",
            condition="state.n > 1",
            position=breakpoint_pb2.BREAKPOINT_POSITION_AFTER,
            label="large",
            skip_first=2,
        ),
        breakpoint_pb2.Breakpoint(
            node="child/pay",
            position=breakpoint_pb2.BREAKPOINT_POSITION_BEFORE,
            expires_after=Duration(seconds=1, nanos=500_000_000),
            on_expiry=breakpoint_pb2.ON_EXPIRY_REJECT,
            expiry_message="late",
        ),
        breakpoint_pb2.Breakpoint(node="action"),
    ],
    "clear_breakpoints": True,
    "stream_modes": [
        run_pb2.STREAM_MODE_UPDATES,
        run_pb2.STREAM_MODE_MESSAGES,
        run_pb2.STREAM_MODE_CUSTOM,
    ],
    "stream_subgraphs": True,
    "config": run_pb2.RunConfig(
        recursion_limit=9, tags=["a"], configurable=wire.payload('{"user":7}')
    ),
    "context": wire.payload('{"lang":"de"}'),
    "metadata": wire.payload('{"k":1}'),
    "checkpoint_id": "c",
    "durability": run_pb2.DURABILITY_ASYNC,
    "multitask_strategy": run_pb2.MULTITASK_STRATEGY_ENQUEUE,
    "on_pause": run_pb2.ON_PAUSE_DISCARD,
    "if_not_exists": run_pb2.IF_NOT_EXISTS_CREATE,
    "start_delay": Duration(seconds=1, nanos=500_000_000),
    "request_id": "mine",
    "recovery_policy": run_pb2.RECOVERY_POLICY_MANUAL,
    "on_completion": run_pb2.ON_COMPLETION_KEEP,
    "webhook": "https://example.com/",
}


async def use(client: AsyncClient, method: str, *args: Any, **kwargs: Any) -> Any:
    result = getattr(client.runs, method)(*args, **kwargs)
    return await result if inspect.isawaitable(result) else [event async for event in result]


@pytest.mark.parametrize(
    "method, rpc", [("create", "CreateRun"), ("run", "CreateRun"), ("stream", "StreamRun")]
)
async def test_every_option_reaches_the_server(
    client: AsyncClient, scripted: ScriptedServer, method: str, rpc: str
) -> None:
    await use(client, method, "t", "agent", input={"n": 1}, **OPTIONS)
    request_type = pb.CreateRunRequest if rpc == "CreateRun" else pb.StreamRunRequest
    assert scripted.requests(rpc) == [request_type(**FIELDS)]


def test_the_options_are_all_that_the_contract_has() -> None:
    fields = {field.name for field in pb.CreateRunRequest.DESCRIPTOR.fields}
    parameters = {"thread_id", "assistant_id", "input", "resume", "command"}
    assert RunOptions.__annotations__.keys() == fields - parameters
    assert OPTIONS.keys() == fields - parameters
    stream_fields = {field.name for field in pb.StreamRunRequest.DESCRIPTOR.fields}
    assert stream_fields - fields == {"on_disconnect"}


async def test_options_of_none_are_not_given(client: AsyncClient, scripted: ScriptedServer) -> None:
    nothing: Any = dict.fromkeys(OPTIONS)
    request = await created(client, scripted, resume=True, **nothing)
    assert request == expected(resume=run_pb2.Resume())


async def test_a_single_name_is_not_taken_for_its_letters(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    request = await created(
        client, scripted, resume=True, interrupt_before="action", stream_modes="values"
    )
    assert list(request.interrupt_before) == ["action"]
    assert list(request.stream_modes) == [run_pb2.STREAM_MODE_VALUES]


async def test_start_delay_may_be_a_timedelta(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    request = await created(client, scripted, input=1, start_delay=timedelta(minutes=2))
    assert request.start_delay == Duration(seconds=120)


@pytest.mark.parametrize("value", ["cancel", "CANCEL", graphwire.OnDisconnect.CANCEL])
async def test_on_disconnect_reaches_the_server(
    client: AsyncClient, scripted: ScriptedServer, value: Any
) -> None:
    await use(client, "stream", "t", "agent", input=1, on_disconnect=value)
    assert scripted.requests("StreamRun")[0].on_disconnect == run_pb2.ON_DISCONNECT_CANCEL
    scripted.on("JoinRun", then(wire.streamed(wire.metadata(), wire.end(2))))
    await use(client, "join", "r", on_disconnect=value)
    assert scripted.requests("JoinRun") == [
        pb.JoinRunRequest(run_id="r", on_disconnect=run_pb2.ON_DISCONNECT_CANCEL)
    ]
    await use(client, "wait", "r", on_disconnect=value)
    await use(client, "run", "t", "agent", input=1, on_disconnect=value)
    assert [each.on_disconnect for each in scripted.requests("WaitRun")] == [
        run_pb2.ON_DISCONNECT_CANCEL
    ] * 2


async def test_what_is_to_become_of_a_run_is_checked_before_there_is_one(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    with pytest.raises(graphwire.InvalidFieldError, match="on_disconnect: 'stop' is none of"):
        await use(client, "run", "t", "agent", input=1, on_disconnect="stop")
    assert scripted.calls == []


@pytest.mark.parametrize(
    "option, text",
    [
        (
            {"stream_modes": ["updates", "tokens"]},
            "stream_modes[1]: 'tokens' is none of VALUES, UPDATES, MESSAGES, TASKS, "
            "CHECKPOINTS, CUSTOM, DEBUG",
        ),
        ({"durability": "fsync"}, "durability: 'fsync' is none of SYNC, ASYNC, EXIT"),
        ({"durability": "unknown"}, "durability: 'unknown' is none of SYNC, ASYNC, EXIT"),
        (
            {"multitask_strategy": 1},
            "multitask_strategy: 1 is none of REJECT, ENQUEUE, INTERRUPT, ROLLBACK",
        ),
        ({"recovery_policy": "x"}, "recovery_policy: 'x' is none of CONTINUE, MANUAL"),
        ({"on_pause": "keep"}, "on_pause: 'keep' is none of REJECT, DISCARD"),
        ({"if_not_exists": "x"}, "if_not_exists: 'x' is none of REJECT, CREATE"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_a_name_that_no_enum_has_is_refused(
    client: AsyncClient, scripted: ScriptedServer, option: dict[str, Any], text: str
) -> None:
    with pytest.raises(graphwire.InvalidFieldError) as caught:
        await use(client, "create", "t", "agent", input=1, **option)
    assert str(caught.value) == text
    assert scripted.calls == []


async def test_an_unknown_option_is_refused(client: AsyncClient, scripted: ScriptedServer) -> None:
    with pytest.raises(TypeError, match="'interupt_before' is no option of a run; there are: inte"):
        await use(client, "create", "t", "agent", input=1, interupt_before=["action"])
    with pytest.raises(TypeError, match="config has no callbacks: it takes recursion_limit, tags"):
        await use(client, "create", "t", "agent", input=1, config={"callbacks": []})
    assert scripted.calls == []


@pytest.mark.parametrize(
    "start, field",
    [
        ({"input": {"n": object()}}, "input"),
        ({"resume": Resume(answer=object())}, "resume.answer"),
        ({"resume": Resume(answers={"p": object()})}, "resume.answers['p']"),
        ({"command": Command(update=object())}, "command.update"),
        ({"command": Command(goto=["a", Goto("b", object())])}, "command.goto[1].input"),
        ({"command": Command(resume=Resume(answer=object()))}, "command.resume.answer"),
        ({"input": 1, "context": {"n": object()}}, "context"),
        ({"input": 1, "config": {"configurable": {"n": object()}}}, "config.configurable"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_payload_that_cannot_be_sent_names_its_field(
    client: AsyncClient, scripted: ScriptedServer, start: dict[str, Any], field: str
) -> None:
    with pytest.raises(graphwire.InvalidPayloadError) as caught:
        await use(client, "create", "t", "agent", **start)
    assert [violation.field for violation in caught.value.violations] == [field]
    assert scripted.calls == []
