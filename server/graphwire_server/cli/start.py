"""What `graphwire run` was given, as what is to be run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn, cast

from graphwire import Breakpoint
from graphwire.enums import BreakpointPosition, IfNotExists, OnPause, StreamMode
from graphwire.start import NOT_GIVEN, Resume, RunConfig, RunOptions

from graphwire_server.cli.breakspec import read_breakpoint
from graphwire_server.cli.console import fail
from graphwire_server.cli.exit_codes import ExitCode
from graphwire_server.cli.inputs import read_answer, read_json, read_members, read_object


@dataclass(frozen=True, slots=True, kw_only=True)
class RunArguments:
    """The arguments and options of `graphwire run` as they were typed."""

    assistant: str | None
    message: str | None
    input: str | None
    thread: str | None
    create: bool
    stateless: bool
    break_before: Sequence[str] | None
    break_after: Sequence[str] | None
    resume: bool
    answer: str | None
    answers: str | None
    pauses: Sequence[str] | None
    discard: bool
    clear_breakpoints: bool
    modes: Sequence[str] | None
    subgraphs: bool
    context: str | None
    config: str | None
    metadata: str | None
    checkpoint: str | None
    step: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What is to be run.

    Attributes:
        assistant_id: The assistant; empty: the thread's, or the only one there is.
        thread_id: The thread; None: a new one.
        stateless: Run without a thread of one's own.
        input: The input; `NOT_GIVEN` for a resume.
        resume: Goes on from where the thread is paused; None: starts with the input.
        breakpoints: The breakpoints of the run.
        options: The other options of a run.
        stops_at_start: Whether to pause before the first nodes.
        lone_word: The one word that was given, if there is nothing else to run: taken for the
            message, unless it is an assistant.
    """

    assistant_id: str
    thread_id: str | None
    stateless: bool
    input: Any
    resume: Resume | None
    breakpoints: Sequence[Breakpoint]
    options: RunOptions
    stops_at_start: bool
    lone_word: str


def read_start(given: RunArguments) -> Start:
    """Reads what was given; exits, saying why, if it does not fit together."""
    lone_word = _lone_word(given)
    if lone_word:
        given = replace(given, assistant=None, message=lone_word)
    _check(given)
    return Start(
        assistant_id=given.assistant or "",
        thread_id=given.thread,
        stateless=given.stateless,
        input=_input(given),
        resume=_resume(given),
        breakpoints=_breakpoints(given),
        options=_options(given),
        stops_at_start=given.step,
        lone_word=lone_word,
    )


def nothing_to_run() -> NoReturn:
    """Exits."""
    _wrong("there is nothing to run: give a MESSAGE, --input, or --resume with --thread")


def _lone_word(given: RunArguments) -> str:
    if given.message is not None or given.input is not None or given.resume:
        return ""
    return given.assistant or ""


def _check(given: RunArguments) -> None:
    ways = [
        name
        for name, is_given in (
            ("MESSAGE", given.message is not None),
            ("--input", given.input is not None),
            ("--resume", given.resume),
        )
        if is_given
    ]
    if not ways:
        nothing_to_run()
    if len(ways) > 1:
        _wrong(f"{' and '.join(ways)} can't be given together")
    if given.thread == "":
        _wrong("--thread: the id is empty")
    if given.stateless and given.thread is not None:
        _wrong("--stateless and --thread can't be given together")
    if given.create and given.thread is None:
        _wrong("--create needs --thread: without one, a new thread is created anyway")
    if given.resume:
        if given.thread is None:
            _wrong("--resume needs --thread")
        if given.discard or given.create:
            _wrong("--resume goes on with what is there: leave out --discard and --create")
        if given.step:
            _wrong("--step pauses before the first nodes of a new run: --resume goes on from one")
        if given.answer is not None and given.answers is not None:
            _wrong("--answer and --answers can't be given together")
    elif given.answer or given.answers or given.pauses or given.clear_breakpoints:
        _wrong("--answer, --answers, --pause and --clear-breakpoints need --resume")


def _input(given: RunArguments) -> Any:
    if given.message is not None:
        return {"messages": [{"role": "user", "content": given.message}]}
    return NOT_GIVEN if given.input is None else read_json("--input", given.input)


def _resume(given: RunArguments) -> Resume | None:
    if not given.resume:
        return None
    return Resume(
        pause_ids=given.pauses or (),
        answers=read_object("--answers", given.answers) or {},
        answer=NOT_GIVEN if given.answer is None else read_answer("--answer", given.answer),
    )


def _options(given: RunArguments) -> RunOptions:
    return RunOptions(
        clear_breakpoints=given.clear_breakpoints or None,
        stream_modes=read_members("--mode", given.modes, StreamMode) if given.modes else None,
        stream_subgraphs=given.subgraphs or None,
        context=read_object("--context", given.context),
        config=_config(given.config),
        metadata=read_object("--metadata", given.metadata),
        checkpoint_id=given.checkpoint,
        on_pause=OnPause.DISCARD if given.discard else None,
        if_not_exists=IfNotExists.CREATE if given.create else None,
    )


def _breakpoints(given: RunArguments) -> list[Breakpoint]:
    found = []
    for option, texts, position in (
        ("--break", given.break_before, BreakpointPosition.BEFORE),
        ("--break-after", given.break_after, BreakpointPosition.AFTER),
    ):
        for text in texts or ():
            try:
                found.append(read_breakpoint(text, position))
            except ValueError as error:
                _wrong(f"{option}: {error}")
    return found


def _config(text: str | None) -> RunConfig | None:
    config = read_object("--config", text)
    if config is None:
        return None
    if unknown := sorted(config.keys() - RunConfig.__annotations__.keys()):
        known = ", ".join(RunConfig.__annotations__)
        _wrong(f"--config: there is no {', '.join(unknown)}; there are: {known}")
    return cast("RunConfig", config)  # the server checks the values


def _wrong(message: str) -> NoReturn:
    fail(message, ExitCode.USAGE)
