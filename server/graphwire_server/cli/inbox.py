"""`graphwire inbox`: pauses across threads, and their answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphwire import Approve, Client, Edit, Reject, Respond, Resume
from graphwire.enums import OnExpiry, PauseKind, PauseStatus, ThreadChangeKind
from graphwire.errors import GraphwireError, PauseNotFoundError
from graphwire.reviews import Decision
from graphwire.values import Pause
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from graphwire_server.cli import jsonlines
from graphwire_server.cli.connection import Connection
from graphwire_server.cli.console import at_terminal, fail, out
from graphwire_server.cli.debugger import screen
from graphwire_server.cli.debugger.commands import GoOn
from graphwire_server.cli.debugger.prompt import LOST, Prompt
from graphwire_server.cli.debugger.session import Debugger
from graphwire_server.cli.exit_codes import ExitCode
from graphwire_server.cli.inputs import read_answer, read_object
from graphwire_server.cli.lines import LineReader
from graphwire_server.cli.message import call_text, compact
from graphwire_server.cli.pauses import sent, where
from graphwire_server.cli.tables import (
    optional,
    show_fields,
    show_table,
    time_text,
    time_until,
)
from graphwire_server.cli.visible import kept, one_line, visible_text

PROMPT = "(inbox) "
_OPEN, _RESUMED = PauseStatus.OPEN, PauseStatus.RESUMED
_VERDICTS: Mapping[type, str] = {
    Approve: "approved",
    Edit: "edited",
    Reject: "rejected",
    Respond: "answered",
}
_ON_EXPIRY: Mapping[OnExpiry, str] = {
    OnExpiry.RESUME: "goes on",
    OnExpiry.REJECT: "rejected",
    OnExpiry.CANCEL: "given up",
}
#: How many characters of an id are shown where there is no room for all; its end, since the
#: beginnings of ids made at about the same time are the same.
_SHORT = 8
#: Among how many resolved pauses, the newest, an end of an id is looked for.
_RESOLVED = 1000
_LONGEST = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which pauses; what is empty does not count.

    Attributes:
        thread: The thread.
        assistant: The assistant of the run.
        node: The node.
        label: The label of a breakpoint.
        tool: A tool whose call waits.
        metadata: What the thread's metadata contains, as JSON.
    """

    thread: str = ""
    assistant: str = ""
    node: str = ""
    label: str = ""
    tool: str = ""
    metadata: str | None = None

    def fits(self, pause: Pause) -> bool:
        """Tells whether a pause is meant, as far as it says itself."""
        return (
            self.assistant in ("", pause.assistant_id)
            and self.node in ("", pause.node)
            and (not self.label or any(met.label == self.label for met in pause.breakpoints))
            and (not self.tool or any(call.name == self.tool for call in pause.tool_calls))
        )

    def arguments(self) -> dict[str, Any]:
        """Returns it as the client takes it."""
        return {
            "thread_id": self.thread,
            "assistant_id": self.assistant,
            "node": self.node,
            "label": self.label,
            "tool_name": self.tool,
            "thread_metadata": read_object("--metadata", self.metadata),
        }


def list_inbox(client: Client, wanted: Filter, *, limit: int, as_json: bool) -> None:
    """Lists open pauses, those that have waited longest first."""
    pauses = client.pauses.list(**wanted.arguments(), oldest_first=True, limit=limit)
    if as_json:
        for pause in pauses:
            jsonlines.write(pause)
        return
    _show_table(out(), list(pauses))


def open_inbox(
    client: Client, connection: Connection, wanted: Filter, *, limit: int, as_json: bool
) -> None:
    """Lists open pauses, and at a terminal has a person pick one after the other."""
    if as_json or not at_terminal():
        list_inbox(client, wanted, limit=limit, as_json=as_json)
        return
    _Inbox(client, connection, wanted, limit).stay()


def watch_inbox(client: Client, wanted: Filter, *, as_json: bool) -> None:
    """Shows pauses as they are made and resolved, until Ctrl-C."""
    console = out()
    changes = client.threads.watch(
        kinds=(
            ThreadChangeKind.PAUSED,
            ThreadChangeKind.PAUSE_RESOLVED,
            ThreadChangeKind.PAUSES_DELETED,
        ),
        thread_ids=wanted.thread or (),
        metadata=read_object("--metadata", wanted.metadata),
    )
    threads: dict[str, str] = {}  # of the open pauses that were told of
    with changes:
        for change in changes:
            pause = change.pause
            if pause is not None and wanted.fits(pause):
                row = _resolved(pause) if pause.resolution is not None else _made(console, pause)
                ids = [pause.pause_id]
                threads.pop(pause.pause_id, None)
                if pause.resolution is None:
                    threads[pause.pause_id] = pause.thread_id
            elif change.kind is ThreadChangeKind.PAUSES_DELETED:
                row = Text("deleted, with its thread")
                ids = [key for key, thread_id in threads.items() if thread_id == change.thread_id]
                for pause_id in ids:
                    del threads[pause_id]
            else:
                continue
            if not ids:
                continue
            if as_json:
                jsonlines.write(change)
                continue
            time = change.time.astimezone().strftime("%H:%M:%S") if change.time else ""
            for pause_id in ids:
                shown = pause_id[-_SHORT:] if console.is_terminal else pause_id
                console.print(
                    Text.assemble((time, "dim"), "  ", (shown, "bold"), "  ", one_line(row)),
                    soft_wrap=True,
                )


def show_pause(client: Client, connection: Connection, given: str, *, as_json: bool) -> None:
    """Shows a pause, and how it is answered."""
    pause = _find(client, given)
    if as_json:
        jsonlines.write(pause)
        return
    console = out()
    show_fields(
        console,
        [
            ("pause", Text(pause.pause_id, style="bold")),
            ("thread", Text(pause.thread_id)),
            ("run", Text(pause.run_id) if pause.run_id else None),
            ("assistant", Text(pause.assistant_id)),
            ("where", Text(where(pause), style="yellow")),
            ("became", None if pause.resolution is None else _resolved(pause)),
            ("since", time_text(console, pause.create_time)),
            ("resolved", _resolve_time(console, pause)),
            ("expires", optional(_expiry(console, pause, then=True))),
        ],
    )
    _show_what_waits(console, pause)
    if pause.status is not _OPEN:
        return
    words = ["inbox", "approve", pause.pause_id]
    if pause.kind is PauseKind.INTERRUPT:
        words = ["inbox", "answer", pause.pause_id, "ANSWER"]
    console.print()
    for command in (words, ["attach", pause.thread_id]):
        console.print(Text(connection.command(*command), style="dim"), soft_wrap=True)


def answer_pause(client: Client, connection: Connection, given: str, answer: str, who: str) -> None:
    """Answers a question."""
    pause = _find(client, given)
    if pause.kind is not PauseKind.INTERRUPT:
        fail(
            f"{where(pause)} nothing is asked: it can be approved"
            + (", or its tool calls rejected" if pause.tool_calls else ""),
            ExitCode.USAGE,
        )
    value = read_answer("ANSWER", answer)
    _resolve(client, connection, pause, Resume(answers={pause.pause_id: value}, answered_by=who))


def approve_pause(client: Client, connection: Connection, given: str, who: str) -> None:
    """Lets the node that waits at a pause run, with all its tool calls."""
    pause = _find(client, given)
    if pause.kind is PauseKind.INTERRUPT:
        fail(
            f"{pause.node} asks a question: it has to be answered",
            ExitCode.USAGE,
            detail=connection.command("inbox", "answer", pause.pause_id, "ANSWER"),
        )
    _resolve(client, connection, pause, Resume(pause_ids=[pause.pause_id], answered_by=who))


def reject_pause(
    client: Client, connection: Connection, given: str, message: str, who: str
) -> None:
    """Rejects all tool calls that wait at a pause."""
    pause = _find(client, given)
    if not pause.tool_calls:
        fail(f"{where(pause)} no tool call waits that could be rejected", ExitCode.USAGE)
    review: Mapping[str, Decision] = {
        call.tool_call_id: Reject(message) for call in pause.tool_calls
    }
    _resolve(client, connection, pause, Resume(reviews={pause.pause_id: review}, answered_by=who))


def _resolve(client: Client, connection: Connection, pause: Pause, resume: Resume) -> None:
    run = client.runs.create(pause.thread_id, resume=resume)
    console = out()
    console.print(Text(f"goes on: run {run.run_id}"), soft_wrap=True)
    if console.is_terminal:
        watch = connection.command("runs", "join", run.run_id)
        console.print(Text(watch, style="dim"), soft_wrap=True)


def _find(client: Client, given: str) -> Pause:
    """Returns the pause that is meant: by its id, or by its end.

    An end is that of an open one; if there is none, of one that was resolved.
    """
    if not given.strip():
        fail("which pause? Its id is empty", ExitCode.USAGE)
    try:
        return client.pauses.get(given)
    except PauseNotFoundError:
        pass
    except GraphwireError as error:
        # What is shorter than an id is refused as none.
        if error.reason != "INVALID_FIELD":
            raise
    resolved = [each for each in PauseStatus if each not in (_OPEN, PauseStatus.UNKNOWN)]
    fitting = _ending_in(given, client.pauses.list()) or _ending_in(
        given, client.pauses.list(statuses=resolved, limit=_RESOLVED)
    )
    if not fitting:
        fail(
            f"no open pause has an id that ends in {given}, and none of the newest {_RESOLVED} "
            "that are resolved",
            ExitCode.FAILED,
        )
    if len(fitting) > 1:
        several = "\n    ".join(f"{each.pause_id}  {each.status.lower()}" for each in fitting)
        fail(f"several pauses have an id that ends in {given}", ExitCode.FAILED, detail=several)
    return fitting[0]


def _ending_in(end: str, pauses: Iterable[Pause]) -> list[Pause]:
    return [pause for pause in pauses if pause.pause_id.endswith(end)]


class _Inbox:
    """The inbox at a terminal."""

    def __init__(self, client: Client, connection: Connection, wanted: Filter, limit: int) -> None:
        self._client = client
        self._connection = connection
        self._arguments = wanted.arguments()
        self._limit = limit
        self._console = out()
        self._lines = LineReader(self._console)

    def stay(self) -> None:
        """Shows the inbox until the person leaves it."""
        pauses = self._list()
        while True:
            try:
                word = self._lines.read(PROMPT, completions=lambda _: ()).strip().lower()
            except (EOFError, KeyboardInterrupt):
                self._console.print()
                return
            if word in ("q", "quit"):
                return
            if word.isdecimal() and 1 <= int(word) <= len(pauses):
                self._open(pauses[int(word) - 1])
                pauses = self._list()
            elif word in ("", "l", "list"):
                pauses = self._list()
            else:
                numbers = f"the number of a pause, 1 to {len(pauses)}, " if pauses else ""
                self._console.print(
                    Text(f"type {numbers}l to list them again, or q to leave", style="red")
                )

    def _list(self) -> Sequence[Pause]:
        pauses = list(
            self._client.pauses.list(**self._arguments, oldest_first=True, limit=self._limit)
        )
        self._console.print()
        if pauses:
            _show_table(self._console, pauses, numbered=True)
            keys = [("N", "open"), ("l", "list again"), ("q", "quit")]
            line = Text("  ").join(
                Text.assemble((key, "bold yellow"), f" {about}") for key, about in keys
            )
            self._console.print(line)
        else:
            self._console.print(Text("nothing waits", style="dim"))
        return pauses

    def _open(self, pause: Pause) -> None:
        """Shows a pause, and asks until it goes on, or is left."""
        prompt = Prompt(self._console, self._client, self._lines)
        debugger = Debugger(self._client, self._connection, self._console, prompt=prompt)
        pause_id = pause.pause_id
        while (going := prompt.ask(pause.thread_id, pause_id=pause_id)) is not None:
            try:
                if going.watches:
                    debugger.watch(pause.thread_id)
                    continue
                if _is_final(going):
                    run = self._client.runs.create(pause.thread_id, resume=going.resume)
                    self._console.print(Text(f"goes on: run {run.run_id}", style="green"))
                    return
                debugger.run(pause.thread_id, going)
            except LOST:
                if not prompt.lost(pause.thread_id):
                    raise
            except GraphwireError as error:
                prompt.refused(error)
            pause_id = ""


def _is_final(going: GoOn) -> bool:
    """Tells whether a person wants it to go on, and not to see each step of it."""
    resume = going.resume
    return resume is not None and not (resume.step or resume.run_to or going.stops_at_start)


def _show_table(console: Console, pauses: Sequence[Pause], *, numbered: bool = False) -> None:
    if not console.is_terminal:
        show_table(
            console,
            ["pause", "where", "waits", "since", "expires", "thread", "assistant"],
            [
                [
                    Text(pause.pause_id),
                    _where(pause),
                    _what_waits(console, pause),
                    time_text(console, pause.create_time),
                    Text(_expiry(console, pause, then=False)),
                    Text(pause.thread_id),
                    Text(pause.assistant_id),
                ]
                for pause in pauses
            ],
        )
        return
    columns = [*([""] if numbered else []), "pause", "where", "waits", "since"]
    rows = []
    for number, pause in enumerate(pauses, 1):
        # The second lines have room on a terminal of 80 columns, more columns have not.
        place, waits = _where(pause), _what_waits(console, pause)
        place.append(f"\n{pause.assistant_id} on {pause.thread_id[-_SHORT:]}", "dim")
        if expiry := _expiry(console, pause, then=True):
            waits.append(f"\n{expiry}", "yellow")
        row = [Text(str(number), style="bold")] if numbered else []
        row += [
            Text(pause.pause_id[-_SHORT:], no_wrap=True),
            place,
            waits,
            time_text(console, pause.create_time),
        ]
        rows.append(row)
    show_table(console, columns, rows)


def _made(console: Console, pause: Pause) -> Text:
    row = Text.assemble(("waits ", "yellow"), _where(pause))
    if (waits := _what_waits(console, pause)).plain:
        row += Text("  ")
        row += waits
    return row


def _resolved(pause: Pause) -> Text:
    """Returns what has become of a pause, and who did it."""
    resolution = pause.resolution
    row = Text(pause.status.lower(), style="green" if pause.status is _RESUMED else "dim")
    row.append(f" {where(pause)}", "not green")
    if resolution is None:
        return row
    if resolution.expired:
        row.append("  its time was over", "dim")
    elif who := resolution.answered_by or resolution.principal:
        row.append(f"  by {who}", "dim")
    if resolution.review is not None:
        verdicts = ", ".join(map(_verdict, resolution.review.values()))
        row.append(f"  {verdicts}", "dim")
    elif pause.kind is PauseKind.INTERRUPT and pause.status is _RESUMED:
        row.append(f"  {compact(resolution.answer)}", "dim")
    return row


def _verdict(decision: Decision) -> str:
    """Returns a verdict on a tool call, with the reason or the result that was given."""
    verdict = _VERDICTS[type(decision)]
    match decision:
        case Reject(message) if message:
            return f"{verdict}: {message}"
        case Respond(content):
            return f"{verdict}: {content if isinstance(content, str) else compact(content)}"
        case Edit(args, name):
            return f"{verdict}: {f'{name} ' if name else ''}{compact(args)}"
    return verdict


def _where(pause: Pause) -> Text:
    row = Text(where(pause))
    for met in pause.breakpoints:
        row.append(f" “{met.label}”" if met.label else "", "bold")
    return row


def _what_waits(console: Console, pause: Pause) -> Text:
    if pause.kind is PauseKind.INTERRUPT:
        value = pause.value
        asked = Text(kept(value) if isinstance(value, str) else compact(value))
        row = Text("  ").join([asked, *sent(pause)])
    else:
        calls = [call_text(call.name, call.args) for call in pause.tool_calls]
        row = Text(", ").join([*calls, *sent(pause)])
    if console.is_terminal:
        row = visible_text(row)
        row.truncate(_LONGEST, overflow="ellipsis")
    return row


def _resolve_time(console: Console, pause: Pause) -> Text | None:
    return None if pause.resolution is None else time_text(console, pause.resolution.time)


def _expiry(console: Console, pause: Pause, *, then: bool) -> str:
    """Returns when the time of an open pause is over; with `then`, and what happens to it."""
    if pause.expire_time is None or pause.status is not _OPEN:
        return ""
    becomes = _ON_EXPIRY.get(pause.on_expiry or OnExpiry.UNKNOWN, "ends") if then else ""
    if console.is_terminal:
        return f"{becomes} {time_until(pause.expire_time)}".strip()
    return f"{time_text(console, pause.expire_time).plain}  {becomes}".strip()


def _show_what_waits(console: Console, pause: Pause) -> None:
    rows = [
        *screen.reasons(pause, with_expiry=False),
        *sent(pause),
        *(call_text(call.name, call.args) for call in pause.tool_calls),
        *(screen.question(pause) if pause.kind is PauseKind.INTERRUPT else ()),
    ]
    if rows:
        console.print()
    for row in rows:
        console.print(Padding(row, (0, 0, 0, 2), expand=False))
