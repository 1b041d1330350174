"""StreamRunRequest and CreateRunRequest as a `RunRequest`, checked in itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from graphwire import errors
from graphwire.v1 import payload_pb2, run_pb2, runs_pb2

from graphwire_server.graphs.breakpoints import BreakpointSource
from graphwire_server.rpc import validation
from graphwire_server.rpc.breakpoints import read_breakpoints
from graphwire_server.rpc.commands import read_goto, read_update
from graphwire_server.rpc.payloads import PayloadCodec
from graphwire_server.rpc.reviews import read_review
from graphwire_server.runs.assistants import Config
from graphwire_server.runs.batch import of_request
from graphwire_server.runs.request import (
    CommandStart,
    Durability,
    Given,
    InputStart,
    Multitask,
    Recovery,
    ResumeStart,
    RunRequest,
    Start,
    StepMode,
    StreamMode,
)
from graphwire_server.webhooks.policy import UrlPolicy, UrlRefusedError

RunMessage = runs_pb2.StreamRunRequest | runs_pb2.CreateRunRequest

MAX_START_DELAY = timedelta(hours=24)
MAX_TAG = 256
_MAX_ANSWERED_BY = 256


class RunRequestReader:
    """Reads requests to start a run."""

    def __init__(
        self,
        codec: PayloadCodec,
        *,
        max_recursion_limit: int,
        webhooks: UrlPolicy | None = None,
    ) -> None:
        """Takes the limits of the server; `webhooks` is None where it sends none."""
        self._codec = codec
        self._max_recursion_limit = max_recursion_limit
        self._webhooks = webhooks

    def read(self, message: RunMessage) -> RunRequest:
        """Returns what a message asks for.

        Raises:
            InvalidArgumentError: A field is wrong in itself; it says which, and what would be
                right.
        """
        start = self._start(message)
        resumes = isinstance(start, ResumeStart) or (
            isinstance(start, CommandStart) and start.resume is not None
        )
        thread_id = validation.optional_thread_id(message.thread_id)
        if not thread_id and not isinstance(start, InputStart):
            text = "required for a resume or a command: say which thread"
            raise errors.MissingFieldError(text, field="thread_id")
        if not thread_id and message.checkpoint_id:
            text = "required with checkpoint_id: say which thread's"
            raise errors.MissingFieldError(text, field="thread_id")
        has_config = message.HasField("config")
        breakpoints = read_breakpoints(message.breakpoints, "breakpoints", BreakpointSource.RUN)
        return RunRequest(
            start=start,
            thread_id=thread_id,
            assistant_id=message.assistant_id,
            interrupt_before=_node_names(message.interrupt_before, "interrupt_before"),
            interrupt_after=_node_names(message.interrupt_after, "interrupt_after"),
            clear_breakpoints=message.clear_breakpoints,
            breakpoints=breakpoints,
            breakpoint_ids=tuple(m.breakpoint_id for m in message.breakpoints if m.breakpoint_id),
            stream_modes=tuple(
                StreamMode(name)
                for name in validation.enum_names(
                    run_pb2.StreamMode, message.stream_modes, "STREAM_MODE_", "stream_modes"
                )
            ),
            stream_subgraphs=message.stream_subgraphs,
            recursion_limit=self._recursion_limit(message.config.recursion_limit),
            tags=_tags(message.config.tags),
            configurable=self._steered(message.config, "configurable", "config.configurable"),
            has_config=has_config,
            context=self._steered(message, "context", "context"),
            metadata=self._metadata(message),
            checkpoint_id=validation.optional_uuid(message.checkpoint_id, "checkpoint_id"),
            durability=_durability(message.durability),
            multitask=_multitask(message.multitask_strategy, resumes=resumes),
            discard_pause=message.on_pause == run_pb2.ON_PAUSE_DISCARD,
            create_thread=message.if_not_exists == run_pb2.IF_NOT_EXISTS_CREATE,
            start_delay=_start_delay(message, resumes=resumes),
            recovery=_recovery(message.recovery_policy),
            keep_thread=_keeps_thread(message.on_completion, thread_id) and not thread_id,
            request_id=validation.request_id(message.request_id),
            webhook=self._webhook(message),
        )

    def settings(self, message: Any) -> tuple[Config | None, dict[str, Any] | None]:
        """Returns the config and the context for all runs of an assistant; None if not given.

        Raises:
            InvalidArgumentError: One is wrong in itself.
        """
        context = self._steered(message, "context", "context")
        if not message.HasField("config"):
            return None, context
        config = Config(
            recursion_limit=self._recursion_limit(message.config.recursion_limit),
            tags=_tags(message.config.tags),
            configurable=self._steered(message.config, "configurable", "config.configurable"),
        )
        return config, context

    def _start(self, message: RunMessage) -> Start:
        match message.WhichOneof("start"):
            case "input":
                value = self._codec.read(message.input, "input")
                if value is None or value == {}:
                    raise errors.InvalidFieldError(
                        "null and {} are no input: LangGraph would take them for going on past "
                        "a breakpoint; to go on, start with `resume`; to begin, give at least "
                        "one channel of the state",
                        field="input",
                    )
                return InputStart(value)
            case "resume":
                return self._resume(message.resume, "resume")
            case "command":
                return self._command(message.command, "command")
        raise errors.MissingFieldError(
            "say how the run starts: one of `input`, `resume` or `command`", field="start"
        )

    def _resume(self, resume: run_pb2.Resume, field: str) -> ResumeStart:
        if resume.answers and resume.HasField("answer"):
            text = "give either `answer` or `answers`, not both"
            raise errors.InvalidFieldError(text, field=f"{field}.answer")
        if resume.reviews and resume.HasField("review"):
            text = "give either `review` or `reviews`, not both"
            raise errors.InvalidFieldError(text, field=f"{field}.review")
        review = None
        if resume.HasField("review"):
            review = read_review(self._codec, resume.review, f"{field}.review")
        return ResumeStart(
            pause_ids=tuple(dict.fromkeys(resume.pause_ids)),
            answers=tuple(
                (key, self._codec.read(value, f"{field}.answers[{key}]"))
                for key, value in sorted(resume.answers.items())
            ),
            answer=self._given(resume, "answer", f"{field}.answer"),
            expected_checkpoint_id=validation.optional_uuid(
                resume.expected_checkpoint_id, f"{field}.expected_checkpoint_id"
            ),
            reviews=tuple(
                (key, read_review(self._codec, value, f"{field}.reviews[{key}]"))
                for key, value in sorted(resume.reviews.items())
            ),
            review=review,
            step=_step(resume, field),
            run_to=resume.run_to,
            answered_by=validation.line(
                resume.answered_by, f"{field}.answered_by", most=_MAX_ANSWERED_BY
            ),
        )

    def _command(self, command: run_pb2.Command, field: str) -> CommandStart:
        update = read_update(self._codec, command, field)
        goto = read_goto(self._codec, command, field)
        resume = (
            self._resume(command.resume, f"{field}.resume") if command.HasField("resume") else None
        )
        if update is None and not goto and resume is None:
            raise errors.MissingFieldError(
                "an empty command does nothing: give `update`, `goto` or `resume`", field=field
            )
        return CommandStart(update=update, goto=tuple(goto), resume=resume)

    def _given(self, message: Any, name: str, field: str) -> Given | None:
        if not message.HasField(name):
            return None
        payload: payload_pb2.Payload = getattr(message, name)
        return Given(self._codec.read(payload, field))

    def _steered(self, message: Any, name: str, field: str) -> dict[str, Any] | None:
        if not message.HasField(name):
            return None
        value = self._codec.read_object(getattr(message, name), field)
        validation.without_reserved_keys(value, field)
        return value

    def _webhook(self, message: RunMessage) -> str | None:
        if not message.HasField("webhook"):
            return None
        if message.webhook and self._webhooks is None:
            raise errors.InvalidFieldError(
                "this server sends no webhooks: they need a secret to be signed with, in its "
                "setting GRAPHWIRE_WEBHOOK_SECRETS",
                field="webhook",
            )
        if message.webhook and self._webhooks is not None:
            try:
                self._webhooks.check(message.webhook)
            except UrlRefusedError as error:
                # Without the URL, which may hold a secret.
                raise errors.InvalidFieldError(str(error), field="webhook") from None
        return message.webhook

    def _metadata(self, message: RunMessage) -> dict[str, Any] | None:
        if not message.HasField("metadata"):
            return None
        value = self._codec.read_metadata(message.metadata)
        validation.without_reserved_keys(value, "metadata")
        return value

    def _recursion_limit(self, value: int) -> int:
        most, field = self._max_recursion_limit, "config.recursion_limit"
        if value < 0:
            text = f"must be 1 to {most}, or 0 for the server's default"
            raise errors.InvalidFieldError(text, field=field)
        if value > most:
            raise errors.BeyondLimitError(
                f"is {value}; this server allows 1 to {most} (max_recursion_limit), or 0 for its "
                "default",
                field=field,
                metadata={
                    "limit": "max_recursion_limit",
                    "value": str(value),
                    "maximum": str(most),
                },
            )
        return value


def _step(resume: run_pb2.Resume, field: str) -> StepMode:
    name = validation.enum_name(run_pb2.StepMode, resume.step, "STEP_MODE_")
    if name and resume.run_to:
        raise errors.InvalidFieldError(
            "a run goes one step, or to a node; leave one of them out", field=f"{field}.run_to"
        )
    return cast("StepMode", name)


def read_all(reader: RunRequestReader, message: runs_pb2.CreateRunsRequest) -> list[RunRequest]:
    """Returns what the requests of a batch ask for.

    Raises:
        InvalidArgumentError: A field of one of them is wrong in itself.
    """
    if not message.requests:
        raise errors.MissingFieldError("at least one", field="requests")
    found = []
    for index, request in enumerate(message.requests):
        with of_request(index):
            if request.request_id:
                text = "give one request_id for all of them, beside `requests`"
                raise errors.InvalidFieldError(text, field="request_id")
            found.append(reader.read(request))
    return found


def _node_names(names: Any, field: str) -> tuple[str, ...]:
    for index, name in enumerate(names):
        if not name:
            text = 'an empty name; give a node of the graph, or "*" for all'
            raise errors.InvalidFieldError(text, field=f"{field}[{index}]")
    return tuple(dict.fromkeys(names))


def _tags(tags: Any) -> tuple[str, ...]:
    return tuple(
        validation.text(tag, f"config.tags[{index}]", most=MAX_TAG)
        for index, tag in enumerate(tags)
    )


def _durability(value: int) -> Durability | None:
    name = validation.enum_name(run_pb2.Durability, value, "DURABILITY_")
    return Durability(name) if name else None


def _multitask(value: int, *, resumes: bool) -> Multitask:
    name = validation.enum_name(run_pb2.MultitaskStrategy, value, "MULTITASK_STRATEGY_")
    if name not in ("", "REJECT") and resumes:
        raise errors.InvalidFieldError(
            "a resume is never queued, and cancels nothing: it is for what waits now; use "
            "MULTITASK_STRATEGY_REJECT",
            field="multitask_strategy",
        )
    return cast("Multitask", name or "REJECT")


def _keeps_thread(value: int, thread_id: str) -> bool:
    """Returns whether the thread of a stateless run is kept."""
    if value == run_pb2.ON_COMPLETION_DELETE and thread_id:
        raise errors.InvalidFieldError(
            "only the thread of a stateless run goes with the run; use DeleteThread, or leave "
            "thread_id empty",
            field="on_completion",
        )
    return value == run_pb2.ON_COMPLETION_KEEP


def _recovery(value: int) -> Recovery | None:
    name = validation.enum_name(run_pb2.RecoveryPolicy, value, "RECOVERY_POLICY_")
    return cast("Recovery", name) if name else None


def _start_delay(message: RunMessage, *, resumes: bool) -> int:
    """Returns the start delay in microseconds."""
    if not message.HasField("start_delay"):
        return 0
    delay = validation.duration(
        message.start_delay, "start_delay", most=MAX_START_DELAY, words="0 s to 24 h"
    )
    if resumes and delay:
        text = "a resume is never delayed: it is for what waits now; leave it out"
        raise errors.InvalidFieldError(text, field="start_delay")
    return delay
