"""Fuzzes a server for a while: `python -m tests.fuzz --minutes 10`."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from tests.e2e.test_fuzz import complaints
from tests.fuzz.canaries import Canaries
from tests.fuzz.fuzzer import DELETING, NAMES, Fuzzer
from tests.fuzz.messages import known_words
from tests.servers import ServerProcess

#: How many calls a fuzzer makes with the same words; and how many of those that delete.
_TURNS, _DELETING_TURNS = 400, 40


def main() -> int:
    """Fuzzes; returns 1 if anything was answered as it must not be, or lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    add = parser.add_argument
    add("--minutes", type=float, default=10, help="how long (%(default)s)")
    add("--seed", type=int, default=random.randrange(1 << 32), help="of what is random")
    add("--fuzzers", type=int, default=3, help="how many at once (%(default)s)")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    calls, codes = Counter[str](), Counter[str]()
    wrong: list[str] = []
    deadline = time.monotonic() + options.minutes * 60
    with tempfile.TemporaryDirectory(prefix="graphwire-fuzz-") as folder:
        server = ServerProcess(Path(folder) / "graphwire.db").start()
        with grpc.insecure_channel(server.address) as channel:
            canaries, number = Canaries(channel), 0
            while time.monotonic() < deadline and not wrong:
                seeds = [f"{options.seed} {number} {each}" for each in range(options.fuzzers)]
                with ThreadPoolExecutor(options.fuzzers) as pool:
                    rounds = [pool.submit(_round, server.address, seed) for seed in seeds]
                for each in rounds:
                    if error := each.exception():
                        wrong.append(f"round {number}: {error!r}")
                    else:
                        calls += each.result().calls
                        codes += each.result().codes
                canaries.check()
                number += 1
            canaries.go_on()
        code = server.stop()
        wrong += [f"exit code {code}"] * (code != 0) + complaints(server.log)
    print(f"{calls.total()} calls in {number} rounds: {dict(codes.most_common())}")
    print(f"never called: {sorted(set(NAMES) - calls.keys()) or 'none'}")
    for line in wrong:
        print(f"WRONG: {line}")
    return 1 if wrong else 0


def _round(address: str, seed: str) -> Fuzzer:
    """Fuzzes with new words, and checks that no run was lost."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(address, options) as channel:
        fuzzer = Fuzzer(channel, known_words(channel), seed)
        fuzzer.play(_TURNS)
        fuzzer.check_runs()
        fuzzer.play(_DELETING_TURNS, DELETING)
        return fuzzer


if __name__ == "__main__":
    sys.exit(main())
