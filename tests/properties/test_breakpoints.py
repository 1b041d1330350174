"""For random graphs and random breakpoints, running with pauses and resumes leads to what running
straight through does, and pauses exactly where a plain reading of the rules says.

`GRAPHWIRE_TEST_EXAMPLES` says how many graphs to try; unset: a few, the same each time.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from graphwire.v1 import pause_pb2
from graphwire_server.graphs.breakpoints import Breakpoint
from graphwire_server.runs.request import ResumeStart, StepMode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.properties.reading import Stop, Wait, World, stops
from tests.properties.shapes import Shape, build, shapes
from tests.runs.conftest import own_langgraph, plain_logs  # noqa: F401  # fixtures
from tests.runs.in_process import Ended, Services, serving

EXAMPLES = int(os.environ.get("GRAPHWIRE_TEST_EXAMPLES", "0"))

SETTINGS = settings(
    max_examples=EXAMPLES or 40,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)

MODES: st.SearchStrategy[StepMode] = st.sampled_from(["", "", "", "INTO", "OVER", "OUT"])

INPUT: dict[str, Any] = {"log": ["in"]}
#: How many steps a graph may take, and how often a run may pause.
LIMIT, MOST = 200, 200


@st.composite
def cases(draw: st.DrawFn) -> tuple[Shape, list[Stop]]:
    """A graph, and breakpoints in it."""
    shape = draw(shapes())
    return shape, draw(stops(shape))


@pytest.mark.timeout(0 if EXAMPLES else 180)
@SETTINGS
@given(case=cases(), data=st.data())
def test_pauses_are_where_a_plain_reading_says_and_change_nothing(
    case: tuple[Shape, list[Stop]], data: st.DataObject
) -> None:
    shape, breakpoints = case

    def choose(waits: Sequence[Wait]) -> tuple[StepMode, list[int]]:
        """How far the run goes, and which of the pauses are resumed: all, or some."""
        mode = data.draw(MODES, "how far")
        if len(waits) == 1 or data.draw(st.booleans(), "all"):
            return mode, list(range(len(waits)))
        numbers = st.lists(st.sampled_from(range(len(waits))), min_size=1, unique=True)
        return mode, sorted(data.draw(numbers, "some"))

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder), shape, breakpoints, choose))


async def play(
    folder: Path,
    shape: Shape,
    breakpoints: list[Stop],
    choose: Callable[[Sequence[Wait]], tuple[StepMode, list[int]]],
) -> None:
    """Runs a graph straight through, and then with breakpoints."""
    straight: Counter[str] = Counter()
    (folder / "straight").mkdir()
    async with serving(folder / "straight", build(shape.without_stops(), straight)) as server:
        run = await server.start(INPUT, recursion_limit=LIMIT)
        assert run.status == "SUCCEEDED", run.error
        expected = await values(server, run.thread_id)
    ledger: Counter[str] = Counter()
    world = World(shape, breakpoints, tuple(INPUT["log"]))
    async with serving(folder, build(shape, ledger)) as server:
        world.root.go_on()
        run = await server.start(INPUT, recursion_limit=LIMIT, **fields(breakpoints))
        for _ in range(MOST):
            waited = world.pauses()
            assert waits(run) == sorted(wait for wait, ways in waited.items() for _ in ways)
            if not waited:
                break
            names = waits(run)
            mode, numbers = choose(names)
            chosen = [names[number] for number in numbers]
            pause_ids, approved = [], []
            for wait, many in Counter(chosen).items():
                # The first ones of several that are alike.
                approved += waited[wait][:many]
                pause_ids += [pause.pause_id for pause in run.pauses if wait_of(pause) == wait][
                    :many
                ]
            world.go(mode, approved)
            start = ResumeStart(pause_ids=tuple(pause_ids), step=mode)
            run = await server.end_of(await server.begin(start, run.thread_id))
        assert run.status == "SUCCEEDED", run.error
        assert await values(server, run.thread_id) == expected
    assert ledger == straight


def fields(breakpoints: Sequence[Stop]) -> dict[str, Any]:
    """The fields of a request that sets breakpoints."""
    return {
        "interrupt_before": tuple(s.name for s in breakpoints if s.plain and not s.after),
        "interrupt_after": tuple(s.name for s in breakpoints if s.plain and s.after),
        "breakpoints": tuple(
            Breakpoint(
                stop.name,
                f"b{number}",
                after=stop.after,
                condition=stop.condition.text if stop.condition else "",
                skip_first=stop.skip_first,
            )
            for number, stop in enumerate(breakpoints)
            if not stop.plain
        ),
    }


def wait_of(pause: pause_pb2.Pause) -> Wait:
    """What a pause waits for."""
    kind = pause_pb2.PauseKind.Name(pause.kind).rpartition("_")[2].lower()
    return kind, "/".join([*(part.partition(":")[0] for part in pause.namespace), pause.node])


def waits(run: Ended) -> list[Wait]:
    """What a run waits for."""
    return sorted(wait_of(pause) for pause in run.pauses)


async def values(server: Services, thread_id: str) -> Any:
    """The state of a thread."""
    state = (await server.states.state(thread_id)).state
    return json.loads(state.values or "null")
