"""docs/webhooks.md: its receiver receives, and prints what the page shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graphwire import Client

from tests.e2e.gates import until
from tests.servers import ServerProcess
from tests.webhooks.receiver import SECRET

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()


def block(name: str) -> str:
    """A block of the page."""
    found = re.search(rf"<!-- test: {name} -->\n```[a-z]+\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


@contextmanager
def program(text: str, output: Path) -> Iterator[None]:
    """Runs a program, whose output goes to a file, until the end."""
    env = {**os.environ, "WEBHOOK_SECRET": SECRET, "PORT": "0"}
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", text], env=env, stdout=file, stderr=subprocess.DEVNULL
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def test_the_receiver_of_the_page(tmp_path: Path) -> None:
    output = tmp_path / "output"
    server = ServerProcess(
        tmp_path / "graphwire.db",
        env={
            "GRAPHWIRE_WEBHOOK_SECRETS": SECRET,
            "GRAPHWIRE_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.1/32",
            "GRAPHWIRE_WEBHOOK_ALLOW_HTTP": "true",
        },
    ).start()
    try:
        with program(block("receiver"), output), Client(server.address) as client:
            until(lambda: "\n" in output.read_text(), "the receiver listens")
            port = output.read_text().split()[-1]
            thread = client.threads.create()
            client.runs.create(
                thread.thread_id,
                "linear",
                input={"log": ["in"]},
                interrupt_before="b",
                webhook=f"http://127.0.0.1:{port}/",
            )
            until(lambda: len(output.read_text().splitlines()) == 2, "the first webhook")
            client.runs.create(thread.thread_id, resume=True)
            until(lambda: len(output.read_text().splitlines()) == 3, "the second webhook")
            assert output.read_text().partition("\n")[2] == block("printed")
    finally:
        server.stop()
