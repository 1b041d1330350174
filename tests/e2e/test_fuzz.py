"""Fuzzing, in short: whatever arrives, each call gets an answer, and the server stays well."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from graphwire.v1 import runs_pb2_grpc, threads_pb2_grpc
from graphwire_server.rpc.server import SERVICES
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.e2e.drive import new_thread, shapes, stream
from tests.e2e.wire import METHODS, request_type
from tests.fuzz.canaries import Canaries
from tests.fuzz.fuzzer import DELETING, NAMES, PATIENCE, TURNS, Fuzzer, answered, random_metadata
from tests.fuzz.messages import LOG, Words, known_words, made, mutated
from tests.servers import ServerProcess


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that must survive all of this, and have nothing to complain of."""
    process = ServerProcess(tmp_path_factory.mktemp("fuzz") / "graphwire.db").start()
    yield process
    assert process.stop() == 0, process.log
    assert complaints(process.log) == []


def complaints(log: str) -> list[str]:
    """Returns what there is in a server's log that nobody's request may lead to."""
    lines = log.splitlines()
    # With what follows of a traceback.
    faults = [
        "\n".join(lines[number : number + 40])
        for number, line in enumerate(lines)
        if "[error" in line
    ]
    # A graph may fail, for what it is given; but not for how it is driven.
    failed = set(re.findall(r"Failure\(type='(\w+)'", log))
    return faults + sorted(failed - {"ValueError", "TypeError", "GraphRecursionError"})


@pytest.fixture(scope="module")
def channel(server: ServerProcess) -> Iterator[grpc.Channel]:
    """A channel to it."""
    with grpc.insecure_channel(server.address) as channel:
        yield channel


@pytest.fixture(scope="module", autouse=True)
def canaries(channel: grpc.Channel) -> Iterator[Canaries]:
    """Threads that none of this may touch."""
    canaries = Canaries(channel)
    yield canaries
    canaries.go_on()


@pytest.fixture(scope="module")
def words(channel: grpc.Channel) -> Words:
    """Names and ids of what is there, on threads in several states."""
    return known_words(channel)


def test_every_service_of_the_server_is_fuzzed() -> None:
    assert {path.split("/")[1] for path in METHODS} == set(SERVICES)


@pytest.mark.parametrize("name", NAMES)
def test_random_bytes_get_an_answer(channel: grpc.Channel, name: str) -> None:
    chance = random.Random(f"bytes {name}")
    for _ in range(40):
        answered(channel, name, chance.randbytes(chance.choice((1, 2, 3, 8, 40, 300))))


@pytest.mark.parametrize("name", NAMES)
def test_random_messages_get_an_answer(channel: grpc.Channel, words: Words, name: str) -> None:
    chance = random.Random(f"messages {name}")
    for _ in range(60 * TURNS.get(name, 1)):
        answered(channel, name, made(request_type(name)(), chance, words).SerializeToString())


@pytest.mark.parametrize("name", NAMES)
def test_mutated_messages_get_an_answer(channel: grpc.Channel, words: Words, name: str) -> None:
    chance = random.Random(f"mutations {name}")
    for _ in range(60):
        data = made(request_type(name)(), chance, words).SerializeToString()
        answered(channel, name, mutated(data, chance))


@pytest.mark.parametrize("name", NAMES)
def test_odd_metadata_and_tiny_deadlines_get_an_answer(channel: grpc.Channel, name: str) -> None:
    chance, words = random.Random(f"metadata {name}"), Words({}, {})
    for _ in range(5):
        data = made(request_type(name)(), chance, words).SerializeToString()
        answered(channel, name, data, random_metadata(chance))
        answered(channel, name, data, timeout=chance.choice((0.0001, 0.001, 0.005)))


def test_several_at_once_lose_no_run(server: ServerProcess, canaries: Canaries) -> None:
    def play(seed: str) -> int:
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(server.address, options) as channel:
            fuzzer = Fuzzer(channel, known_words(channel), seed)
            fuzzer.play(150)
            runs = fuzzer.check_runs()
            fuzzer.play(20, DELETING)
            return runs

    with ThreadPoolExecutor(3) as pool:
        started = list(pool.map(play, ("one", "two", "three")))
    assert any(started)
    canaries.check()


def test_afterwards_the_server_is_well(channel: grpc.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    for service in ("", *SERVICES):
        answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=PATIENCE)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    runs, threads = runs_pb2_grpc.RunsStub(channel), threads_pb2_grpc.ThreadsStub(channel)
    thread = new_thread(threads)
    events = stream(runs, thread_id=thread, assistant_id="stops", input=LOG)
    assert shapes(events)[-1] == ("end", "INTERRUPTED")
    assert shapes(stream(runs, thread_id=thread, resume={}))[-1] == ("end", "INTERRUPTED")
