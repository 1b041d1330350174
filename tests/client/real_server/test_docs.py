"""The programs in docs/python-client.md run as they stand."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import graphwire
import pytest

from tests.servers import ServerProcess

DOCS = Path(__file__).parents[3] / "docs" / "python-client.md"
BLOCKS: list[str] = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
QUESTION = {"messages": [{"role": "user", "content": "What is the weather in Zurich?"}]}


def block(part: str) -> str:
    """The one block that has this text."""
    [found] = [text for text in BLOCKS if part in text]
    return found


def defined(name: str) -> Any:
    """The function that a block defines."""
    names: dict[str, Any] = {"graphwire": graphwire}
    exec(block(f"def {name}("), names)
    return names[name]


async def printed_by(program: str, weather: ServerProcess) -> str:
    """What a program prints."""
    text = program.replace("127.0.0.1:50051", weather.address)
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", text], check=True, capture_output=True, text=True
    )
    return done.stdout


async def test_the_program_with_asyncio_pauses_and_goes_on(weather: ServerProcess) -> None:
    lines = (await printed_by(block("asyncio.run(main())"), weather)).splitlines()
    assert "paused before action" in lines
    assert lines[-1].startswith("End(")
    assert "SUCCEEDED" in lines[-1]


async def test_the_program_without_asyncio_pauses_and_goes_on(weather: ServerProcess) -> None:
    first, *answer = (await printed_by(block("with graphwire.Client("), weather)).splitlines()
    assert first == "['action']"
    assert answer[-1]


async def test_the_functions_do_what_they_say(
    weather: ServerProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    async with graphwire.AsyncClient(weather.address) as client:
        thread_id = (await client.threads.create()).thread_id
        first = await client.runs.run(thread_id, "agent", input=QUESTION, interrupt_before="action")
        await defined("approve")(client, thread_id)
        assert capsys.readouterr().out == "BREAKPOINT_BEFORE action None\n"
        second = await client.runs.get((await client.runs.get(first.run.run_id)).resumed_by_run_id)
        await client.runs.wait(second.run_id, raise_error=True)
        await defined("follow")(client, first.run.run_id, 2)
        assert capsys.readouterr().out == "3 Interrupted\n4 End\n"
        stopped = (await client.threads.create()).thread_id
        await client.runs.run(stopped, "agent", input=QUESTION, interrupt_before="action")
        await defined("correct_and_go_on")(client, stopped, "Oslo")
        state = await client.threads.state(stopped)
        assert "Oslo" in state.values["messages"][-1]["content"]
        await defined("try_again_from")(client, stopped, "action")
        again = await client.threads.state(stopped)
        assert again.checkpoint_id != state.checkpoint_id
        assert "Oslo" in again.values["messages"][-1]["content"]
        await defined("try_to_stop_before")(client, "acton")
        assert capsys.readouterr().out == "interrupt_before[0] of agent, action\n"


def test_the_settings_are_accepted() -> None:
    names: dict[str, Any] = {}
    exec(block("graphwire.example:443"), names)
    assert isinstance(names["client"], graphwire.AsyncClient)


def test_every_method_is_in_the_table_and_every_block_is_run() -> None:
    text = DOCS.read_text()
    for group in ("threads", "runs", "pauses", "assistants", "server"):
        owner = type(getattr(graphwire.Client("127.0.0.1:1"), group))
        row = re.search(rf"^\| `client.{group}` \| (.*) \|$", text, re.MULTILINE)
        assert row is not None
        assert set(re.findall(r"`(\w+)`", row[1])) == {
            name for name in vars(owner) if not name.startswith("_")
        }
    assert len(BLOCKS) == 8


async def test_an_assistant_is_made_whose_runs_all_pause(weather: ServerProcess) -> None:
    async with graphwire.AsyncClient(weather.address) as client:
        assistant = await defined("make_careful")(client)
        assert (assistant.version, assistant.name) == (2, "Careful")
        assert assistant.metadata == {"team": "support"}
        thread = await client.threads.create()
        result = await client.runs.run(thread.thread_id, assistant.assistant_id, input=QUESTION)
        assert [pause.node for pause in result.pauses] == ["action"]
        assert result.run.assistant_version == 2
        # What the server has returned can be given back to it.
        kept = await client.assistants.update(
            assistant.assistant_id, breakpoints=[*assistant.breakpoints, "agent"]
        )
        assert [each.node for each in kept.breakpoints] == ["action", "agent"]
        found = client.assistants.list(name="careful", graph_id="agent")
        assert [each.version async for each in found] == [3]
        await client.assistants.delete(assistant.assistant_id, delete_threads=True)
        with pytest.raises(graphwire.ThreadNotFoundError):
            await client.threads.get(thread.thread_id)
