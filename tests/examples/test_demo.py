"""The demonstration, examples/how_to, shows the how-to for real: without a terminal and at one."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "examples.how_to"]
ENV = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "MODEL": "",
    "WEATHER_TOKEN_DELAY": "0",
    "COLUMNS": "92",
    "TERM": "xterm",
}
SECONDS = 60

QUESTION = "[c]ontinue, [e]dit the tool call, or [s]top? (continue): "

ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|(?<=run )[0-9a-f]{8}\b")

TO_THE_BREAKPOINT = """\
metadata     run <id>, assistant agent
message      assistant: I'll look up the weather in San Francisco.
             calls get_weather {"city": "San Francisco"}
             to #<n>, 12 tokens
updates      agent  tool call get_weather(city="San Francisco")
interrupted  BREAKPOINT_BEFORE action
             pause <id>
end          INTERRUPTED"""

FROM_THERE = """\
metadata     run <id>, continues run <id>
message      tool: {"city": "San Francisco", "temperature_c": 16, "sky": "foggy",
             "wind_kmh": 24}
updates      action  tool message {"city": "San Francisco", "temperature_c": 16, "s…
message      assistant: It is 16 °C and foggy in San Francisco, with wind at 24
             km/h. Take a jacket.
             to #<n>, 17 tokens
updates      agent  ai message It is 16 °C and foggy in San Francisco, with wind at…
end          SUCCEEDED"""


def test_without_a_terminal_it_goes_through_the_how_to_by_itself() -> None:
    done = subprocess.run(
        COMMAND, cwd=ROOT, env=ENV, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    steps = steps_of(done.stdout)
    assert list(steps) == [
        "1 Create a thread",
        "2 Stream a run, with a breakpoint before 'action'",
        "3 Look at what is about to happen",
        "4 Resume from there",
    ]
    first, second, third, fourth = steps.values()
    assert "  thread <id>" in first
    assert [" ".join(line.split()) for line in second[1:4]] == [
        "UNKNOWN_NODE interrupt_before[0]: the graph has no node 'acton'; did you mean 'action'?"
        " It",
        "has: agent, action",
        "A typo runs nothing: the thread has 0 runs.",
    ]
    assert events_in(second) == TO_THE_BREAKPOINT
    assert "│  next        action" in third
    assert '│  tool calls  get_weather(city="San Francisco")' in third
    assert events_in(fourth) == FROM_THERE
    assert fourth[-2] == (
        "│  It is 16 °C and foggy in San Francisco, with wind at 24 km/h. Take a jacket."
    )


def test_at_a_terminal_the_tool_call_can_be_edited_and_the_answer_follows_it() -> None:
    with AtATerminal() as demo:
        demo.answer(QUESTION, "e")
        demo.answer("Which city instead? (Paris): ", "Oslo")
        assert demo.wait() == 0
    *_, look, resumed = steps_of(demo.screen).values()
    assert '  now about to run get_weather(city="Oslo")' in look
    assert resumed[-2] == "│  It is -2 °C and snowy in Oslo, with wind at 11 km/h. Dress warmly."


@pytest.mark.parametrize("tool", ["grpcurl", "graphwire"])
def test_stopped_it_says_how_to_resume_elsewhere_and_shows_the_run_that_does(tool: str) -> None:
    with AtATerminal() as demo:
        demo.answer(QUESTION, "what?")
        demo.read_until("Please answer one of: continue, edit, stop.")
        demo.answer(QUESTION, "stop")
        demo.read_until("Enter ends the server and the how-to.")
        [command] = re.findall(rf"^  ({tool} .+)$", demo.screen, re.MULTILINE)
        subprocess.run(
            shlex.split(command), env=ENV, stdout=subprocess.DEVNULL, timeout=SECONDS, check=True
        )
        assert demo.wait() == 0
    joined = steps_of(demo.screen)["4 Another client resumed the thread: join its run"]
    assert events_in(joined) == FROM_THERE


def test_stopped_it_ends_with_enter() -> None:
    with AtATerminal() as demo:
        demo.answer(QUESTION, "s")
        demo.answer("Enter ends the server and the how-to.", "")
        assert demo.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_interrupted_it_stops_its_server(number: signal.Signals) -> None:
    with AtATerminal() as demo:
        demo.read_until(QUESTION)
        [address] = re.findall(r"listening on (\S+)", demo.screen)
        demo.process.send_signal(number)
        assert demo.wait() == 130
    assert demo.screen.endswith("\ninterrupted\n")
    with grpc.insecure_channel(address) as channel, pytest.raises(grpc.FutureTimeoutError):
        grpc.channel_ready_future(channel).result(timeout=0.2)


class AtATerminal:
    """The demonstration with a terminal of its own.

    Attributes:
        process: The demonstration.
    """

    def __enter__(self) -> AtATerminal:
        self._written = b""
        self._seen = 0
        self._terminal, its_end = pty.openpty()
        self.process = subprocess.Popen(
            COMMAND, cwd=ROOT, env=ENV, stdin=its_end, stdout=its_end, stderr=its_end
        )
        os.close(its_end)
        return self

    def __exit__(self, *_: object) -> None:
        # It stops its server when it is asked to, and not when it is killed.
        self.process.terminate()
        self.wait()
        os.close(self._terminal)

    @property
    def screen(self) -> str:
        """What it has written so far, without colours."""
        text = self._written.decode(errors="replace").replace("\r\n", "\n")
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)

    def answer(self, question: str, text: str) -> None:
        """Waits for a question and types a line."""
        self.read_until(question)
        os.write(self._terminal, f"{text}\n".encode())

    def read_until(self, text: str) -> None:
        """Reads on until it has written a text."""
        deadline = time.monotonic() + SECONDS
        while (found := self.screen.find(text, self._seen)) < 0:
            assert self._read(deadline), f"it ended without {text!r}:\n{self.screen}"
        self._seen = found + len(text)

    def wait(self) -> int:
        """Reads to the end and returns the exit code."""
        deadline = time.monotonic() + SECONDS
        while self._read(deadline):
            pass
        return self.process.wait(SECONDS)

    def _read(self, deadline: float) -> bool:
        """Reads what there is, waiting for it; returns whether there is more to come."""
        ready, _, _ = select.select([self._terminal], [], [], deadline - time.monotonic())
        assert ready, f"it does not go on:\n{self.screen}"
        try:
            piece = os.read(self._terminal, 65536)
        except OSError:  # how a terminal says that nobody writes to it any more
            return False
        self._written += piece
        return bool(piece)


def steps_of(screen: str) -> dict[str, list[str]]:
    """Returns the lines of each step by its headline; ids and frames' right sides cut out."""
    steps: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in screen.splitlines():
        if headline := re.fullmatch(r" (\d)  (.+?) ─+", line):
            lines = steps.setdefault(" ".join(headline.groups()), [])
        else:
            lines.append(ID.sub("<id>", line).rstrip(" │"))
    return steps


def events_in(lines: list[str]) -> str:
    """Returns the lines of events without their numbers, which rise from 1 without a gap."""
    events = [line for line in lines if re.match(r" +#\d+  | {21}", line)]
    expected = 1
    for line in events:
        if number := re.match(r" +#(\d+)  ", line):
            assert int(number[1]) == expected
            expected += 1
        elif last := re.match(r" {21}to #(\d+)", line):
            expected = int(last[1]) + 1
    return "\n".join(re.sub(r"#\d+", "#<n>", line[8:]) for line in events)
