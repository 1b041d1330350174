"""What may be asked of a run that is there already: to pause, and other breakpoints.

It is recorded, and then told to whoever executes the run, here or on another server.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import replace

from graphwire import errors

from graphwire_server import jsontext
from graphwire_server.graphs.breakpoints import (
    ALL,
    Breakpoint,
    BreakpointSource,
    breakpoints_in,
    breakpoints_text,
)
from graphwire_server.graphs.checks import check_breakpoints
from graphwire_server.graphs.execution import open_config
from graphwire_server.graphs.registry import GraphRegistry
from graphwire_server.runs import topics
from graphwire_server.runs.adding_up import MAX_RUN_BREAKPOINTS
from graphwire_server.runs.assistants import loaded_of_run
from graphwire_server.runs.clock import now_us
from graphwire_server.runs.completion import Completion
from graphwire_server.runs.decision import decide
from graphwire_server.runs.event_log import run_not_found
from graphwire_server.runs.executor import Executor
from graphwire_server.runs.idempotency import RequestKey, remembered
from graphwire_server.runs.inheritance import inherited
from graphwire_server.runs.judging import breakpoints_of
from graphwire_server.runs.request import RunSpec
from graphwire_server.storage.interface import Reader, Storage, Transaction
from graphwire_server.storage.records import RunRecord, RunStatus, ThreadStatus

#: How long a server gets to confirm what was asked of a run that it executes, and how often it
#: is looked for, in seconds.
_CONFIRM_SECONDS = 5.0
_LOOK_SECONDS = 0.02


class RunSteering:
    """Steers runs."""

    def __init__(
        self,
        *,
        storage: Storage,
        registry: GraphRegistry,
        executor: Executor,
        completion: Completion,
    ) -> None:
        """Puts the service together from its parts."""
        self._storage = storage
        self._registry = registry
        self._executor = executor
        self._completion = completion

    async def pause(self, run_id: str) -> RunRecord:
        """Has a run that is queued or executing pause before whatever comes next.

        Raises:
            RunNotFoundError: There is no such run.
            RunEndedError: It has ended.
        """

        def work(tx: Transaction) -> RunRecord:
            run = _run(tx, run_id)
            if run.status.ended:
                raise _ended(run, "it can't be paused")
            if not run.pause_requested:
                tx.request_pause(run_id)
            return _run(tx, run_id)

        async def carry_out() -> RunRecord:
            run = await self._storage.write(work)
            if run.status is RunStatus.RUNNING and not await self._steer_here(run):
                self._storage.announce(topics.STEER)
            return run

        return await self._completion.of(carry_out())

    async def breakpoints(self, run_id: str) -> list[Breakpoint]:
        """Returns all breakpoints in force for a run, those compiled into its graph included.

        Raises:
            RunNotFoundError: There is no such run.
            GraphUnavailableError: Its graph can't be opened.
        """
        run = await self._storage.read(lambda db: _run(db, run_id), short=True)
        return await self._all_of(run)

    async def add(
        self, run_id: str, breakpoints: Sequence[Breakpoint], *, key: RequestKey | None
    ) -> list[Breakpoint]:
        """Adds breakpoints to a run that is active, or at which its thread is paused.

        Returns them when they are in force.

        Raises:
            GraphwireError: Any reason of AddRunBreakpoints; nothing was changed, unless it is
                UnconfirmedError.
        """

        def look(db: Reader) -> tuple[RunRecord, bool]:
            return _run(db, run_id), key is not None and remembered(db, key) is not None

        run, repeated = await self._storage.read(look, short=True)
        spec = RunSpec.from_json(run.spec)
        if not repeated:
            # Else it is answered as before, also if the graph would refuse it now.
            loaded = loaded_of_run(self._registry, run, spec)
            config = open_config(spec.configurable, spec.context)
            async with loaded.open("assistants.read", config) as graph:
                check_breakpoints(loaded.doored(graph).places, breakpoints, "breakpoints")

        def work(tx: Transaction) -> tuple[RunRecord, Sequence[Breakpoint]]:
            run = _run(tx, run_id)
            own = breakpoints_in(run.breakpoints)
            earlier = remembered(tx, key) if key is not None else None
            if earlier is not None:
                ids = earlier.subject.split(",")
                return run, [each for each in own if each.breakpoint_id in ids]
            _check_steerable(tx, run)
            defaults = breakpoints_in(RunSpec.from_json(run.spec).defaults)
            there = {each.breakpoint_id for each in (*own, *defaults)}
            for each in breakpoints:
                if each.breakpoint_id in there:
                    raise errors.BreakpointExistsError(
                        f"run {run_id} has a breakpoint {each.breakpoint_id!r} already",
                        resource=("breakpoint", each.breakpoint_id),
                    )
            if len(own) + len(breakpoints) > MAX_RUN_BREAKPOINTS:
                raise errors.InvalidFieldError(
                    f"run {run_id} has {len(own)} breakpoints of its own, and with these "
                    f"{len(breakpoints)} more it would have more than {MAX_RUN_BREAKPOINTS}; "
                    "remove some first",
                    field="breakpoints",
                )
            tx.set_run_breakpoints(run_id, breakpoints_text((*own, *breakpoints)))
            if key is not None:
                subject = ",".join(each.breakpoint_id for each in breakpoints)
                tx.insert_request(key.record(subject, now=now_us()))
            return _run(tx, run_id), breakpoints

        async def carry_out() -> list[Breakpoint]:
            run, added = await decide(self._storage, work)
            await self._in_force(run)
            return list(added)

        return await self._completion.of(carry_out())

    async def remove(self, run_id: str, breakpoint_ids: Sequence[str]) -> list[Breakpoint]:
        """Removes breakpoints of a run; returns those that are left, when that is in force.

        Raises:
            GraphwireError: Any reason of RemoveRunBreakpoints; nothing was changed, unless it is
                UnconfirmedError.
        """

        def work(tx: Transaction) -> RunRecord:
            run = _run(tx, run_id)
            _check_steerable(tx, run)
            own = {each.breakpoint_id: each for each in breakpoints_in(run.breakpoints)}
            for breakpoint_id in breakpoint_ids:
                if own.pop(breakpoint_id, None) is None:
                    raise _no_such_breakpoint(run, breakpoint_id)
            tx.set_run_breakpoints(run_id, breakpoints_text(tuple(own.values())))
            return _run(tx, run_id)

        async def carry_out() -> RunRecord:
            run = await self._storage.write(work)
            await self._in_force(run)
            return run

        return await self._all_of(await self._completion.of(carry_out()))

    async def _all_of(self, run: RunRecord) -> list[Breakpoint]:
        spec = RunSpec.from_json(run.spec)
        loaded = loaded_of_run(self._registry, run, spec)
        config = open_config(spec.configurable, spec.context)
        async with loaded.open("assistants.read", config) as graph:
            places = loaded.doored(graph).places
        found = []
        for path, place in places.items():
            for names, after in ((place.compiled.before, False), (place.compiled.after, True)):
                found += [
                    Breakpoint(
                        "/".join((*path, name)), after=after, source=BreakpointSource.COMPILED
                    )
                    for name in names
                ]
        compiled = {(each.node, each.after) for each in found}
        for each in breakpoints_of(spec, run.breakpoints):
            if each.breakpoint_id or not _covered(each, compiled):
                found.append(each)
        return found

    async def _in_force(self, run: RunRecord) -> None:
        """Returns when what was said of a run is in force. Raises UnconfirmedError."""
        if run.status is not RunStatus.RUNNING or await self._steer_here(run):
            return
        self._storage.announce(topics.STEER)
        loop = asyncio.get_running_loop()
        until = loop.time() + _CONFIRM_SECONDS
        while not await self._storage.read(lambda db: db.is_steered(run.run_id), short=True):
            if loop.time() > until:
                raise errors.UnconfirmedError(
                    f"the server that executes run {run.run_id} has not confirmed the change; "
                    "it is recorded, and in force when the run goes on elsewhere",
                    retry_after=1.0,
                )
            await asyncio.sleep(_LOOK_SECONDS)

    async def _steer_here(self, run: RunRecord) -> bool:
        if not self._executor.steer(run):
            return False
        await self._storage.write(lambda tx: tx.confirm_steering(run.run_id, run.steering))
        return True


def steering_fingerprint(run_id: str, breakpoints: Sequence[Breakpoint], given: set[str]) -> str:
    """Returns a digest of what a request to add breakpoints means; `given` are the caller's ids."""
    text = breakpoints_text(
        [
            each if each.breakpoint_id in given else replace(each, breakpoint_id="")
            for each in breakpoints
        ]
    )
    return hashlib.sha256(jsontext.canonical({"run": run_id, "add": text}).encode()).hexdigest()


def _covered(breakpoint_: Breakpoint, compiled: set[tuple[str, bool]]) -> bool:
    names = {breakpoint_.node} if breakpoint_.node == ALL else {breakpoint_.node, ALL}
    return any((name, breakpoint_.after) in compiled for name in names)


def _run(db: Reader, run_id: str) -> RunRecord:
    run = db.run(run_id)
    if run is None:
        raise run_not_found(run_id)
    return run


def _check_steerable(db: Reader, run: RunRecord) -> None:
    """Refuses to change the breakpoints of a run that nothing goes on from."""
    if not run.status.ended:
        return
    thread, last = db.thread(run.thread_id), inherited(db, run.thread_id)
    waits = thread is not None and thread.status is ThreadStatus.INTERRUPTED
    if not waits or last is None or last.run_id != run.run_id:
        raise _ended(run, "its breakpoints hold nothing any more")


def _ended(run: RunRecord, therefore: str) -> errors.RunEndedError:
    return errors.RunEndedError(
        f"run {run.run_id} has ended: {run.status}; {therefore}",
        metadata={"run_id": run.run_id, "status": run.status},
        resource=("run", run.run_id),
    )


def _no_such_breakpoint(run: RunRecord, breakpoint_id: str) -> errors.BreakpointNotFoundError:
    defaults = breakpoints_in(RunSpec.from_json(run.spec).defaults)
    owner = next((d.source.lower() for d in defaults if d.breakpoint_id == breakpoint_id), "")
    text = f"run {run.run_id} has no breakpoint {breakpoint_id!r} of its own"
    if owner:
        text = f"breakpoint {breakpoint_id!r} is the {owner}'s, and can only be changed there"
    return errors.BreakpointNotFoundError(text, resource=("breakpoint", breakpoint_id))
