"""Answers that are too large: pages that end early, and what is refused.

A gRPC client takes messages of 4 MiB unless it is told otherwise, and fails with a status that
says nothing of a way out. Docs: docs/limits.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import Message
from graphwire import errors

from graphwire_server.rpc.event_size import EVENT_BYTES
from graphwire_server.rpc.payloads import PayloadForm, to_value_form

Item = TypeVar("Item")
Made = TypeVar("Made", bound=Message)

#: What a page has beside its items, at the most: the token of the next one, in bytes.
_TOKEN = 1024
#: What an item of a list costs beside itself, at the most: its tag, and its length.
_AROUND = 6

_WAY_OUT = (
    "a client that takes larger messages (grpc.max_receive_message_length) gets it with the "
    "call's metadata graphwire-events: whole"
)
#: How else one gets at what was asked for, by RPC.
_INSTEAD = {
    "GetThread": "; read_mask leaves the values out, and ListThreads has parts of them (extract)",
    "ListThreads": "; read_mask leaves the values out, and extract has parts of them",
    "GetThreadState": "; ListThreads has parts of the values at the head (extract)",
    "ListThreadHistory": "; before_checkpoint_id passes over a checkpoint that is too large",
    "WaitRun": "; GetRun has the run without the state, and ListThreads parts of it (extract)",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """How large the answer to a call may be.

    Attributes:
        method: The call's path.
        limit: How large a page may be, if it has more than one item, and an answer that is not
            whole: in bytes.
        whole: Whether it may be of any size: the caller takes that, or should be told of what
            was done.
        form: The form of its payloads.
    """

    method: str = ""
    limit: int = EVENT_BYTES
    whole: bool = True
    form: PayloadForm = PayloadForm.JSON

    def page(
        self,
        items: Sequence[Item],
        size: int,
        message: Callable[[Item], Made],
        *,
        more: bool = False,
    ) -> tuple[list[Made], bool]:
        """Returns the messages of a page, one at least, as many as have room.

        Args:
            items: What was found, those of the page and one more if there are others.
            size: How many the page has at the most.
            message: Makes a message of an item.
            more: Whether others follow on `items` in any case.

        Returns:
            The messages, of the first of the items; and whether others follow.
        """
        messages: list[Made] = []
        room = self.limit - _TOKEN
        for item in items[:size]:
            made = message(item)
            if self.form is PayloadForm.VALUE:
                to_value_form(made)
            room -= made.ByteSize() + _AROUND
            if messages and room < 0:
                break
            messages.append(made)
        return messages, bool(messages) and (more or len(messages) < len(items))

    def expect(self, *texts: str | None) -> None:
        """Refuses an answer before it is made of JSON texts that are too large for it.

        Raises:
            LimitReachedError: They are.
        """
        # In the other form they may be smaller.
        if not self.whole and self.form is PayloadForm.JSON:
            size = sum(len(text) for text in texts if text)
            if size > self.limit:
                raise self._too_large(size)

    def serialized(self, message: object, serialize: Callable[[Any], bytes]) -> bytes:
        """Returns the answer as it goes over the wire.

        Raises:
            LimitReachedError: It is too large.
        """
        data = serialize(message)
        if len(data) > self.limit and not self.whole:
            raise self._too_large(len(data))
        return data

    def _too_large(self, size: int) -> errors.LimitReachedError:
        rpc = self.method.rpartition("/")[2]
        return errors.LimitReachedError(
            f"the answer of {rpc} has {size} bytes or more; the server sends {self.limit} unasked "
            f"(max_response_bytes); {_WAY_OUT}{_INSTEAD.get(rpc, '')}",
            metadata={
                "limit": "max_response_bytes",
                "value": str(size),
                "maximum": str(self.limit),
            },
        )


_ANY = Answer()
_answers: ContextVar[Answer] = ContextVar("answers")


def current_answer() -> Answer:
    """Returns how large the answer to the call that is being served may be."""
    return _answers.get(_ANY)


def set_answer(answer: Answer) -> None:
    """Says how large the answer to the call that is being served may be."""
    _answers.set(answer)
