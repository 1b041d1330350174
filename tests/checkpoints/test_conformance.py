"""LangGraph's own suite for checkpointers, with all that it calls optional."""

from __future__ import annotations

from collections.abc import AsyncIterator

from graphwire_server.storage.checkpoints.saver import Saver
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import ALL_CAPABILITIES


async def test_it_conforms(saver: Saver) -> None:
    @checkpointer_test(name="graphwire")
    async def factory() -> AsyncIterator[Saver]:
        yield saver

    report = await validate(factory)
    failures = {name: result.failures for name, result in report.results.items() if result.failures}
    assert failures == {}
    assert {name for name, result in report.results.items() if result.passed} == {
        capability.value for capability in ALL_CAPABILITIES
    }
