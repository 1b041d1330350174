"""`graphwire threads` and `graphwire runs`: what they show, for people and for programs."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from graphwire import Client

from tests.cli.command import ID, AtATerminal, Result, call, masked
from tests.e2e.gates import Gate

QUESTION = "What is the weather in San Francisco?"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@pytest.fixture(scope="module")
def paused(weather: str) -> str:
    """A thread of the weather agent that waits before its tool call."""
    return start(weather, "agent", QUESTION, "--break", "action")


@pytest.fixture(scope="module")
def failed(zoo: str) -> str:
    """A thread of which the only run has failed."""
    return start(zoo, "boom", "--input", '{"log": []}')


def test_threads_are_listed_with_what_comes_next(weather: str, paused: str) -> None:
    result = call("threads", "list", "--status", "interrupted", "--limit", "1", server=weather)
    header, row = timeless(result).splitlines()
    assert header.split() == ["thread", "status", "assistant", "next", "updated"]
    assert row.split() == [paused, "INTERRUPTED", "agent", "action", "<time>"]
    assert (result.code, result.err) == (0, "")


def test_threads_are_found_by_status_assistant_and_metadata(zoo: str, failed: str) -> None:
    wanted = ("threads", "list", "--json", "--status", "error", "--assistant", "boom")
    assert failed in {thread["thread_id"] for thread in call(*wanted, server=zoo).objects}
    nothing = call(*wanted, "--metadata", '{"of": "nobody"}', server=zoo)
    assert (nothing.code, nothing.out) == (0, "")


def test_a_thread_shows_what_it_is_paused_at_and_how_to_go_on(weather: str, paused: str) -> None:
    result = call("threads", "show", paused, server=weather)
    assert masked(timeless(result)) == (
        "thread      <id>\nstatus      INTERRUPTED\nassistant   agent\nnext        action\n"
        "checkpoint  <id>\ncreated     <time>\nupdated     <time>\n"
        'paused before action\nget_weather(city="San Francisco")\n'
    )
    pause_id = ID.findall(result.err)[1]
    command = f"graphwire run --thread {paused} --resume --pause {pause_id} --server {weather}"
    assert result.err == f"graphwire: to go on:\n    {command}\n"
    assert result.code == 0


def test_a_thread_says_for_how_long_it_is_kept(zoo: str) -> None:
    with Client(zoo) as client:
        for ttl, shown in (
            (timedelta(days=1, hours=2), "1 day, 2:00:00 after its last change"),
            (0, "ever"),
        ):
            thread_id = client.threads.create(ttl=ttl).thread_id
            lines = call("threads", "show", thread_id, server=zoo).out.splitlines()
            assert f"kept for  {shown}" in lines


def test_a_thread_whose_run_failed_says_how(zoo: str, failed: str) -> None:
    lines = call("threads", "show", failed, server=zoo).out.splitlines()
    assert lines[1:3] == [
        "status      ERROR",
        "error       ValueError: count must be 1 at least — it's 0 (in explode)",
    ]


def test_the_history_of_a_thread_is_newest_first(weather: str, paused: str) -> None:
    result = call("threads", "history", paused, server=weather)
    rows = [line.split() for line in masked(timeless(result)).splitlines()]
    assert rows == [
        ["checkpoint", "step", "made", "by", "next", "made"],
        ["<id>", "1", "loop", "action", "<time>"],
        ["<id>", "0", "loop", "agent", "<time>"],
        ["<id>", "-1", "input", "__start__", "<time>"],
    ]
    one = call("threads", "history", paused, "--limit", "1", "--json", server=weather)
    assert [state["next"] for state in one.objects] == [["action"]]


def test_the_state_of_a_thread_is_json_on_stdout(weather: str, paused: str) -> None:
    result = call("threads", "state", paused, server=weather)
    messages = json.loads(result.out)["messages"]
    assert [message["type"] for message in messages] == ["human", "ai"]
    assert masked(result.err) == "checkpoint  <id>\nnext        action\ntasks       action\n"


def test_the_state_at_a_checkpoint_is_that_of_then(weather: str, paused: str) -> None:
    history = call("threads", "history", paused, "--json", server=weather).objects
    at = history[1]["checkpoint_id"]
    result = call("threads", "state", paused, "--checkpoint", at, "--json", server=weather)
    assert result.objects == [history[1]]
    missing = call("threads", "state", paused, "--checkpoint", paused, server=weather)
    assert missing.err.endswith("[CHECKPOINT_NOT_FOUND]\n")


def test_deleted_threads_are_gone(weather: str) -> None:
    threads = [start(weather, "agent", "Hi") for _ in range(2)]
    result = call("threads", "delete", *threads, server=weather)
    assert result.out == "".join(f"deleted {thread}\n" for thread in threads)
    gone = call("threads", "show", threads[0], server=weather)
    assert gone.err == f"graphwire: there is no thread {threads[0]} [THREAD_NOT_FOUND]\n"
    assert gone.code == 1


def test_runs_are_listed_with_their_errors(zoo: str, failed: str) -> None:
    result = call("runs", "list", failed, server=zoo)
    header, row = masked(timeless(result)).splitlines()
    assert header.split() == ["run", "status", "assistant", "accepted", "took", "error"]
    error = "ValueError: count must be 1 at least — it's 0 (in explode)"
    assert " ".join(row.split()) == f"<id> FAILED boom <time> <n> s {error}"
    none = call("runs", "list", failed, "--status", "succeeded", "--json", server=zoo)
    assert (none.code, none.out) == (0, "")


def test_a_run_shows_its_breakpoints_and_what_it_recorded(weather: str, paused: str) -> None:
    [run] = call("runs", "list", paused, "--json", server=weather).objects
    result = call("runs", "show", run["run_id"], server=weather)
    assert masked(timeless(result)) == (
        "run          <id>\nstatus       INTERRUPTED\nthread       <id>\n"
        "assistant    agent\naccepted     <time>\ntook         <n> s\n"
        f"breakpoints  before action\nevents       {run['last_sequence']} "
        "(updates, messages, custom, tasks)\ndurability   sync\n"
    )


def test_a_run_that_is_over_is_joined_from_any_event(weather: str, paused: str) -> None:
    [run] = call("runs", "list", paused, "--json", server=weather).objects
    last = run["last_sequence"]
    result = call("runs", "join", run["run_id"], "--after", str(last - 2), "--json", server=weather)
    assert [(e["sequence"], e["type"]) for e in result.objects] == [
        (last - 1, "interrupted"),
        (last, "end"),
    ]
    assert result.err.startswith("graphwire: to go on:\n")
    assert result.code == 4
    beyond = call("runs", "join", run["run_id"], "--after", str(last + 1), server=weather)
    assert beyond.err.endswith("[SEQUENCE_OUT_OF_RANGE]\n")


def test_a_run_that_is_joined_after_its_last_event_tells_how_it_ended(
    weather: str, paused: str, zoo: str, failed: str
) -> None:
    [run] = call("runs", "list", paused, "--json", server=weather).objects
    last = str(run["last_sequence"])
    result = call("runs", "join", run["run_id"], "--after", last, server=weather)
    assert result.out == 'paused before action\nget_weather(city="San Francisco")\n'
    said = f"graphwire: the run has ended, INTERRUPTED: nothing comes after event {last}\n"
    pause_id = ID.findall(result.err)[1]
    command = f"graphwire run --thread {paused} --resume --pause {pause_id} --server {weather}"
    assert result.err == f"{said}graphwire: to go on:\n    {command}\n"
    assert result.code == 4
    [run] = call("runs", "list", failed, "--json", server=zoo).objects
    last = str(run["last_sequence"])
    result = call("runs", "join", run["run_id"], "--after", last, "--json", server=zoo)
    assert result.err == (
        f"graphwire: the run has ended, FAILED: nothing comes after event {last}\n"
        "graphwire: the run failed in explode: ValueError: count must be 1 at least — it's 0\n"
    )
    assert (result.code, result.out) == (1, "")


def test_a_joined_run_tells_what_its_thread_is_paused_at(weather: str, paused: str) -> None:
    [run] = call("runs", "list", paused, "--json", server=weather).objects
    result = call("runs", "join", run["run_id"], server=weather)
    assert result.out.endswith('\npaused before action\nget_weather(city="San Francisco")\n')
    pause_id = ID.findall(result.err)[1]
    command = f"graphwire run --thread {paused} --resume --pause {pause_id} --server {weather}"
    assert result.err == f"graphwire: to go on:\n    {command}\n"
    assert result.code == 4


def test_a_joined_run_that_was_resumed_long_ago_does_not_ask_to_be_resumed(weather: str) -> None:
    thread = start(weather, "agent", QUESTION, "--break", "action")
    [run] = call("runs", "list", thread, "--json", server=weather).objects
    assert call("run", "-t", thread, "--resume", server=weather).code == 0
    result = call("runs", "join", run["run_id"], server=weather)
    assert (result.code, result.err) == (4, "")


def test_cancelling_waits_until_the_run_has_ended(zoo: str, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    with AtATerminal("run", "gated", "--input", gate.input.json, "-s", zoo) as watched:
        watched.read_until("on thread ")
        gate.wait_begun()
        [thread] = ID.findall(watched.screen)
        [run] = call("runs", "list", thread, "--json", server=zoo).objects
        result = call("runs", "cancel", run["run_id"], server=zoo)
        assert (result.code, result.out) == (0, f"{run['run_id']} CANCELLED\n")
        watched.read_until("graphwire: the run was cancelled")
        assert watched.wait() == 1


def test_at_a_terminal_times_are_told_as_people_do(weather: str, paused: str) -> None:
    with AtATerminal("threads", "show", paused, "-s", weather) as shown:
        assert shown.wait() == 0
    assert re.search(r"created +(just now|\d+ (s|min) ago) *\n", shown.screen)


def start(server: str, *args: str) -> str:
    """Runs something, and returns its thread."""
    return call("run", *args, server=server).out.splitlines()[0].rpartition(" ")[2]


def timeless(result: Result) -> str:
    """Returns what was printed without times."""
    return TIME.sub("<time>", result.out)
