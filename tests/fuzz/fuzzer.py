"""Calls RPCs with whatever comes, and judges the answers."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2
from graphwire.v1 import runs_pb2, runs_pb2_grpc

from tests.e2e.drive import DEADLINE, join
from tests.e2e.wire import PATHS, Metadata, call, request_type
from tests.fuzz.messages import Words, made, mutated

#: Within this many seconds each call must have its answer; far more than any takes.
PATIENCE = 60.0

#: Those that delete what the others are about come last; what has most to say has most turns.
NAMES = sorted(PATHS, key=lambda name: name.startswith(("Delete", "Prune")))
DELETING = [name for name in NAMES if name.startswith(("Delete", "Prune"))]
TURNS = {"StreamRun": 4, "CreateRun": 4, "UpdateThreadState": 2}


class Fuzzer:
    """Somebody who calls whatever there is.

    Attributes:
        calls: How many calls of each RPC it has made.
        codes: How often each status was the answer.
    """

    def __init__(self, channel: grpc.Channel, words: Words, seed: str) -> None:
        """Takes a channel, and the words that mean something to the server."""
        self.calls: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self._channel = channel
        self._words = words
        self._chance = random.Random(seed)
        self._started: set[str] = set()

    def play(self, turns: int, names: list[str] | None = None) -> None:
        """Makes so many calls: of random bytes, random messages and damaged ones.

        Raises:
            AssertionError: One was answered as none may be.
        """
        chance = self._chance
        names = names or [name for name in NAMES if name not in DELETING]
        weights = [TURNS.get(name, 1) for name in names]
        for name in chance.choices(names, weights, k=turns):
            message = made(request_type(name)(), chance, self._words).SerializeToString()
            match chance.randrange(10):
                case 0:
                    data = chance.randbytes(chance.choice((1, 2, 3, 8, 40, 300)))
                case 1 | 2 | 3:
                    data = mutated(message, chance)
                case _:
                    data = message
            metadata = random_metadata(chance) if chance.random() < 0.3 else ()
            timeout = chance.choice((0.0001, 0.001, 0.01)) if chance.random() < 0.1 else PATIENCE
            self.call(name, data, metadata, timeout)

    def call(
        self, name: str, data: bytes, metadata: Metadata = (), timeout: float = PATIENCE
    ) -> None:
        """Makes a call, and judges its answer."""
        responses, code = answered(self._channel, name, data, metadata, timeout)
        self.calls[name] += 1
        self.codes[code] += 1
        for response in responses:
            if name == "CreateRuns":
                self._started.update(run.run_id for run in response.runs)
            elif name == "CreateRun":
                self._started.add(response.run.run_id)
            elif name == "StreamRun":
                self._started.add(response.event.run_id)

    def check_runs(self) -> int:
        """Checks that each run that was started is there, has ended, and is whole.

        To be called before anything is deleted. Returns how many there are.
        """
        runs: Any = runs_pb2_grpc.RunsStub(self._channel)
        for run_id in self._started:
            runs.WaitRun(runs_pb2.WaitRunRequest(run_id=run_id), timeout=PATIENCE)
            join(runs, run_id)
        checked, self._started = len(self._started), set()
        return checked


def answered(
    channel: grpc.Channel,
    name: str,
    data: bytes,
    metadata: Metadata = (),
    timeout: float = PATIENCE,
) -> tuple[list[Any], str]:
    """Calls an RPC: it must come to its end, and not as a fault of the server.

    Returns the responses, and the code of the status.
    """
    try:
        return call(channel, name, data, metadata, timeout), "OK"
    except grpc.RpcError as error:
        caught: Any = error
    code = caught.code().name
    told = (name, data, metadata, timeout, code, caught.details())
    if code == "DEADLINE_EXCEEDED" and timeout < DEADLINE:
        return [], code
    if code == "RESOURCE_EXHAUSTED" and _size(metadata) > 4000:
        return [], code  # gRPC's own: it reads no more than so much of it
    trailers = dict(caught.trailing_metadata() or ())
    reasons = []
    for detail in status_pb2.Status.FromString(
        trailers.get("grpc-status-details-bin", b"")
    ).details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            reasons.append(info.reason)
    # Without a reason of ours it would be gRPC's own status: UNKNOWN, DEADLINE_EXCEEDED, ….
    assert reasons, told
    assert code != "INTERNAL", told
    return [], code


def random_metadata(chance: random.Random) -> Metadata:
    """Returns metadata of a call: ours with any value, and others, some of it very large."""
    text = "".join(chance.choices([chr(c) for c in range(0x20, 0x7F)], k=20)).strip()
    large = "x" * chance.choice((100, 2000, 7000, 20_000))
    choices: list[tuple[str, str | bytes]] = [
        ("graphwire-payload", chance.choice(("json", "value", "JSON", "Value", "", "xml", text))),
        ("graphwire-payload", large),
        ("graphwire-payload-bin", chance.randbytes(50)),
        ("x-request-id", text),
        ("x-request-id", ""),
        ("x-request-id", large),
        ("x-request-id-bin", chance.randbytes(300)),
        ("traceparent", chance.choice((text, "00-" + "0" * 32 + "-" + "0" * 16 + "-01"))),
        ("tracestate", large),
        ("authorization", chance.choice(("", "Bearer", f"Bearer {text}", text))),
        (chance.choice(("x", "graphwire-", "a.b_c-d", "cookie", "host")), text),
        ("anything-bin", chance.randbytes(chance.choice((0, 1, 1000, 10_000)))),
    ]
    return tuple(chance.choices(choices, k=chance.choice((1, 1, 2, 5, 30))))


def _size(metadata: Metadata) -> int:
    return sum(len(key) + len(value) * 4 // 3 + 32 for key, value in metadata)
