"""What the README shows is what a user gets: its blocks are run, and compared."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from graphwire_server.cli.commands.serve import serve
from graphwire_server.settings import Settings

from tests.servers import WEATHER, ServerProcess

README = Path(__file__).parent.parent.parent / "README.md"
DOCUMENTED_ADDRESS = "127.0.0.1:50051"

_BLOCK = re.compile(r"<!-- test: (?P<name>[a-z ]+) -->\n```[a-z]*\n(?P<text>.*?)```", re.DOTALL)
_VARIES = (
    (re.compile(r"call_[0-9a-f]{24}"), "<id>"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<id>"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "<time>"),
)


def blocks(*names: str) -> list[str]:
    """The README's blocks that are marked with one of these names, in order."""
    found = [m["text"] for m in _BLOCK.finditer(README.read_text()) if m["name"] in names]
    assert found
    return found


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server on the example project."""
    process = ServerProcess(tmp_path_factory.mktemp("weather") / "graphwire.db", WEATHER).start()
    yield process
    assert process.stop() == 0, process.log


def shell(command: str, server: ServerProcess) -> str:
    """Runs a documented command against a server, and returns what it prints."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command.replace(DOCUMENTED_ADDRESS, server.address),
        shell=True,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        env={**os.environ, "PATH": path},
    )
    return done.stdout


def constant(text: str) -> object:
    """Output without the ids and times that differ from run to run; JSON as its value."""
    for pattern, replacement in _VARIES:
        text = pattern.sub(replacement, text)
    return json.loads(text) if text.startswith("{") else text.strip()


def test_the_python_program_prints_what_the_readme_says(
    weather: ServerProcess, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(blocks("python")[0].replace(DOCUMENTED_ADDRESS, weather.address))
    assert shell(f"{sys.executable} {program}", weather) == blocks("python output")[0]


def test_the_grpcurl_commands_do_what_the_readme_says(weather: ServerProcess) -> None:
    for block in blocks("grpcurl", "grpcurl output"):
        if not block.startswith("$ "):
            for command in re.split(r"\n\n", block):
                assert "ERROR" not in shell(command, weather)
            continue
        command, _, output = block.removeprefix("$ ").partition("\n")
        assert constant(shell(command, weather)) == constant(output)


def test_the_last_grpcurl_resume_came_to_the_answer(weather: ServerProcess) -> None:
    state = shell(
        f'grpcurl -plaintext -d \'{{"thread_id": "trip-1"}}\' {weather.address} '
        "graphwire.v1.Threads/GetThreadState",
        weather,
    )
    assert "It is 16 °C and foggy in San Francisco" in state


def test_the_settings_table_is_that_of_the_settings() -> None:
    rows = ["| option | default | meaning |", "|---|---|---|"]
    options = inspect.signature(serve).parameters
    for name, setting in Settings.model_fields.items():
        option = f"--{name.replace('_', '-')}" if name in options else f"GRAPHWIRE_{name.upper()}"
        if name == "project":
            option = "PROJECT"
        default = "" if setting.default in ("", None) else f"`{setting.default}`"
        rows.append(f"| `{option}` | {default} | {setting.description} |")
    table = "\n".join(rows)
    readme = README.read_text()
    start = readme.index("<!-- test: settings -->\n") + len("<!-- test: settings -->\n")
    assert readme[start : readme.index("<!-- end of settings -->")].strip() == table
