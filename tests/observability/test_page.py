"""What docs/observability.md tells a reader to type does what it says."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from graphwire_server.settings import Settings

from tests.cli.command import SECONDS, environment
from tests.observability.collector import Collector
from tests.observability.exposed import PAGE, ROOT, kinds

_BLOCK = re.compile(r"^```sh\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


def free_port() -> int:
    """A port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def commands() -> list[str]:
    """What the page tells a reader to type."""
    found = [match["text"].strip() for match in _BLOCK.finditer(PAGE.read_text())]
    assert found
    return found


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Where a test puts the servers that it starts."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.terminate()
        _, said = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, said


def shell_environment(tmp_path: Path) -> dict[str, str]:
    """The environment of whoever types it, with a database of its own."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return environment(
        PATH=path,
        GRAPHWIRE_DATABASE=str(tmp_path / "page.db"),
        GRAPHWIRE_LISTEN="127.0.0.1:0",
        OTEL_BSP_SCHEDULE_DELAY="50",
    )


def start(command: str, tmp_path: Path) -> subprocess.Popen[str]:
    """Starts a server as the page says, and returns it when it listens."""
    process = subprocess.Popen(
        f"exec env {command}",
        shell=True,
        cwd=ROOT,
        env=shell_environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert any(line.startswith("listening on ") for line in process.stdout), process.communicate()
    return process


def test_metrics_are_read_as_it_says(tmp_path: Path, serve: list[subprocess.Popen[str]]) -> None:
    port = str(free_port())
    server, read = (each.replace("9464", port) for each in commands() if "9464" in each)
    serve.append(start(server, tmp_path))
    done = subprocess.run(read, shell=True, check=True, capture_output=True, text=True)
    assert "graphwire_info" in kinds(done.stdout)


def test_traces_are_sent_as_it_says(
    tmp_path: Path, serve: list[subprocess.Popen[str]], collector: Collector
) -> None:
    (command,) = [each for each in commands() if "4317" in each]
    command = command.replace("http://127.0.0.1:4317", collector.endpoint)
    serve.append(start(command, tmp_path))
    assert serve[0].poll() is None


def test_the_settings_that_it_names_exist() -> None:
    names = set(re.findall(r"\bGRAPHWIRE_[A-Z_]+", PAGE.read_text()))
    assert names - {f"GRAPHWIRE_{name.upper()}" for name in Settings.model_fields} == set()


def test_each_other_command_is_one_that_installs() -> None:
    others = [each for each in commands() if "9464" not in each and "4317" not in each]
    assert [each.split(" #")[0].rstrip() for each in others] == ["pip install '.[otel]'"]
