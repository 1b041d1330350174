"""Both clients, a real server, and the how-to from beginning to end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import graphwire
import pytest
from graphwire import AsyncClient, Goto, PauseKind, Resume, RunStatus, ThreadStatus

from tests.client.conftest import Connect
from tests.client.scripted import Proxy
from tests.servers import ServerProcess

LOG = {"log": ["in"]}


@pytest.fixture(scope="module")
def mortal_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The server that tests end and start again, one after another."""
    env = {"GRAPHWIRE_SHUTDOWN_GRACE_SECONDS": "0.2"}
    process = ServerProcess(tmp_path_factory.mktemp("mortal") / "graphwire.db", env=env)
    yield process
    assert process.stop() == 0, process.log


@pytest.fixture
def mortal(mortal_process: ServerProcess) -> ServerProcess:
    """A server that may be ended; whatever it has gone through before, it runs."""
    return mortal_process if mortal_process.is_running else mortal_process.start()


@pytest.fixture
def real_proxy(server: ServerProcess) -> Iterator[Proxy]:
    """A proxy in front of that server."""
    proxy = Proxy(int(server.address.rpartition(":")[2]))
    yield proxy
    proxy.close()


async def shape(stream: AsyncIterator[graphwire.Event]) -> list[Any]:
    """What came, briefly."""
    found: list[Any] = []
    async for event in stream:
        match event:
            case graphwire.Updates(node=node, update=update):
                found.append((node, update))
            case graphwire.Interrupted(pauses=pauses):
                found.append([(pause.kind.value, pause.node) for pause in pauses])
            case graphwire.End(status=status):
                found.append(status)
    return found


async def test_the_how_to(connect: Connect, weather: ServerProcess) -> None:
    client = connect(weather.address)
    thread = await client.threads.create(metadata={"user": 7})
    speech, paused = "", None
    async for event in client.runs.stream(
        thread.thread_id,
        "agent",
        input={"messages": [{"role": "user", "content": "What is the weather in Zurich?"}]},
        interrupt_before=["action"],
        stream_modes=["updates", "messages"],
    ):
        match event:
            case graphwire.Message(role=graphwire.MessageRole.ASSISTANT, node="agent", text=text):
                speech += text
            case graphwire.Interrupted(pauses=[pause, *_]):
                paused = pause
            case graphwire.End(status=status):
                assert status is RunStatus.INTERRUPTED
    assert paused is not None
    assert (paused.kind, paused.node) == (PauseKind.BREAKPOINT_BEFORE, "action")
    assert speech
    assert (await client.threads.get(thread.thread_id)).status is ThreadStatus.INTERRUPTED
    resumed = await shape(client.runs.stream(thread.thread_id, resume=Resume()))
    nodes = [node for node, _ in resumed[:-1]]
    assert (nodes, resumed[-1]) == (["action", "agent"], RunStatus.SUCCEEDED)


async def test_answers_edits_and_forks(real: AsyncClient) -> None:
    thread_id = (await real.threads.create()).thread_id
    result = await real.runs.run(thread_id, "ask", input={"log": ["in"]})
    assert [pause.value for pause in result.pauses] == [{"question": "name"}]
    answers = {result.pauses[0].pause_id: None}
    result = await real.runs.run(thread_id, resume=Resume(answers=answers))
    assert result.values == {"log": ["in", "name: None", "after"]}
    edited = await real.threads.update_state(thread_id, {"log": ["edit"]}, as_node="after")
    assert edited.values == {"log": ["in", "name: None", "after", "edit"]}
    history = [state async for state in real.threads.history(thread_id, page_size=2)]
    assert history[0].checkpoint_id == edited.checkpoint_id
    assert len(history) == 5
    went = graphwire.Command(update={"log": ["told"]}, goto=Goto("after"))
    result = await real.runs.run(thread_id, command=went)
    assert result.values["log"][-3:] == ["edit", "told", "after"]


async def test_errors_come_back_as_they_were_raised(real: AsyncClient) -> None:
    with pytest.raises(graphwire.UnknownNodeError) as unknown:
        await anext(real.runs.stream(None, "linear", input=LOG, interrupt_before=["z"]))
    assert [violation.field for violation in unknown.value.violations] == ["interrupt_before[0]"]
    assert str(unknown.value).count("interrupt_before[0]: ") == 1
    assert "a" in unknown.value.metadata["nodes"]
    with pytest.raises(graphwire.ThreadNotFoundError) as missing:
        await real.threads.get("nobody")
    assert missing.value.resource is not None
    assert missing.value.resource[1] == "nobody"
    with pytest.raises(graphwire.AssistantNotFoundError) as assistant:
        await real.runs.create(None, "nothing", input=LOG)
    assert "linear" in assistant.value.metadata["assistants"]
    with pytest.raises(graphwire.RunFailedError, match="ValueError: count must be 1") as failed:
        await real.runs.run(None, "boom", input=LOG, raise_error=True)
    assert (failed.value.error_type, failed.value.node) == ("ValueError", "explode")


async def test_a_request_id_makes_a_repeated_call_the_same_run(real: AsyncClient) -> None:
    thread_id = (await real.threads.create()).thread_id
    start: dict[str, Any] = {"input": LOG, "request_id": f"only-once-{thread_id}"}
    first = await real.runs.run(thread_id, "linear", **start)
    second = await real.runs.run(thread_id, "linear", **start)
    assert first.run.run_id == second.run.run_id
    assert [run.run_id async for run in real.runs.list(thread_id)] == [first.run.run_id]
    with pytest.raises(graphwire.RequestIdReusedError):
        await real.runs.create(thread_id, "fanout", **start)


async def test_a_cut_connection_loses_and_doubles_nothing(
    connect: Connect, real_proxy: Proxy, tmp_path: Path
) -> None:
    client = connect(real_proxy.target)
    thread_id = (await client.threads.create()).thread_id
    gate = tmp_path / "gate"
    stream = client.runs.stream(
        thread_id, "gated", input={"path": str(gate)}, stream_modes=["updates", "tasks"]
    )
    sequences = []
    async for event in stream:
        sequences.append(event.sequence)
        real_proxy.cut()
        if isinstance(event, graphwire.TaskStarted) and event.node == "gate":
            gate.touch()
    assert sequences == list(range(1, len(sequences) + 1))
    again = [event.sequence async for event in client.runs.join(stream.run_id)]
    assert again == sequences


async def test_a_run_goes_on_without_its_client_unless_it_asked_otherwise(
    real: AsyncClient, tmp_path: Path
) -> None:
    statuses = {}
    for on_disconnect in ("continue", "cancel"):
        gate = tmp_path / on_disconnect
        stream = real.runs.stream(
            None,
            "gated",
            input={"path": str(gate)},
            on_disconnect=on_disconnect,
            stream_modes="tasks",
        )
        async for event in stream:
            if isinstance(event, graphwire.TaskStarted) and event.node == "gate":
                break
        await stream.aclose()
        if on_disconnect == "continue":
            gate.touch()
        result = await real.runs.wait(stream.run_id, timeout=30)
        statuses[on_disconnect] = result.run.status
    assert statuses == {"continue": RunStatus.SUCCEEDED, "cancel": RunStatus.CANCELLED}


async def test_a_run_is_cancelled_when_nobody_waits_for_it_any_more(
    real: AsyncClient, tmp_path: Path
) -> None:
    given = {"path": str(tmp_path / "never")}
    created = await real.runs.create(None, "gated", input=given)
    with pytest.raises(graphwire.DeadlineExceededError):
        await real.runs.wait(created.run_id, on_disconnect="cancel", timeout=1)
    result = await real.runs.wait(created.run_id, timeout=30)
    assert result.run.status is RunStatus.CANCELLED
    thread_id = (await real.threads.create()).thread_id
    with pytest.raises(graphwire.DeadlineExceededError):
        await real.runs.run(thread_id, "gated", input=given, on_disconnect="cancel", timeout=1)
    (run,) = [each async for each in real.runs.list(thread_id)]
    result = await real.runs.wait(run.run_id, timeout=30)
    assert result.run.status is RunStatus.CANCELLED


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
async def test_a_stream_outlives_its_server(
    connect: Connect, mortal: ServerProcess, tmp_path: Path, how: signal.Signals
) -> None:
    gate = tmp_path / "gate"
    stream = connect(mortal.address).runs.stream(
        None, "gated", input={"path": str(gate)}, stream_modes="tasks"
    )
    events = []
    async for event in stream:
        events.append(event)
        if isinstance(event, graphwire.TaskStarted) and event.node == "gate":
            if event.attempt > 1:
                gate.touch()
                continue
            mortal.signal(how)
            await asyncio.to_thread(mortal.wait)
            await asyncio.to_thread(mortal.start)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert [
        (event.attempt, event.node) for event in events if isinstance(event, graphwire.TaskStarted)
    ] == [(1, "before"), (1, "gate"), (2, "gate"), (2, "after")]
    (again,) = (event for event in events if isinstance(event, graphwire.AttemptStarted))
    assert again.attempt == 2
    end = events[-1]
    assert isinstance(end, graphwire.End)
    assert end.status is RunStatus.SUCCEEDED


async def test_a_manual_run_is_left_when_its_server_is_lost(
    connect: Connect, mortal: ServerProcess, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    client = connect(mortal.address)
    run = await client.runs.create(
        None, "gated", input={"path": str(gate)}, recovery_policy="manual"
    )
    assert (run.recovery_policy, run.attempt) == (graphwire.RecoveryPolicy.MANUAL, 1)
    while not Path(f"{gate}.begun").exists():
        await asyncio.sleep(0.01)
    mortal.kill()
    mortal.start()
    lost = await client.runs.wait(run.run_id, timeout=30)
    assert lost.run.status is RunStatus.FAILED
    assert lost.run.error is not None
    assert lost.run.error.type == "ServerLost"
    gate.touch()
    resumed = await client.runs.run(run.thread_id, resume=True, timeout=30)
    assert resumed.values["log"] == ["before", "gate", "after"]
    assert resumed.run.recovery_policy is graphwire.RecoveryPolicy.MANUAL


async def test_assistants_server_and_health_answer(real: AsyncClient) -> None:
    names = [found.assistant_id async for found in real.assistants.list(page_size=10)]
    assert {"linear", "ask"} <= set(names)
    assert (await real.assistants.get("linear")).graph_id == "linear"
    graph = await real.assistants.graph("linear")
    assert "a" in {node.name for node in graph.nodes}
    assert (await real.assistants.schemas("echo")).input == {"title": "LangGraphInput"}
    assert (await real.server.info()).limits.max_page_size == 1000
    assert await real.health() is graphwire.HealthStatus.SERVING
    assert await real.health("graphwire.v1.Runs") is graphwire.HealthStatus.SERVING


async def test_for_whom_somebody_answers_is_sent(connect: Connect, server: ServerProcess) -> None:
    client = connect(server.address)
    thread = await client.threads.create()
    await client.runs.run(thread.thread_id, "ask", input={"log": ["in"]})
    (pause,) = [p async for p in client.pauses.list(thread_id=thread.thread_id)]
    assert (pause.kind, pause.assistant_id) == (PauseKind.INTERRUPT, "ask")
    answer = Resume(answers={pause.pause_id: "yes"}, answered_by="ann")
    result = await client.runs.run(thread.thread_id, resume=answer)
    resolved = await client.pauses.get(pause.pause_id)
    assert resolved.resolution is not None
    assert resolved.resolution.run_id == result.run.run_id
    assert (resolved.resolution.answer, resolved.resolution.answered_by) == ("yes", "ann")
    with pytest.raises(graphwire.PauseNotOpenError, match=r"resumed at .* by ann") as raised:
        await client.runs.run(thread.thread_id, resume=answer)
    assert raised.value.metadata["answered_by"] == "ann"
    with pytest.raises(graphwire.PauseNotFoundError):
        await client.pauses.get("00000000-0000-4000-8000-000000000000")
