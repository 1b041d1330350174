"""How a run starts, as a request of the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration

from graphwire import _enums as enums
from graphwire._breakpoints import breakpoint_messages
from graphwire._calls import new_request_id
from graphwire._durations import duration
from graphwire._payload import encode, encode_if_given, encode_if_set
from graphwire._reviews import review_message
from graphwire.errors import FieldViolation, InvalidArgumentError
from graphwire.start import NOT_GIVEN, Command, Goto, NewRun, Resume, RunOptions
from graphwire.v1 import run_pb2 as pb
from graphwire.v1.runs_pb2 import CreateRunRequest, StreamRunRequest

StartRequest = TypeVar("StartRequest", StreamRunRequest, CreateRunRequest)


def start_request(
    kind: type[StartRequest],
    thread_id: str | None,
    assistant_id: str,
    *,
    input: Any,
    resume: Resume | bool | None,
    command: Command | None,
    options: RunOptions,
) -> StartRequest:
    """Builds the request that starts a run.

    Raises:
        TypeError: Not exactly one of `input`, `resume` and `command` is given, one has
            the wrong type, or an option is unknown.
        ValueError: `thread_id` is empty.
        InvalidArgumentError: A value can't be sent; the error names its field.
    """
    if thread_id == "":
        raise ValueError("thread_id is empty: pass None for a stateless run")
    fields = {
        name: _encoder(name)(value, name) for name, value in options.items() if value is not None
    }
    fields["request_id"] = new_request_id(options.get("request_id"))
    return kind(
        thread_id=thread_id or "",
        assistant_id=assistant_id,
        **_start(input, resume, command),
        **fields,
    )


def start_requests(several: Iterable[NewRun]) -> list[CreateRunRequest]:
    """Builds the requests that start several runs together.

    Raises:
        TypeError, ValueError: As `start_request`, for one of them.
        InvalidArgumentError: A value can't be sent; the error names its field, and of which
            request.
    """
    requests = []
    given: Iterable[object] = several
    for index, new in enumerate(given):
        if not isinstance(new, NewRun):
            raise TypeError(f"requests[{index}] is {new!r}: it must be a NewRun(…)")
        if new.options.get("request_id") is not None:
            raise TypeError("request_id is one for all runs that are started together")
        try:
            request = start_request(
                CreateRunRequest,
                new.thread_id,
                new.assistant_id,
                input=new.input,
                resume=new.resume,
                command=new.command,
                options=new.options,
            )
        except InvalidArgumentError as error:
            violations = [
                FieldViolation(f"requests[{index}].{v.field}", v.description)
                for v in error.violations
            ]
            raise type(error)(error.message, violations=violations) from error
        request.ClearField("request_id")
        requests.append(request)
    return requests


def _start(input: Any, resume: Resume | bool | None, command: Command | None) -> dict[str, Any]:
    given = {
        name: value
        for name, value, missing in (
            ("input", input, NOT_GIVEN),
            ("resume", resume, None),
            ("command", command, None),
        )
        if value is not missing
    }
    if len(given) != 1:
        names = " and ".join(given) or "none of them"
        raise TypeError(f"a run starts with one of input, resume or command; given: {names}")
    match given:
        case {"resume": True}:
            return {"resume": pb.Resume()}
        case {"resume": Resume() as value}:
            return {"resume": _resume(value, "resume")}
        case {"command": Command() as value}:
            return {"command": _command(value)}
        case {"input": value}:
            return {"input": encode(value, "input")}
    [(name, value)] = given.items()
    right = "True or Resume(answer=…)" if name == "resume" else "Command(…)"
    raise TypeError(f"{name} is {value!r}: it must be {right}")


def _resume(resume: Resume, field: str) -> pb.Resume:
    return pb.Resume(
        pause_ids=_names(resume.pause_ids, f"{field}.pause_ids"),
        answers={
            name: encode(answer, f"{field}.answers[{name!r}]")
            for name, answer in resume.answers.items()
        },
        answer=encode_if_given(resume.answer, f"{field}.answer"),
        expected_checkpoint_id=resume.expected_checkpoint_id,
        reviews={
            pause_id: review_message(review, f"{field}.reviews[{pause_id!r}]")
            for pause_id, review in resume.reviews.items()
        },
        review=(
            None if resume.review is None else review_message(resume.review, f"{field}.review")
        ),
        step=enums.STEP_MODE.write_if_set(resume.step, f"{field}.step"),
        run_to=resume.run_to,
        answered_by=resume.answered_by,
    )


def _command(command: Command) -> pb.Command:
    return pb.Command(
        update=encode_if_given(command.update, "command.update"),
        goto=goto_messages(command, "command.goto"),
        resume=_resume_of(command),
    )


def _resume_of(command: Command) -> pb.Resume | None:
    match command.resume:
        case None:
            return None
        case Resume() as resume:
            return _resume(resume, "command.resume")
        case other:
            raise TypeError(
                f"command.resume is {other!r}: it must be Resume(…), for an answer Resume(answer=…)"
            )


def goto_messages(command: Command, field: str) -> list[pb.Goto]:
    """Writes where a command goes. Raises InvalidArgumentError for what can't be sent."""
    several = [command.goto] if isinstance(command.goto, str | Goto) else command.goto
    return [_goto(goto, f"{field}[{i}]") for i, goto in enumerate(several)]


def _goto(goto: str | Goto, field: str) -> pb.Goto:
    if isinstance(goto, str):
        return pb.Goto(node=goto)
    return pb.Goto(node=goto.node, input=encode_if_given(goto.input, f"{field}.input"))


def _names(names: str | Iterable[str], _field: str) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _as_given(value: Any, _field: str) -> Any:
    return value


def run_config(config: Mapping[str, Any], field: str) -> pb.RunConfig:
    """Writes a run's config. Raises TypeError for a key that it does not have."""
    if unknown := config.keys() - {"recursion_limit", "tags", "configurable"}:
        raise TypeError(
            f"{field} has no {', '.join(sorted(unknown))}: "
            "it takes recursion_limit, tags and configurable"
        )
    return pb.RunConfig(
        recursion_limit=config.get("recursion_limit") or 0,
        tags=_names(config.get("tags", ()), f"{field}.tags"),
        configurable=encode_if_set(config.get("configurable"), f"{field}.configurable"),
    )


def _duration(delay: float | timedelta, _field: str) -> Duration:
    return duration(delay)


_ENCODERS: Mapping[str, Callable[[Any, str], Any]] = {
    "interrupt_before": _names,
    "interrupt_after": _names,
    "breakpoints": breakpoint_messages,
    "clear_breakpoints": _as_given,
    "stream_modes": enums.STREAM_MODE.write_all,
    "stream_subgraphs": _as_given,
    "config": run_config,
    "context": encode,
    "metadata": encode,
    "checkpoint_id": _as_given,
    "durability": enums.DURABILITY.write,
    "multitask_strategy": enums.MULTITASK_STRATEGY.write,
    "on_pause": enums.ON_PAUSE.write,
    "if_not_exists": enums.IF_NOT_EXISTS.write,
    "start_delay": _duration,
    "request_id": _as_given,
    "recovery_policy": enums.RECOVERY_POLICY.write,
    "on_completion": enums.ON_COMPLETION.write,
    "webhook": _as_given,
}


def _encoder(option: str) -> Callable[[Any, str], Any]:
    try:
        return _ENCODERS[option]
    except KeyError:
        raise TypeError(
            f"{option!r} is no option of a run; there are: {', '.join(_ENCODERS)}"
        ) from None
