"""The gRPC server: its servicers, and the limits of what they take."""

from __future__ import annotations

from graphwire_server.app.execution import Execution
from graphwire_server.app.services import Services
from graphwire_server.rpc.assistants_servicer import AssistantsServicer
from graphwire_server.rpc.guard import Guard
from graphwire_server.rpc.load import Load, LoadLimits
from graphwire_server.rpc.paging import Pages
from graphwire_server.rpc.payloads import PayloadCodec, PayloadLimits
from graphwire_server.rpc.run_requests import RunRequestReader
from graphwire_server.rpc.runs_servicer import RunsServicer
from graphwire_server.rpc.server import RpcServer
from graphwire_server.rpc.server_servicer import ServerServicer
from graphwire_server.rpc.threads_servicer import ThreadsServicer
from graphwire_server.rpc.tls import ServerTls
from graphwire_server.rpc.transport import Transport
from graphwire_server.settings import Settings
from graphwire_server.telemetry.setup import Telemetry
from graphwire_server.webhooks.setup import Webhooks


def make_codec(settings: Settings) -> PayloadCodec:
    """Returns what reads and writes payloads, within the settings' limits."""
    return PayloadCodec(
        PayloadLimits(
            settings.max_payload_bytes,
            settings.max_payload_depth,
            settings.max_metadata_bytes,
            settings.max_metadata_keys,
        )
    )


def make_rpc(
    settings: Settings,
    services: Services,
    execution: Execution,
    *,
    codec: PayloadCodec,
    webhooks: Webhooks | None,
    guard: Guard | None,
    transport: Transport,
    tls: ServerTls | None,
    telemetry: Telemetry,
    shares_port: bool,
) -> RpcServer:
    """Returns the gRPC server, which does not listen yet."""
    pages = Pages(settings.max_page_size)
    reader = RunRequestReader(
        codec,
        max_recursion_limit=settings.max_recursion_limit,
        webhooks=webhooks.policy if webhooks else None,
    )
    return RpcServer(
        threads=ThreadsServicer(
            services.threads,
            services.states,
            codec,
            inbox=services.inbox,
            changes=execution.changes,
            streams=execution.streams,
            pages=pages,
        ),
        runs=RunsServicer(
            services.runs,
            services.steering,
            reader,
            services.completion,
            pages,
            most_seconds=transport.stream_seconds,
        ),
        assistants=AssistantsServicer(
            services.assistants,
            reader,
            codec,
            pages,
        ),
        server=ServerServicer(settings),
        transport=transport,
        tls=tls,
        max_request_bytes=settings.max_request_bytes,
        load=Load(
            LoadLimits(
                settings.max_concurrent_calls,
                settings.max_streams,
                settings.max_streams_per_principal,
            )
        ),
        max_event_bytes=settings.max_event_bytes,
        max_response_bytes=settings.max_response_bytes,
        shares_port=shares_port,
        guard=guard,
        telemetry=telemetry,
    )
