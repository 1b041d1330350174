"""The how-to itself: stop a run before a node, look, change what it is about to do, go on."""

from __future__ import annotations

import asyncio
import json

from graphwire import (
    AsyncClient,
    AsyncRunStream,
    End,
    PauseKind,
    Resume,
    Run,
    RunStatus,
    ThreadState,
    UnknownNodeError,
)

from examples.how_to.terminal import Terminal, read_line
from examples.how_to.transcript import Transcript, call_text, message_text

ASSISTANT = "agent"
NODE = "action"
MISSPELT = "acton"
INPUT = {"messages": [{"role": "user", "content": "What is the weather in San Francisco?"}]}

_POLL_SECONDS = 0.25


class UnexpectedError(Exception):
    """The server did something else than the how-to says."""


class HowTo:
    """One walk through the how-to, on a thread of its own."""

    def __init__(self, client: AsyncClient, address: str, terminal: Terminal) -> None:
        """Walks with a client of the server at an address, `host:port`."""
        self._client = client
        self._address = address
        self._terminal = terminal
        self._transcript = Transcript(terminal.console)

    async def walk(self) -> None:
        """Takes the steps.

        Raises:
            UnexpectedError: A run did not stop at the breakpoint, or did not succeed.
            GraphwireError: A call was refused, or the server was lost.
        """
        self._terminal.step(1, "Create a thread")
        self._terminal.code("thread = await client.threads.create()")
        thread_id = (await self._client.threads.create()).thread_id
        self._terminal.say("thread ", (thread_id, "bold"))

        self._terminal.step(2, f"Stream a run, with a breakpoint before {NODE!r}")
        await self._misspell_the_breakpoint(thread_id)
        end = await self._run_to_the_breakpoint(thread_id)

        # A resumed run keeps its breakpoints: a model that calls its tool again, stops again.
        while end.status is RunStatus.INTERRUPTED:
            self._terminal.step(3, "Look at what is about to happen")
            state = await self._look(thread_id)
            match await self._decide():
                case "stop":
                    if (run := await self._wait_for_another_client(thread_id, end)) is None:
                        return
                    self._terminal.step(4, "Another client resumed the thread: join its run")
                    self._terminal.code("client.runs.join(run_id)")
                    end = await self._show(self._client.runs.join(run.run_id))
                    continue
                case "edit":
                    state = await self._edit(thread_id, state)
            self._terminal.step(4, "Resume from there")
            end = await self._resume(thread_id, state)

        if end.status is not RunStatus.SUCCEEDED:
            raise UnexpectedError(f"the resumed run ended as {end.status}")
        state = await self._client.threads.state(thread_id)
        self._terminal.panel("the answer", message_text(state.values["messages"][-1]), "green")

    async def _misspell_the_breakpoint(self, thread_id: str) -> None:
        """Shows that a breakpoint before a node that there is not starts no run."""
        self._terminal.code(f'client.runs.stream(..., interrupt_before=["{MISSPELT}"])')
        stream = self._client.runs.stream(
            thread_id, ASSISTANT, input=INPUT, interrupt_before=[MISSPELT]
        )
        try:
            await anext(stream)
        except UnknownNodeError as error:
            [violation] = error.violations
            self._terminal.say(
                (error.reason, "bold red"), f" {violation.field}: {violation.description}"
            )
        else:
            raise UnexpectedError(f"a breakpoint before {MISSPELT!r} was accepted")
        runs = [run async for run in self._client.runs.list(thread_id)]
        self._terminal.say((f"A typo runs nothing: the thread has {len(runs)} runs.", "dim"))
        self._terminal.console.print()

    async def _run_to_the_breakpoint(self, thread_id: str) -> End:
        self._terminal.code(
            f'client.runs.stream(thread_id, "{ASSISTANT}", input=..., interrupt_before=["{NODE}"])'
        )
        end = await self._show(
            self._client.runs.stream(
                thread_id,
                ASSISTANT,
                input=INPUT,
                interrupt_before=[NODE],
                stream_modes=["messages", "updates"],
            )
        )
        if end.status is not RunStatus.INTERRUPTED:
            raise UnexpectedError(f"the run ended as {end.status}, and not at the breakpoint")
        return end

    async def _look(self, thread_id: str) -> ThreadState:
        self._terminal.code("state = await client.threads.state(thread_id)")
        state = await self._client.threads.state(thread_id)
        if [(p.kind, p.node) for p in state.pauses] != [(PauseKind.BREAKPOINT_BEFORE, NODE)]:
            raise UnexpectedError(f"the thread is paused at {state.pauses}, not before {NODE!r}")
        calls = state.values["messages"][-1]["tool_calls"]
        self._terminal.facts(
            "paused",
            [
                ("next", ", ".join(state.next)),
                ("tool calls", "\n".join(call_text(call) for call in calls)),
                ("checkpoint", state.checkpoint_id),
            ],
            "yellow",
        )
        return state

    async def _decide(self) -> str:
        if not self._terminal.interactive:
            self._terminal.say("Nobody to ask here: going on.")
            return "continue"
        return await self._terminal.choose(
            "[c]ontinue, [e]dit the tool call, or [s]top?", ["continue", "edit", "stop"]
        )

    async def _edit(self, thread_id: str, state: ThreadState) -> ThreadState:
        """Replaces the tool call that is about to be made, and returns the new state."""
        city = await self._terminal.ask("Which city instead?", "Paris")
        message = state.values["messages"][-1]
        first, *others = message["tool_calls"]
        changed = {**first, "args": {**first["args"], "city": city}}
        # The message keeps its id, so LangGraph's reducer puts it in the place of the old one.
        edited = {**message, "tool_calls": [changed, *others]}
        self._terminal.code('client.threads.update_state(thread_id, {"messages": [edited]})')
        state = await self._client.threads.update_state(
            thread_id, {"messages": [edited]}, expected_checkpoint_id=state.checkpoint_id
        )
        self._terminal.say("now about to run ", (call_text(changed), "bold yellow"))
        return state

    async def _resume(self, thread_id: str, state: ThreadState) -> End:
        self._terminal.code(
            "approved = Resume(expected_checkpoint_id=state.checkpoint_id)\n"
            "client.runs.stream(thread_id, resume=approved)"
        )
        # Approves what was seen, and only that: refused if the thread has moved on since.
        approved = Resume(expected_checkpoint_id=state.checkpoint_id)
        return await self._show(self._client.runs.stream(thread_id, resume=approved))

    async def _wait_for_another_client(self, thread_id: str, end: End) -> Run | None:
        """Says how to resume the thread, and returns the run that does; None if asked to end."""
        server = self._address
        request = json.dumps({"thread_id": thread_id, "resume": {}})
        self._terminal.say("The thread stays paused. Resume it from another terminal, with")
        self._terminal.command(
            f"grpcurl -plaintext -d '{request}' {server} graphwire.v1.Runs/StreamRun"
        )
        self._terminal.say("or with")
        self._terminal.command(f"graphwire run --server {server} --thread {thread_id} --resume")
        self._terminal.say("and see it happen here. Enter ends the server and the how-to.")
        resumed = asyncio.create_task(self._run_after(thread_id, end.run_id))
        enter = asyncio.create_task(read_line())
        try:
            await asyncio.wait({resumed, enter}, return_when=asyncio.FIRST_COMPLETED)
            return resumed.result() if resumed.done() else None
        finally:
            resumed.cancel()
            enter.cancel()

    async def _run_after(self, thread_id: str, run_id: str) -> Run:
        """Waits until a thread has a newer run than a given one, and returns it."""
        while True:
            async for newest in self._client.runs.list(thread_id, limit=1):
                if newest.run_id != run_id:
                    return newest
            await asyncio.sleep(_POLL_SECONDS)

    async def _show(self, stream: AsyncRunStream) -> End:
        """Shows the events of a run as they come, and returns the last."""
        async for event in stream:
            self._transcript.show(event)
            if isinstance(event, End):
                return event
        raise UnexpectedError("the stream ended before the run")
