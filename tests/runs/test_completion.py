"""Work that goes on when its caller has gone: what comes of it is no error of the server's."""

from __future__ import annotations

import asyncio
import gc

import pytest
from graphwire.errors import GraphwireError, ThreadBusyError
from graphwire_server.runs.completion import Completion


async def hang_up_on(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> tuple[list[dict[str, object]], str]:
    """Leaves work alone that then raises; returns asyncio's complaints, and what was logged."""
    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    done = asyncio.Event()

    async def work() -> None:
        await done.wait()
        raise error

    caller = asyncio.create_task(Completion().of(work()))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    done.set()
    for _ in range(3):
        await asyncio.sleep(0)
    gc.collect()
    asyncio.get_running_loop().set_exception_handler(None)
    return complaints, "".join(capsys.readouterr())


async def test_a_refusal_of_which_nobody_wants_to_know_is_dropped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    refusal: GraphwireError = ThreadBusyError("busy")
    assert await hang_up_on(refusal, capsys) == ([], "")


async def test_a_fault_of_which_nobody_would_know_is_logged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    complaints, logged = await hang_up_on(RuntimeError("broken"), capsys)
    assert complaints == []
    assert "work_failed" in logged
    assert "broken" in logged
