"""`import graphwire` is quick, and needs only the client's few dependencies."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import json, sys, time
began = time.perf_counter()
if sys.argv[1] == "dependencies":
    import google.protobuf.descriptor, google.rpc.status_pb2, grpc
else:
    import graphwire
took = time.perf_counter() - began
roots = {name.partition(".")[0] for name in sys.modules}
print(json.dumps([took, sorted(roots - set(sys.stdlib_module_names))]))
"""


def imported(what: str) -> tuple[float, set[str]]:
    """How many seconds the import takes at best, and which packages it brings."""
    found = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", PROGRAM, what], check=True, capture_output=True, text=True
            ).stdout
        )
        for _ in range(3)
    ]
    return min(took for took, _ in found), set(found[0][1])


def test_import_brings_the_client_and_its_dependencies_alone() -> None:
    dependencies_took, dependencies = imported("dependencies")
    took, packages = imported("graphwire")
    print(f"import graphwire: {took:.3f} s, of which its dependencies: {dependencies_took:.3f} s")
    assert packages - dependencies == {"graphwire"}
    too_much = {
        "graphwire_server",
        "langgraph",
        "langchain_core",
        "langchain",
        "orjson",
        "pydantic",
    }
    assert not packages & too_much
