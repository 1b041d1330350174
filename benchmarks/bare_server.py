"""Started as `python -m benchmarks.bare_server`: the how-to's graph over gRPC, and no more.

It keeps nothing and checks nothing: what it takes is what LangGraph and gRPC take in one
process, and so the most that any server of this kind can reach, however it keeps its runs.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
from graphwire.v1 import run_event_pb2 as pb
from graphwire.v1.payload_pb2 import Payload
from graphwire.v1.run_pb2 import RUN_STATUS_SUCCEEDED
from graphwire.v1.runs_pb2 import DESCRIPTOR, StreamRunRequest, StreamRunResponse
from graphwire_server.jsontext import dumps

from benchmarks.workers import run_worker, serve_measurements
from tests.servers import WEATHER

_SERVICE = DESCRIPTOR.services_by_name["Runs"].full_name


class BareRuns:
    """StreamRun alone, with the events that the benchmark's client looks for."""

    def __init__(self, graph: Any) -> None:
        """Serves a graph, compiled without a checkpointer."""
        self._graph = graph

    async def stream_run(self, request: StreamRunRequest, _: Any) -> AsyncIterator[Any]:
        """Runs the graph, and streams its updates."""
        yield _response(1, metadata=pb.MetadataEvent(thread_id=request.thread_id))
        sequence = 1
        values = json.loads(request.input.json)
        async for updates in self._graph.astream(values, stream_mode="updates"):
            for node, update in updates.items():
                sequence += 1
                told = pb.UpdatesEvent(node=node, update=Payload(json=dumps(update)))
                yield _response(sequence, updates=told)
        yield _response(sequence + 1, end=pb.EndEvent(status=RUN_STATUS_SUCCEEDED))

    def handler(self) -> grpc.GenericRpcHandler:
        """Returns what a server asks for the service's methods."""
        stream_run = grpc.unary_stream_rpc_method_handler(
            self.stream_run,
            request_deserializer=StreamRunRequest.FromString,
            response_serializer=StreamRunResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(_SERVICE, {"StreamRun": stream_run})


def _response(sequence: int, **event: Any) -> StreamRunResponse:
    return StreamRunResponse(event=pb.RunEvent(sequence=sequence, **event))


async def main() -> None:
    """Serves until the process is ended; the measurement `address` says where."""
    sys.path.append(str(WEATHER))
    from weather_agent.graph import graph

    server = grpc.aio.server()
    server.add_generic_rpc_handlers([BareRuns(graph).handler()])
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    # As our server does: what was loaded at the start is not looked at again and again.
    gc.collect()
    gc.freeze()

    async def where() -> str:
        return address

    await serve_measurements({"address": where})


if __name__ == "__main__":
    run_worker(main())
