"""The breakpoints of runs that wait in the queue, when their turn comes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from graphwire.v1 import assistants_pb2, assistants_pb2_grpc, breakpoint_pb2, run_pb2

from tests.e2e.drive import DEADLINE, join, payload
from tests.e2e.driven import DrivenThread, Events, command
from tests.e2e.gates import Gate
from tests.e2e.stopping import DONE, add, at, ended, in_force, met, pauses_of, remove

Assistants = assistants_pb2_grpc.AssistantsStub

ENQUEUE = run_pb2.MULTITASK_STRATEGY_ENQUEUE


def begin(thread: DrivenThread, gate: Gate, assistant: str = "gated", **fields: Any) -> str:
    """Starts a run, and returns its id once its node waits at the gate."""
    run_id = thread.create(assistant_id=assistant, input=gate.input, **fields)
    gate.wait_begun()
    return run_id


def queue(thread: DrivenThread, **fields: Any) -> str:
    """Queues a command that goes to `after`."""
    goes = command({"goto": ["after"]})
    return thread.create(command=goes, multitask_strategy=ENQUEUE, **fields)


def queue_input(thread: DrivenThread, gate: Gate, assistant: str = "gated", **fields: Any) -> str:
    """Queues a run with new input."""
    return thread.create(
        assistant_id=assistant, input=gate.input, multitask_strategy=ENQUEUE, **fields
    )


def end_of(thread: DrivenThread, run_id: str) -> Events:
    """Follows a run to its end."""
    return join(thread.runs_stub, run_id)


def test_what_was_removed_from_a_queued_run_does_not_come_back(
    thread: DrivenThread, gate: Gate
) -> None:
    here = [at("after", breakpoint_id="a"), at("after", breakpoint_id="b")]
    first = begin(thread, gate, breakpoints=here)
    queued = queue(thread)
    remove(thread.runs_stub, queued, "a")
    assert in_force(thread.runs_stub, queued) == [("after", "b", "RUN")]
    gate.open()
    assert ended(end_of(thread, first)) == ("INTERRUPTED", ["before after"])
    assert ended(thread.resume()) == DONE
    assert met(pauses_of(end_of(thread, queued))[0]) == [("b", "RUN")]
    assert in_force(thread.runs_stub, queued) == [("after", "b", "RUN")]


def test_of_two_breakpoints_with_one_id_none_is_lost(thread: DrivenThread, gate: Gate) -> None:
    first = begin(thread, gate)
    queued = queue(thread, breakpoints=[at("after", "false", breakpoint_id="same")])
    add(thread.runs_stub, first, at("after", breakpoint_id="same"))
    gate.open()
    assert ended(end_of(thread, first)) == ("INTERRUPTED", ["before after"])
    assert ended(thread.resume()) == DONE
    events = end_of(thread, queued)
    assert ended(events) == ("INTERRUPTED", ["before after"])
    assert met(pauses_of(events)[0]) == [("same", "RUN")]
    # The other one has an id of its own now, by which it can be removed.
    there = in_force(thread.runs_stub, queued)
    assert [(node, source) for node, _, source in there] == [("after", "RUN")] * 2
    [other] = [breakpoint_id for _, breakpoint_id, _ in there if breakpoint_id != "same"]
    assert [each.breakpoint_id for each in remove(thread.runs_stub, queued, other)] == ["same"]


class TestBehindARunOfAnotherVersion:
    """A command is queued, and before it new input, with a later version of the assistant."""

    @pytest.fixture
    def assistant(self, assistants: Assistants) -> Iterator[str]:
        """An assistant whose breakpoint never holds."""
        request = assistants_pb2.CreateAssistantRequest(
            graph_id="gated", breakpoints=[at("after", "false", breakpoint_id="a")]
        )
        made = assistants.CreateAssistant(request, timeout=DEADLINE).assistant
        yield made.assistant_id
        request_ = assistants_pb2.DeleteAssistantRequest(
            assistant_id=made.assistant_id, delete_threads=True
        )
        assistants.DeleteAssistant(request_, timeout=DEADLINE)

    @pytest.mark.parametrize("clears", [False, True], ids=["keeps", "clears"])
    @pytest.mark.parametrize("breakpoint_id", ["a", "b"])
    def test_it_has_the_breakpoints_of_that_version(
        self,
        thread: DrivenThread,
        gate: Gate,
        assistants: Assistants,
        assistant: str,
        breakpoint_id: str,
        clears: bool,
    ) -> None:
        first = begin(thread, gate, assistant)
        later = breakpoint_pb2.BreakpointList(
            breakpoints=[at("after", breakpoint_id=breakpoint_id)]
        )
        update = assistants_pb2.UpdateAssistantRequest(assistant_id=assistant, breakpoints=later)
        assistants.UpdateAssistant(update, timeout=DEADLINE)
        between = queue_input(thread, gate, assistant)
        queued = queue(thread, clear_breakpoints=clears)
        gate.open()
        assert ended(end_of(thread, first)) == DONE
        assert ended(end_of(thread, between)) == ("INTERRUPTED", ["before after"])
        assert ended(thread.resume()) == DONE
        events = end_of(thread, queued)
        assert ended(events) == ("INTERRUPTED", ["before after"])
        assert met(pauses_of(events)[0]) == [(breakpoint_id, "ASSISTANT")]


@pytest.mark.parametrize("clears", [False, True], ids=["keeps", "clears"])
def test_conditions_see_the_metadata_of_the_run_before_it(
    thread: DrivenThread, gate: Gate, clears: bool
) -> None:
    first = begin(thread, gate, metadata=payload({"tier": "low", "mine": 1}))
    between = queue_input(thread, gate, metadata=payload({"tier": "high", "mine": 1}))
    wanted = at("after", "metadata == {'tier': 'high', 'mine': 2}")
    queued = queue(
        thread, breakpoints=[wanted], metadata=payload({"mine": 2}), clear_breakpoints=clears
    )
    gate.open()
    assert ended(end_of(thread, first)) == DONE
    assert ended(end_of(thread, between)) == DONE
    assert ended(end_of(thread, queued)) == ("INTERRUPTED", ["before after"])


def test_what_skips_the_first_counts_in_the_chain_that_it_goes_on_with(
    thread: DrivenThread, gate: Gate
) -> None:
    here = at("after", breakpoint_id="a", skip_first=1)
    begin(thread, gate)
    between = queue_input(thread, gate, breakpoints=[here])
    queued = queue(thread)
    gate.open()
    assert ended(end_of(thread, between)) == DONE
    assert ended(end_of(thread, queued)) == ("INTERRUPTED", ["before after"])


def test_queued_input_stops_where_its_assistant_has_come_to_stop(
    thread: DrivenThread, gate: Gate, assistants: Assistants
) -> None:
    name = assistants.CreateAssistant(
        assistants_pb2.CreateAssistantRequest(graph_id="gated", name="it"), timeout=DEADLINE
    ).assistant.assistant_id
    begin(thread, gate)
    queued = queue_input(thread, gate, name)
    stops = breakpoint_pb2.BreakpointList(breakpoints=[at("after", breakpoint_id="new")])
    assistants.UpdateAssistant(
        assistants_pb2.UpdateAssistantRequest(assistant_id=name, breakpoints=stops),
        timeout=DEADLINE,
    )
    gate.open()
    assert ended(end_of(thread, queued)) == ("INTERRUPTED", ["before after"])
    assert met(pauses_of(end_of(thread, queued))[0]) == [("new", "ASSISTANT")]
