"""Both clients follow threads of a real server across lost connections."""

from __future__ import annotations

import asyncio

import graphwire
from graphwire import AsyncClient, PauseStatus, ThreadChange

from tests.client.conftest import Connect
from tests.client.scripted import Proxy
from tests.servers import ServerProcess

LOG = {"log": ["in"]}


async def test_both_streams_against_a_real_server_whose_connections_break(
    connect: Connect, server: ServerProcess, real: AsyncClient
) -> None:
    thread = await real.threads.create()
    proxy = Proxy(int(server.address.rpartition(":")[2]))
    far = connect(proxy.target)
    events: list[graphwire.Event] = []
    changes: list[ThreadChange] = []

    async def join() -> None:
        async for event in far.threads.join(thread.thread_id):
            events.append(event)
            if len([e for e in events if isinstance(e, graphwire.End)]) == 2:
                return

    async def watch() -> None:
        async for change in far.threads.watch(thread_ids=thread.thread_id, cursor=cursor):
            changes.append(change)
            if len(changes) == 6:
                return

    stream = real.threads.watch(thread_ids=thread.thread_id)
    watching = asyncio.ensure_future(anext(stream))
    expected: list[graphwire.Event] = []
    following = [asyncio.create_task(join())]
    async with asyncio.timeout(30):
        while not stream.cursor:
            await asyncio.sleep(0.01)
        cursor = stream.cursor
        following.append(asyncio.create_task(watch()))
        answer = graphwire.Resume(answer=1, answered_by="ann")
        for run in (
            real.runs.stream(thread.thread_id, "ask", input=LOG),
            real.runs.stream(thread.thread_id, resume=answer),
        ):
            expected += [event async for event in run]
            await asyncio.to_thread(proxy.cut)
        await asyncio.gather(*following)
        await watching
    await stream.aclose()
    await far.close()
    await asyncio.to_thread(proxy.close)
    assert events == expected
    assert [change.kind.value for change in changes] == [
        *("RUN_STARTED", "RUN_ENDED", "PAUSED"),
        *("PAUSE_RESOLVED", "RUN_STARTED", "RUN_ENDED"),
    ]
    resolved = changes[3].pause
    assert resolved is not None
    assert resolved.resolution is not None
    assert (resolved.status, resolved.resolution.answered_by) == (PauseStatus.RESUMED, "ann")
