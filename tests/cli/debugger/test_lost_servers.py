"""The prompt when its server is gone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from graphwire import Client, Resume
from graphwire.enums import ThreadStatus
from graphwire.errors import ConnectionLostError
from graphwire_server.cli.connection import Connection
from graphwire_server.cli.debugger.commands import GoOn
from graphwire_server.cli.debugger.session import Debugger
from graphwire_server.cli.exit_codes import ExitCode
from rich.console import Console

from tests.cli.command import ID, AtATerminal
from tests.e2e.gates import Gate
from tests.servers import ZOO, ServerProcess

from .prompts import LOG, PROMPT


@pytest.mark.parametrize("typed", ["b", "a 2 found"])
def test_the_prompt_outlives_its_server(tmp_path: Path, typed: str) -> None:
    server = ServerProcess(tmp_path / "zoo.db", ZOO).start()
    with AtATerminal("run", "ask_parallel", *LOG, "--step", "-s", server.address) as run:
        run.read_until("▶ before left\n")
        run.answer(PROMPT, "c")
        run.read_until("? at a question of right\n")
        run.answer(PROMPT, "a 1 kept")
        run.read_until("not answered yet: at a question of right\n")
        server.kill()
        run.answer(PROMPT, typed)
        run.read_until("the server can't be reached: try again when it is back\n")
        server.start()
        run.read_until(PROMPT)
        # gRPC connects again in its own time.
        while "there are none: break NODE adds one\n" not in run.screen:
            run.type("b\n")
            run.read_until(PROMPT)
        # What was decided before is still there.
        run.type("a 2 found\n" if typed == "b" else "c\n")
        run.read_until("✓ succeeded")
        assert run.wait() == 0
    thread = ID.findall(run.screen)[0]
    with Client(server.address) as client:
        assert client.threads.state(thread).values["log"][-3:-1] == [
            "left: 'kept'",
            "right: 'found'",
        ]
    assert server.stop() == 0


def test_a_server_that_is_lost_is_told_beside_the_progress(tmp_path: Path) -> None:
    server, gate = ServerProcess(tmp_path / "zoo.db", ZOO).start(), Gate(tmp_path / "gate")
    with AtATerminal("run", "gated", "--input", gate.input.json, "-s", server.address) as run:
        run.read_until("gate 0.")
        server.kill()
        run.read_until("the server can't be reached, trying again")
        server.start()
        gate.open()
        run.read_until("✓ succeeded")
        assert run.wait() == 0
    assert server.stop() == 0


def test_leaving_without_a_server_says_how_to_come_back(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "zoo.db", ZOO).start()
    with AtATerminal("run", "ask", *LOG, "-s", server.address) as run:
        run.read_until(PROMPT)
        server.kill()
        run.type("q\n")
        thread = ID.findall(run.screen)[0]
        run.read_until(f"graphwire: no server at {server.address}; to come back to the thread:\n")
        run.read_until("    graphwire attach ")
        assert run.wait() == 3
    assert thread in run.screen.partition("graphwire attach ")[2]


class Scripted:
    """A prompt that is asked twice, and remembers what it was told."""

    def __init__(self, *, knows: bool) -> None:
        self.knows, self.told = knows, list[str]()
        self._wanted = iter([GoOn(Resume()), None])

    def ask(self, thread_id: str) -> GoOn | None:
        return next(self._wanted)

    def lost(self, thread_id: str) -> bool:
        self.told.append(thread_id)
        return self.knows


@pytest.mark.parametrize("knows", [True, False])
def test_where_a_run_is_lost_with_its_server_the_prompt_asks_again(knows: bool) -> None:
    def gone(*_: object, **__: object) -> NoReturn:
        raise ConnectionLostError("gone")

    idle = SimpleNamespace(status=ThreadStatus.IDLE, pauses=())
    client: Any = SimpleNamespace(
        threads=SimpleNamespace(get=lambda _: idle), runs=SimpleNamespace(stream=gone)
    )
    prompt: Any = Scripted(knows=knows)
    debugger = Debugger(client, Connection(), Console(), prompt=prompt)
    if knows:
        assert debugger.attach("thread") is ExitCode.OK
    else:
        with pytest.raises(ConnectionLostError):
            debugger.attach("thread")
    assert prompt.told == ["thread"]
