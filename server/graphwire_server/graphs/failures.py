"""What graphs raise, put so that nothing of it can hurt the server.

asyncio lets SystemExit and KeyboardInterrupt of any task end the event loop, and with it
every other run; LangGraph, like most code, looks at `Exception` alone. So each task of the
server's loop turns what is neither an Exception nor a cancellation into a ContainedError.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")

#: The longest text of an exception that is kept, in characters.
_MAX_TEXT = 10_000


class ContainedError(Exception):
    """Stands for a SystemExit, or another exception that is no Exception.

    Attributes:
        original: What was raised.
    """

    def __init__(self, original: BaseException) -> None:
        """Takes its place; looks like it."""
        super().__init__(*original.args)
        self.original = original

    def __str__(self) -> str:
        return str(self.original)

    def __repr__(self) -> str:
        return repr(self.original)


def contain_failures(loop: asyncio.AbstractEventLoop) -> None:
    """Sees to it that no task of a loop raises anything but Exceptions."""
    loop.set_task_factory(_contained_task)


def error_type(error: BaseException) -> str:
    """Returns the name of an exception's class."""
    return type(error.original if isinstance(error, ContainedError) else error).__name__


def error_text(error: BaseException) -> str:
    """Returns an exception's text, as far as it can be had, be kept and be sent."""
    try:
        text = str.__str__(str(error))
    except BaseException as failed:  # noqa: BLE001  # the exception's own code
        return f"<str() raised {type(failed).__name__}>"
    return sendable(text)


def describe(error: BaseException) -> str:
    """Returns an exception's class and text, as one text."""
    text = error.msg if isinstance(error, SyntaxError) else error_text(error)
    return f"{error_type(error)}: {text}" if text else error_type(error)


def sendable(text: str) -> str:
    """Returns a text without lone surrogates, and cut if it is very long."""
    if len(text) > _MAX_TEXT:
        text = text[: _MAX_TEXT - 1] + "…"
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _contained_task(
    loop: asyncio.AbstractEventLoop,
    work: Coroutine[Any, Any, T] | Generator[Any, None, T],
    /,
    **options: Any,
) -> asyncio.Task[T]:
    coroutine = cast("Coroutine[Any, Any, T]", work)
    return asyncio.Task(_contained(_Held(coroutine)), loop=loop, **options)


async def _contained(held: _Held[T]) -> T:
    # A plain coroutine: each step of a task passes through here, and costs next to nothing.
    try:
        return await held.work
    except (Exception, asyncio.CancelledError):
        raise
    except BaseException as error:
        raise ContainedError(error) from error


class _Held(Generic[T]):
    """Holds a task's work. A task that is cancelled before it starts never awaits it, for which
    Python would warn: it is closed when nobody holds it any more."""

    __slots__ = ("work",)

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self.work = work

    def __del__(self) -> None:
        self.work.close()
