"""Each way to be wrong: refused with the right status, reason and field, and without a trace."""

from __future__ import annotations

import grpc
import pytest

from tests.e2e.bad_input import (
    assistant_cases,
    inbox_cases,
    resume_cases,
    run_cases,
    steering_cases,
    thread_cases,
)
from tests.e2e.bad_input.case import Bad
from tests.e2e.bad_input.requests import in_batch
from tests.e2e.bad_input.world import World
from tests.e2e.drive import refused
from tests.e2e.wire import call

EACH = [
    *run_cases.CASES,
    *resume_cases.CASES,
    *thread_cases.CASES,
    *assistant_cases.CASES,
    *inbox_cases.CASES,
    *steering_cases.CASES,
]
CASES = [*EACH, *(in_batch(case) for case in EACH if case.rpc == "CreateRun")]


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("bad", CASES, ids=lambda bad: f"{bad.rpc}: {bad.what}")
def test_a_bad_request_is_refused_and_changes_nothing(
    bad: Bad, channel: grpc.Channel, world: World
) -> None:
    request = bad.message(world)
    fields = [path.format(world=world) for path in bad.fields]
    with refused(bad.code, bad.reason, *fields) as refusal:
        call(channel, bad.rpc, request)
    assert bad.text in refusal.text
    assert bad.metadata.items() <= refusal.metadata.items()
