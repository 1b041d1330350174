"""What the person has decided so far: answers to questions, and verdicts on tool calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from graphwire import Approve, Resume, ToolCall
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


@dataclass(slots=True)
class Verdicts:
    """The verdicts; nothing of them is sent before the thread goes on.

    Attributes:
        answers: By the id of the pause.
        decisions: By the id of the pause and of the tool call.
    """

    answers: dict[str, Any] = field(default_factory=dict)
    decisions: dict[tuple[str, str], Decision] = field(default_factory=dict)

    def decide(self, waiting: WaitingCall, decision: Decision) -> None:
        """Takes a decision on a call, in place of an earlier one."""
        self.decisions[waiting.pause.pause_id, waiting.call.tool_call_id] = decision

    def decision(self, waiting: WaitingCall) -> Decision | None:
        """Returns the decision on a call; None if there is none yet."""
        return self.decisions.get((waiting.pause.pause_id, waiting.call.tool_call_id))

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
