"""What the person has decided so far: answers to questions, and verdicts on tool calls."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphwire import Approve, Edit, Resume, ToolCall
from graphwire.enums import PauseKind, StepMode
from graphwire.reviews import Decision
from graphwire.values import Pause


@dataclass(frozen=True, slots=True)
class WaitingCall:
    """A tool call that waits at a pause.

    Attributes:
        pause: The pause.
        call: The call.
    """

    pause: Pause
    call: ToolCall

    @property
    def key(self) -> tuple[str, str]:
        """Returns the id of the pause and of the tool call."""
        return self.pause.pause_id, self.call.tool_call_id


@dataclass(slots=True)
class Verdicts:
    """The verdicts; nothing of them is sent before the thread goes on.

    Attributes:
        answers: By the id of the pause.
        decisions: By the id of the pause and of the tool call.
        unconfirmed: The calls of `decisions` that were edited, and not approved since.
    """

    answers: dict[str, Any] = field(default_factory=dict)
    decisions: dict[tuple[str, str], Decision] = field(default_factory=dict)
    unconfirmed: set[tuple[str, str]] = field(default_factory=set)

    def decide(self, waiting: WaitingCall, decision: Decision) -> None:
        """Takes a decision on a call, in place of an earlier one; an edit is to be confirmed."""
        self.decisions[waiting.key] = decision
        if isinstance(decision, Edit):
            self.unconfirmed.add(waiting.key)
        else:
            self.unconfirmed.discard(waiting.key)

    def approve(self, waiting: WaitingCall) -> None:
        """Has a call run: as it was edited, if it was."""
        if isinstance(self.decision(waiting), Edit):
            self.unconfirmed.discard(waiting.key)
        else:
            self.decide(waiting, Approve())

    def decision(self, waiting: WaitingCall) -> Decision | None:
        """Returns the decision on a call; None if there is none yet."""
        return self.decisions.get(waiting.key)

    def drop(self, pause_id: str) -> bool:
        """Forgets what was decided at a pause; returns whether anything was."""
        keys = [key for key in self.decisions if key[0] == pause_id]
        for key in keys:
            del self.decisions[key]
            self.unconfirmed.discard(key)
        answered = pause_id in self.answers
        self.answers.pop(pause_id, None)
        return answered or bool(keys)

    def confirmed(self, calls: Iterable[WaitingCall]) -> bool:
        """Tells whether each of the calls that was edited was approved since."""
        return not any(waiting.key in self.unconfirmed for waiting in calls)

    def complete(self, pauses: Sequence[Pause]) -> bool:
        """Tells whether there is a verdict on all that pauses ask."""
        return all(
            pause.pause_id in self.answers
            if pause.kind is PauseKind.INTERRUPT
            else bool(pause.tool_calls)
            and all(self.decision(WaitingCall(pause, call)) for call in pause.tool_calls)
            for pause in pauses
        )

    def resume(
        self,
        pauses: Sequence[Pause],
        checkpoint_id: str,
        *,
        step: StepMode | None = None,
        run_to: str = "",
    ) -> Resume:
        """Returns how to go on from pauses. Calls without a decision run as they are."""
        return Resume(
            pause_ids=[p.pause_id for p in pauses if p.kind is not PauseKind.INTERRUPT],
            answers={
                p.pause_id: self.answers[p.pause_id] for p in pauses if p.pause_id in self.answers
            },
            reviews={pause.pause_id: review for pause in pauses if (review := self._review(pause))},
            expected_checkpoint_id=checkpoint_id,
            step=step,
            run_to=run_to,
        )

    def _review(self, pause: Pause) -> dict[str, Decision]:
        """Returns a decision for each call; nothing if no decision was taken."""
        calls = [WaitingCall(pause, call) for call in pause.tool_calls]
        if not any(self.decision(each) for each in calls):
            return {}
        return {each.call.tool_call_id: self.decision(each) or Approve() for each in calls}
