"""`graphwire inbox`: pauses across threads, listed, shown, answered, watched."""

from __future__ import annotations

import re
import select
import subprocess
from collections.abc import Iterator

import pytest
from graphwire import Breakpoint, Client

from tests.cli.command import COMMAND, ID, AtATerminal, call, environment, masked
from tests.processes import Program
from tests.servers import ZOO, ServerProcess

INPUT = ("--input", '{"log": []}')
PROMPT = "(graphwire) "
INBOX = "(inbox) "
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@pytest.fixture(scope="module")
def zoo_alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of the zoo that nobody else uses: an inbox shows the pauses of all threads."""
    process = ServerProcess(tmp_path_factory.mktemp("inbox") / "zoo.db", ZOO).start()
    yield process.address
    assert process.stop() == 0, process.log


def paused(server: str, *words: str) -> tuple[str, str]:
    """Runs to a pause; returns the thread and the pause."""
    result = call("run", *words, "--json", server=server)
    assert result.code == 4, result.err
    pause, *_ = next(each for each in result.objects if each["type"] == "interrupted")["pauses"]
    return pause["thread_id"], pause["pause_id"]


def weather_question(server: str, city: str = "Oslo") -> tuple[str, str]:
    """Has the weather agent wait before it looks the weather up; returns thread and pause."""
    return paused(server, "agent", f"What is the weather in {city}?", "--break", "action")


def timeless(text: str) -> str:
    """Returns a text without what differs from run to run."""
    return _TIME.sub("<time>", masked(text))


def status_of(pause_id: str, server: str) -> dict[str, object]:
    """Returns what has become of a pause."""
    [pause] = call("inbox", "show", pause_id, "--json", server=server).objects
    return {
        "status": pause["status"],
        "by": (pause["resolution"] or {}).get("answered_by"),
        "answer": (pause["resolution"] or {}).get("answer"),
    }


def test_what_waits_is_listed_across_threads_the_oldest_first(zoo_alone: str) -> None:
    call_ids = [paused(zoo_alone, name, *INPUT) for name in ("ask", "ask_twice")]
    thread, _ = paused(zoo_alone, "linear", *INPUT, "--break", "b:after")
    result = call("inbox", server=zoo_alone)
    lines = [re.split(r" {2,}", line) for line in result.out.splitlines()]
    assert lines[0] == [
        "pause",
        "where",
        "waits",
        "since",
        "expires",
        "thread",
        "assistant",
    ]
    assert [line[1] for line in lines[1:]] == [
        "at a question of ask",
        "at a question of ask",
        "after b",
    ]
    assert [line[0] for line in lines[1:3]] == [pause_id for _, pause_id in call_ids]
    assert lines[1][2] == '{"question": "name"}'
    assert lines[3][-2:] == [thread, "linear"]
    assert (result.code, result.err) == (0, "")
    assert call("inbox", "list", server=zoo_alone).out == result.out
    only = call("inbox", "--node", "b", "--json", server=zoo_alone).objects
    assert [each["thread_id"] for each in only] == [thread]
    assert (
        call("inbox", "--assistant", "ask_twice", "-n", "9", server=zoo_alone).out.count(
            "at a question"
        )
        == 1
    )
    assert call("inbox", "list", "--tool", "refund", server=zoo_alone).out.count("\n") == 1
    assert call("inbox", "--metadata", "[]", server=zoo_alone).code == 2


def test_the_tasks_of_a_fan_out_are_told_apart_by_what_they_were_sent(zoo_alone: str) -> None:
    paused(zoo_alone, "fanout", *INPUT, "--break", "work")
    listed = call("inbox", "--assistant", "fanout", server=zoo_alone).out.splitlines()[1:]
    assert [re.split(r" {2,}", line)[1:3] for line in listed] == [
        ["before work", f'work gets {{"n": {n}}}'] for n in (1, 2, 3)
    ]
    pause = re.split(r" {2,}", listed[1])[0]
    shown = call("inbox", "show", pause, server=zoo_alone).out
    assert '\n  work gets {"n": 2}\n' in shown
    _, pause = paused(zoo_alone, "ask_each", *INPUT)
    listed = call("inbox", "--assistant", "ask_each", server=zoo_alone).out.splitlines()[1:]
    assert [re.split(r" {2,}", line)[2:4] for line in listed] == [
        [f'{{"item": {n}}}', f'ask gets {{"n": {n}}}'] for n in (1, 2, 3)
    ]


def test_a_pause_is_shown_with_how_to_answer_it(weather: str) -> None:
    thread, pause = weather_question(weather)
    result = call("inbox", "show", pause[-8:], server=weather)
    assert timeless(result.out) == (
        "pause      <id>\nthread     <id>\nrun        <id>\nassistant  agent\n"
        "where      before action\nsince      <time>\n\n"
        '  get_weather(city="Oslo")\n\n'
        f"graphwire inbox approve <id> --server {weather}\n"
        f"graphwire attach <id> --server {weather}\n"
    )
    assert ID.findall(result.out)[0] == pause
    assert call("inbox", "approve", pause, server=weather).code == 0
    after = call("inbox", "show", pause, server=weather)
    assert "became     resumed before action  by anonymous\n" in after.out
    assert "inbox approve" not in after.out
    assert call("runs", "list", thread, server=weather).code == 0


def expiring(server: str) -> tuple[str, str]:
    """Has the weather agent wait for ten minutes; returns thread and pause."""
    waits = Breakpoint("action", expires_after=630, on_expiry="REJECT")
    said = {"messages": [{"role": "user", "content": "What is the weather in Oslo?"}]}
    with Client(server) as client:
        thread = client.threads.create().thread_id
        for _ in client.runs.stream(thread, "agent", input=said, breakpoints=[waits]):
            pass
        [pause] = client.threads.get(thread).pauses
    return thread, pause.pause_id


def test_an_open_pause_says_when_its_time_is_over_and_what_happens_then(weather: str) -> None:
    thread, pause = expiring(weather)
    shown = call("inbox", "show", pause, server=weather)
    assert "expires    <time>  rejected\n" in timeless(shown.out)
    assert " in 10 min" not in shown.out
    columns = re.split(r" {2,}", timeless(call("inbox", "-t", thread, server=weather).out))
    assert columns[-4:] == ["<time>", "<time>", "<id>", "agent\n"]
    with AtATerminal("inbox", "-t", thread, "-s", weather) as inbox:
        inbox.answer(INBOX, "q")
        assert inbox.wait() == 0
    [header, first, second] = re.findall(
        r"^ +pause .*|^ 1 .*|^ +agent .*", inbox.screen, re.MULTILINE
    )
    assert header.split() == ["pause", "where", "waits", "since"]
    assert re.split(r" {2,}", first.strip())[1:4] == [
        pause[-8:],
        "before action",
        'get_weather(city="Oslo")',
    ]
    assert re.split(r" {2,}", second.strip()) == [
        f"agent on {thread[-8:]}",
        "rejected in 10 min",
    ]
    with AtATerminal("inbox", "show", pause, "-s", weather) as show:
        assert show.wait() == 0
    assert show.screen.count("rejected in 10 min") == 1


def test_a_resolved_pause_says_when_by_whom_and_why_and_no_more_when_it_expires(
    weather: str,
) -> None:
    _, pause = expiring(weather)
    rejected = call("inbox", "reject", pause, "not today", "--as", "ann", server=weather)
    assert rejected.code == 0
    shown = call("inbox", "show", pause[-8:], server=weather)
    assert timeless(shown.out) == (
        "pause      <id>\nthread     <id>\nrun        <id>\nassistant  agent\n"
        "where      before action\n"
        "became     resumed before action  by ann  rejected: not today\n"
        "since      <time>\nresolved   <time>\n\n"
        '  get_weather(city="Oslo")\n'
    )
    [there] = call("inbox", "show", pause, "--json", server=weather).objects
    assert there["resolution"]["time"][:19] in shown.out
    again = call("inbox", "approve", pause[-8:], server=weather)
    assert "is not open any more: it was resumed at " in again.err
    assert again.code == 1


@pytest.mark.parametrize(("typed", "answer"), [("-4", -4), ("-.5 or so", "-.5 or so")])
def test_an_answer_may_begin_with_a_minus(zoo: str, typed: str, answer: object) -> None:
    _, pause = paused(zoo, "ask", *INPUT)
    done = call("inbox", "answer", pause, typed, "--as", "-1", server=zoo)
    assert (done.code, done.err) == (0, "")
    assert status_of(pause, zoo) == {"status": "RESUMED", "by": "-1", "answer": answer}
    for words in ([pause, "-4", "--oops"], [pause, "--oops"], [pause, "-x"], [pause, "-4", "-5"]):
        assert call("inbox", "answer", *words, server=zoo).code == 2


def test_a_question_is_answered_with_text_or_json(zoo: str) -> None:
    _, pause = paused(zoo, "ask_schema", *INPUT)
    refused = call("inbox", "answer", pause, '{"amount": 0}', server=zoo)
    assert "the answer does not fit the response schema at $.amount" in refused.err
    assert (refused.code, refused.out) == (1, "")
    assert status_of(pause, zoo)["status"] == "OPEN"
    answered = call("inbox", "answer", pause, '{"amount": 7}', "--as", "ann", server=zoo)
    assert masked(answered.out) == "goes on: run <id>\n"
    assert status_of(pause, zoo) == {"status": "RESUMED", "by": "ann", "answer": {"amount": 7}}
    again = call("inbox", "answer", pause, '{"amount": 8}', server=zoo)
    assert "is not open any more: it was resumed at " in again.err
    assert again.code == 1


def test_calls_are_approved_or_rejected(weather: str) -> None:
    for words, shown in (
        (("approve",), "resumed before action  by anonymous\n"),
        (("reject",), "resumed before action  by anonymous  rejected\n"),
    ):
        thread, pause = weather_question(weather)
        done = call("inbox", words[0], pause, *words[1:], server=weather)
        assert masked(done.out) == "goes on: run <id>\n"
        assert shown in call("inbox", "show", pause, server=weather).out
        [run] = ID.findall(done.out)
        assert call("runs", "join", run, server=weather).code == 0
    state = call("threads", "state", thread, server=weather).out
    assert '"status": "error"' in state


def test_the_reason_of_a_rejection_reaches_the_model(weather: str) -> None:
    thread, pause = weather_question(weather)
    rejected = call("inbox", "reject", pause, "not today", server=weather)
    [run] = ID.findall(rejected.out)
    joined = call("runs", "join", run, server=weather)
    assert "get_weather → not today" in joined.out
    assert "not today" in call("threads", "state", thread, server=weather).out


def test_what_does_not_fit_a_pause_says_what_would(zoo: str, weather: str) -> None:
    _, question = paused(zoo, "ask", *INPUT)
    approved = call("inbox", "approve", question, server=zoo)
    assert approved.err == (
        "graphwire: ask asks a question: it has to be answered\n"
        f"    graphwire inbox answer {question} ANSWER --server {zoo}\n"
    )
    rejected = call("inbox", "reject", question, server=zoo)
    assert rejected.err == (
        "graphwire: at a question of ask no tool call waits that could be rejected\n"
    )
    _, waiting = weather_question(weather)
    answered = call("inbox", "answer", waiting, "yes", server=weather)
    assert answered.err == (
        "graphwire: before action nothing is asked: it can be approved, or its tool calls "
        "rejected\n"
    )
    assert (approved.code, rejected.code, answered.code) == (2, 2, 2)
    none = call("inbox", "show", "no-such-pause", server=zoo)
    assert none.err == (
        "graphwire: no open pause has an id that ends in no-such-pause, and none of the newest "
        "1000 that are resolved\n"
    )
    assert none.code == 1
    # Two of seventeen have the same last digit.
    for _ in range(17):
        paused(zoo, "ask", *INPUT)
    end = next(
        end
        for end in "0123456789abcdef"
        if call("inbox", "show", end, server=zoo).err.startswith("graphwire: several pauses have")
    )
    several = call("inbox", "approve", end, server=zoo)
    assert f"have an id that ends in {end}\n    " in several.err
    assert {each[-1] for each in ID.findall(several.err)} == {end}
    assert several.code == 1
    empty = call("inbox", "approve", "", server=zoo)
    assert (empty.code, empty.err) == (2, "graphwire: which pause? Its id is empty\n")


def test_at_a_terminal_pauses_are_picked_shown_and_answered(weather: str) -> None:
    for city in ("Oslo", "Bonn"):
        weather_question(weather, city)
    with AtATerminal(
        "inbox", "--tool", "get_weather", "-n", "1000", "-s", weather, columns=120
    ) as inbox:
        inbox.read_until("N open  l list again  q quit\n")
        rows = re.findall(r" (\d+) +\w{8} +before action +(get_weather\(.*?\))", inbox.screen)
        numbers = {call_: number for number, call_ in rows}
        inbox.answer(INBOX, "0")
        inbox.read_until("type the number of a pause, 1 to ")
        inbox.answer(INBOX, numbers['get_weather(city="Bonn")'])
        inbox.read_until("▶ before action\n")
        inbox.read_until('  1  get_weather(city="Bonn")\n')
        inbox.answer(PROMPT, "reject 1 not today")
        inbox.read_until("goes on: run ")
        inbox.answer(INBOX, numbers['get_weather(city="Oslo")'])
        inbox.read_until('  1  get_weather(city="Oslo")\n')
        # A step is watched, and the thread asked about again after it.
        inbox.answer(PROMPT, "step")
        inbox.read_until('get_weather → {"city": "Oslo"')
        inbox.read_until("▶ before agent\n")
        inbox.answer(PROMPT, "q")
        inbox.answer(INBOX, "q")
        assert inbox.wait() == 0


def test_an_empty_inbox_says_so(weather: str) -> None:
    with AtATerminal("inbox", "--tool", "no_such_tool", "-s", weather) as inbox:
        inbox.read_until("nothing waits\n")
        inbox.answer(INBOX, "fly")
        inbox.read_until("type l to list them again, or q to leave\n")
        inbox.read_until(INBOX)
        inbox.type("\x04")
        assert inbox.wait() == 0


def test_pauses_are_watched_as_they_come_and_go(zoo: str) -> None:
    watching = Program(
        [*COMMAND, "inbox", "--watch", "--assistant", "ask", "--json", "--server", zoo],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    with watching:
        assert watching.stdout is not None
        _, pause = _until_seen(watching, zoo)
        call("inbox", "answer", pause, "Ann", "--as", "bob", server=zoo)
        lines = ""
        while '"kind":"PAUSE_RESOLVED"' not in lines or pause not in lines:
            lines = watching.stdout.readline()
        watching.terminate()
    assert '"status":"RESUMED"' in lines
    assert '"answered_by":"bob"' in lines


def test_that_pauses_were_deleted_is_told_to_who_watches_them(zoo: str) -> None:
    watching = Program(
        [*COMMAND, "inbox", "--watch", "--assistant", "ask", "--server", zoo],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    with watching:
        assert watching.stdout is not None
        thread, pause = _until_seen(watching, zoo)
        other, _ = paused(zoo, "ask_twice", *INPUT)
        for each in (other, thread):
            call("threads", "delete", each, server=zoo)
        line = ""
        while "deleted" not in line:
            line = watching.stdout.readline()
        watching.terminate()
    assert line.split("  ", 1)[1] == f"{pause}  deleted, with its thread\n"


def _until_seen(watching: Program[str], server: str) -> tuple[str, str]:
    """Makes pauses until the one who watches has seen one, and returns that."""
    assert watching.stdout is not None
    for _ in range(60):
        made = paused(server, "ask", *INPUT)
        if select.select([watching.stdout], [], [], 0.5)[0]:
            while made[1] not in watching.stdout.readline():
                pass
            return made
    raise AssertionError("nothing was seen")


def test_watching_at_a_terminal_is_a_line_for_each(zoo: str) -> None:
    with AtATerminal("inbox", "--watch", "--node", "ask", "-s", zoo, columns=120) as watching:
        seen = ""
        for _ in range(60):
            _, pause = paused(zoo, "ask", *INPUT)
            watching.read_for(0.5)
            if pause[-8:] in watching.screen:
                seen = pause
                break
        call("inbox", "answer", seen, "Ann", "--as", "bob", server=zoo)
        watching.read_until(f'{seen[-8:]}  resumed at a question of ask  by bob  "Ann"\n')
        watching.interrupt()
        assert watching.wait() == 130
    assert f'{seen[-8:]}  waits at a question of ask  {{"question": "name"}}\n' in watching.screen
