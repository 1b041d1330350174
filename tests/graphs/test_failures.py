"""What graphs raise never reaches the event loop, and its text can always be sent."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

import pytest
import uvloop
from graphwire_server.graphs.failures import (
    ContainedError,
    contain_failures,
    describe,
    error_text,
    error_type,
)

LOOPS: list[Callable[[], asyncio.AbstractEventLoop]] = [
    asyncio.new_event_loop,
    uvloop.new_event_loop,
]


class CustomExit(BaseException):
    """What only derives from BaseException."""


async def raising(error: BaseException) -> NoReturn:
    await asyncio.sleep(0)
    raise error


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine in a loop that contains failures."""

    async def contained(work: Coroutine[Any, Any, Any]) -> Any:
        contain_failures(asyncio.get_running_loop())
        return await asyncio.create_task(work)

    def start(work: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(contained(work))

    return start


Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.mark.parametrize(
    "error",
    [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), CustomExit("custom")],
    ids=lambda error: type(error).__name__,
)
def test_what_is_no_exception_leaves_a_task_as_one(run: Run, error: BaseException) -> None:
    async def work() -> None:
        with pytest.raises(ContainedError) as caught:
            await asyncio.create_task(raising(error))
        assert caught.value.original is error
        assert caught.value.__cause__ is error
        assert (str(caught.value), repr(caught.value)) == (str(error), repr(error))
        assert error_type(caught.value) == type(error).__name__
        # From within another task it comes out as it is, not contained twice.
        with pytest.raises(ContainedError) as outer:
            await asyncio.create_task(raising(caught.value))
        assert outer.value is caught.value

    run(work())


def test_exceptions_results_and_cancellations_pass_as_they_are(run: Run) -> None:
    async def work() -> str:
        error = ValueError("as it is")
        with pytest.raises(ValueError, match="as it is") as caught:
            await asyncio.create_task(raising(error))
        assert caught.value is error

        sleeping = asyncio.create_task(asyncio.sleep(60), name="sleeping")
        assert sleeping.get_name() == "sleeping"
        await asyncio.sleep(0)
        sleeping.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await sleeping
        assert sleeping.cancelled()

        async def clean_up() -> str:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                return "cleaned up"
            return "slept"

        cleaning = asyncio.create_task(clean_up())
        await asyncio.sleep(0)
        cleaning.cancel()
        assert await cleaning == "cleaned up"
        return "done"

    assert run(work()) == "done"


def test_what_is_raised_on_being_cancelled_is_contained_as_well(run: Run) -> None:
    async def stubborn() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            sys.exit("instead")

    async def work() -> None:
        task = asyncio.create_task(stubborn())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(ContainedError, match="instead"):
            await task

    run(work())


def test_a_task_that_is_cancelled_before_it_starts_is_not_missed(run: Run) -> None:
    async def work() -> None:
        task = asyncio.create_task(asyncio.sleep(60))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        del task
        gc.collect()  # "coroutine ... was never awaited" would be an error here

    run(work())


def test_a_task_runs_in_the_context_that_it_is_given(run: Run) -> None:
    variable = contextvars.ContextVar("variable", default="outside")

    async def read() -> str:
        return variable.get()

    async def work() -> None:
        context = contextvars.copy_context()
        context.run(variable.set, "inside")
        assert await asyncio.create_task(read(), context=context) == "inside"
        assert await asyncio.create_task(read()) == "outside"

    run(work())


def test_what_a_task_does_can_still_be_seen(run: Run) -> None:
    async def sleeper() -> None:
        await asyncio.sleep(60)

    async def work() -> None:
        task = asyncio.create_task(sleeper())
        await asyncio.sleep(0)
        contained: Any = task.get_coro()
        assert contained.cr_await.cr_code.co_name == "sleeper"
        task.cancel()

    run(work())


class Unprintable(Exception):
    def __str__(self) -> str:
        raise SystemExit


class NotEvenText(Exception):
    def __str__(self) -> str:
        return 1  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("plain"), "plain"),
        (ValueError(), ""),
        (KeyError("key"), "'key'"),
        (ValueError("lone \udc80, pair \ud83d\ude00"), "lone \ufffd, pair \U0001f600"),
        (ValueError("x" * 10_000), "x" * 10_000),
        (ValueError("x" * 10_001), "x" * 9_999 + "…"),
        (Unprintable(), "<str() raised SystemExit>"),
        (NotEvenText(), "<str() raised TypeError>"),
        (ContainedError(SystemExit("bye")), "bye"),
    ],
)
def test_the_text_of_an_exception_can_be_sent(error: Exception, text: str) -> None:
    assert error_text(error) == text
    text.encode()


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("plain"), "ValueError: plain"),
        (ValueError(), "ValueError"),
        (ContainedError(SystemExit("bye")), "SystemExit: bye"),
        (SyntaxError("odd", ("file.py", 1, 1, "?")), "SyntaxError: odd"),
    ],
)
def test_an_exception_is_described_by_class_and_text(error: Exception, text: str) -> None:
    assert describe(error) == text
