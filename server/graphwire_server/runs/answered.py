"""What became of pauses that somebody wants to resume, and that are not open any more.

Of two people who answer one question the second learns who was first, when, and with which run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from graphwire import errors

from graphwire_server.graphs.breakpoints import OnExpiry
from graphwire_server.runs.events import timestamp
from graphwire_server.runs.request import ResumeStart
from graphwire_server.storage.interface import Reader
from graphwire_server.storage.records import (
    PauseKind,
    PauseRecord,
    PauseStatus,
    RunRecord,
    RunStatus,
)

#: How many pauses a message lists.
_LISTED = 5


def _nothing(_: str) -> None:
    return None


def _none(_: str) -> Sequence[PauseRecord]:
    return ()


def _never() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of the pauses of a thread that are not open any more.

    Attributes:
        called: Returns the last pause with a pause id or interrupt id, None if there is none.
        resumed_by: Returns the pauses that a run went on from.
        resumed_at: Returns the pauses at a checkpoint of the root from which a run went on.
        resolved_last: Returns the pause that was resolved last, None if none was.
        last_run_id: The run that went on last; empty if none did.
    """

    called: Callable[[str], PauseRecord | None] = _nothing
    resumed_by: Callable[[str], Sequence[PauseRecord]] = _none
    resumed_at: Callable[[str], Sequence[PauseRecord]] = _none
    resolved_last: Callable[[], PauseRecord | None] = _never
    last_run_id: str = ""

    @classmethod
    def read(cls, db: Reader, thread_id: str, active: Sequence[RunRecord]) -> Past:
        """Returns what a database knows of a thread, with its active runs."""
        running = [run for run in active if run.status is RunStatus.RUNNING]
        last = running[0] if running else db.last_run(thread_id)
        return cls(
            called=lambda key: db.pause_called(thread_id, key),
            resumed_by=lambda run_id: db.pauses_resumed_by(thread_id, run_id),
            resumed_at=lambda checkpoint_id: db.resumed_pauses(thread_id, checkpoint_id),
            resolved_last=lambda: db.last_resolved_pause(thread_id),
            last_run_id=last.run_id if last else "",
        )

    def not_open(
        self, key: str, open_pauses: Collection[PauseRecord] = ()
    ) -> errors.PauseNotOpenError:
        """Returns the error for a pause or interrupt that is named and is not open."""
        pause = self.called(key)
        if pause is not None and pause.status is not PauseStatus.OPEN:
            return resolved(pause, key)
        return errors.PauseNotOpenError(
            f"no pause or interrupt {key!r} is open on this thread, and none was"
            + _instead(open_pauses),
            metadata={"pause_id": key},
            resource=("pause", key),
        )

    def nothing_asked(self) -> errors.PauseNotOpenError:
        """Returns the error for an answer that names no question, where none is open."""
        pause = self._resumed_last(_asks)
        if pause is not None:
            return resolved(pause)
        return errors.PauseNotOpenError(
            "there is an `answer`, but the thread waits at no interrupt()"
        )

    def nothing_to_review(self, open_pauses: Sequence[PauseRecord]) -> errors.PauseNotOpenError:
        """Returns the error for a review that names no pause, where none has tool calls."""
        pause = self._resumed_last(_has_tool_calls)
        if pause is not None:
            return resolved(pause)
        asks = [p for p in open_pauses if p.kind is PauseKind.INTERRUPT and _has_tool_calls(p)]
        if asks:
            return errors.PauseNotOpenError(
                f"there is a `review`, but node {asks[0].node!r} asks about the tool calls itself: "
                f"its question takes an `answer`, in the form that the node wants (pause "
                f"{asks[0].pause_id})"
            )
        return errors.PauseNotOpenError(
            "there is a `review`, but the thread waits before no node with tool calls"
        )

    def check(self, resume: ResumeStart, open_pauses: Sequence[PauseRecord]) -> None:
        """Raises PauseNotOpenError if what a resume is about was resolved already."""
        open_keys = {key for p in open_pauses for key in (p.pause_id, p.interrupt_id) if key}
        named = (*resume.pause_ids, *(key for key, _ in (*resume.answers, *resume.reviews)))
        for key in named:
            pause = self.called(key) if key and key not in open_keys else None
            if pause is not None:
                raise resolved(pause, key)
        for given, meant in ((resume.answer, _asks), (resume.review, _has_tool_calls)):
            if given is not None and not any(map(meant, open_pauses)):
                pause = self._resumed_last(meant)
                if pause is not None:
                    raise resolved(pause)

    def check_seen(
        self, resume: ResumeStart, open_pauses: Sequence[PauseRecord], *, goes_on: bool
    ) -> None:
        """Raises PauseNotOpenError if what a resume means by its checkpoint was resumed already.

        It is about the pauses there if it names none. It counts for those that are left, or that
        the run has made there, unless they ask and it has no answer.

        Args:
            resume: The resume.
            open_pauses: The pauses that are open.
            goes_on: Whether the thread stands there still, and can go on.
        """
        seen = resume.expected_checkpoint_id
        if not seen or resume.pause_ids or resume.answers or resume.reviews:
            return
        there = [pause for pause in open_pauses if pause.checkpoint_id == seen]
        asked = resume.answer is None and any(map(_asks, there))
        if asked or not (there or goes_on):
            resumed = self.resumed_at(seen)
            if resumed:
                raise resolved(resumed[-1])

    def told(self) -> tuple[str, dict[str, str]]:
        """Returns what to tell of the last pause to somebody who has named none.

        A sentence, with a space before it, and metadata as that of PAUSE_NOT_OPEN; both are empty
        where no pause of the thread was ever resolved.
        """
        pause = self.resolved_last()
        if pause is None:
            return "", {}
        called = f"the last pause, {pause.pause_id} (node {pause.node!r}), is not open any more"
        return f"; {called}: {_became(pause)}", _metadata(pause, pause.pause_id)

    def _resumed_last(self, meant: Callable[[PauseRecord], bool]) -> PauseRecord | None:
        """Returns the last pause of a kind from which the last run went on."""
        resumed = self.resumed_by(self.last_run_id) if self.last_run_id else ()
        return next((pause for pause in reversed(resumed) if meant(pause)), None)


def _instead(pauses: Collection[PauseRecord]) -> str:
    """Says which pauses are open, of many the first."""
    if not pauses:
        return ""
    shown = [f"{pause.pause_id} (node {pause.node!r})" for pause in [*pauses][:_LISTED]]
    more = [f"{len(pauses) - _LISTED} more"] if len(pauses) > _LISTED else []
    return f"; open: {', '.join([*shown, *more])}"


def _asks(pause: PauseRecord) -> bool:
    return pause.kind is PauseKind.INTERRUPT


def _has_tool_calls(pause: PauseRecord) -> bool:
    return pause.kind is not PauseKind.INTERRUPT and pause.tool_calls != "[]"


def check_in_time(pauses: Iterable[PauseRecord], now: int) -> None:
    """Refuses to resume pauses whose time is over, unless they would go on by themselves.

    Raises:
        PauseNotOpenError: It is too late for one of them.
    """
    for pause in pauses:
        over = pause.expire_time is not None and pause.expire_time <= now
        if over and pause.on_expiry != OnExpiry.RESUME:
            time = timestamp(pause.expire_time or 0).ToJsonString()
            raise errors.PauseNotOpenError(
                f"the time of pause {pause.pause_id} was over at {time}: answers come too late",
                metadata={"pause_id": pause.pause_id, "status": pause.status, "time": time},
                resource=("pause", pause.pause_id),
            )


def resolved(pause: PauseRecord, key: str = "") -> errors.PauseNotOpenError:
    """Returns the error for a pause that was resolved: what became of it, when, by whom.

    `key` is how the caller called it: by the pause's id, or by the interrupt's.
    """
    asked = f" (interrupt {pause.interrupt_id})" if pause.interrupt_id else ""
    return errors.PauseNotOpenError(
        f"pause {pause.pause_id}{asked} is not open any more: {_became(pause)}",
        metadata=_metadata(pause, key or pause.pause_id),
        resource=("pause", key or pause.pause_id),
    )


def _metadata(pause: PauseRecord, key: str) -> dict[str, str]:
    return {
        "pause_id": key,
        "status": pause.status,
        "time": _resolve_time(pause),
        "run_id": pause.resolved_by_run_id,
        "principal": pause.principal,
        "answered_by": pause.answered_by,
    }


def _resolve_time(pause: PauseRecord) -> str:
    return "" if pause.resolve_time is None else timestamp(pause.resolve_time).ToJsonString()


def _became(pause: PauseRecord) -> str:
    """Says what became of a pause, when, and by whom."""
    time = _resolve_time(pause)
    who = pause.principal or "somebody"
    if pause.answered_by:
        who = f"{pause.answered_by} ({who})"
    by = f" by {who}" if pause.principal or pause.answered_by else ""
    match pause.status:
        case PauseStatus.RESUMED if pause.expired:
            return (
                f"its time was over, and run {pause.resolved_by_run_id} went on from it at {time}"
            )
        case PauseStatus.RESUMED:
            return f"it was resumed at {time} by {who}, with run {pause.resolved_by_run_id}"
        case PauseStatus.CANCELLED if pause.expired:
            return f"its time was over, and it was given up at {time}"
        case PauseStatus.CANCELLED:
            return f"it was given up at {time}{by}"
        case _:
            run = f" (run {pause.resolved_by_run_id})" if pause.resolved_by_run_id else ""
            return (
                f"it was superseded at {time}{by}, by new input, an edit of the state, another "
                f"branch, or since a run was rolled back{run}"
            )
