"""The composition root: builds the server from its parts, starts it, and stops it.

The same root builds the server that the tests use.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path

import structlog

from graphwire_server.auth.opening import Authentication, open_authentication
from graphwire_server.auth.policies import Ownership, ProjectPolicy
from graphwire_server.graphs import langgraph_repairs
from graphwire_server.graphs.blocking import BlockingWatch
from graphwire_server.graphs.doors import end_step, stop_after, take_over
from graphwire_server.graphs.failures import contain_failures
from graphwire_server.graphs.loader import prepare
from graphwire_server.graphs.project import Project
from graphwire_server.graphs.registry import GraphRegistry
from graphwire_server.rpc.assistants_servicer import AssistantsServicer
from graphwire_server.rpc.authorization import Authorizer
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
from graphwire_server.runs import topics as run_topics
from graphwire_server.runs.assistant_service import AssistantService
from graphwire_server.runs.assistants import check_names
from graphwire_server.runs.changes import ChangeLog
from graphwire_server.runs.completion import Completion
from graphwire_server.runs.event_log import EventLog
from graphwire_server.runs.executor import Executor, ExecutorLimits
from graphwire_server.runs.expiry import Expiry
from graphwire_server.runs.gauges import Gauges
from graphwire_server.runs.housekeeping import Housekeeping, RetentionPolicy
from graphwire_server.runs.inbox import InboxService
from graphwire_server.runs.joining import ThreadStreams
from graphwire_server.runs.membership import Membership
from graphwire_server.runs.node_threads import NodeThreads
from graphwire_server.runs.queue_limits import QueueGate, QueueLimits
from graphwire_server.runs.service import RunService
from graphwire_server.runs.steering import RunSteering
from graphwire_server.runs.threads import ThreadService
from graphwire_server.runs.vitals import Vitals
from graphwire_server.settings import Settings
from graphwire_server.storage.interface import CHANGES, Storage, StorageError, thread_of
from graphwire_server.storage.locations import PostgresAddress
from graphwire_server.storage.opening import open_storage
from graphwire_server.telemetry.exports import Exports
from graphwire_server.telemetry.setup import Telemetry, make_telemetry
from graphwire_server.telemetry.tracing import TracingError
from graphwire_server.webhooks.setup import Webhooks

_log = structlog.get_logger("graphwire.server")

#: After how many new objects, and how many collections of the younger ones, Python collects.
_COLLECT_AFTER = (50_000, 20, 50)
#: How often a reader looks for events of a run that another server executes, and of which
#: nothing was announced, in seconds.
_READER_POLL_SECONDS = 1.0
#: How often the queue is looked at without a word, in seconds, at the least.
_QUEUE_POLL_SECONDS = 1.0
#: How often to look for pauses whose time is over and of which nothing was known.
_EXPIRY_POLL = 1.0
#: After the drain, how long webhooks that are being sent may take, in seconds.
_WEBHOOK_GRACE = 2.0
#: After the drain, how long streams get to end by themselves, in seconds.
_STREAM_GRACE = 1.0
#: The exit code of a server that could not stop in order.
_STOPPED_LATE = 1


class App:
    """A server: everything that runs in one process.

    Attributes:
        registry: The graphs that it serves.
        address: Where it listens, `host:port` or `unix:/path`.
        admin_address: Where its admin port is; empty for none.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        storage: Storage,
        registry: GraphRegistry,
        log: EventLog,
        changes: ChangeLog,
        streams: ThreadStreams,
        executor: Executor,
        membership: Membership,
        threads: NodeThreads,
        housekeeping: Housekeeping,
        expiry: Expiry,
        rpc: RpcServer,
        vitals: Vitals,
        watch: BlockingWatch | None,
        webhooks: Webhooks | None,
        exports: Exports,
        authentication: Authentication | None,
    ) -> None:
        """Takes the parts; `App.start` makes them."""
        self._exports = exports
        self.registry = registry
        self.address = settings.listen
        self.admin_address = ""
        self._settings = settings
        self._storage = storage
        self._log = log
        self._changes = changes
        self._streams = streams
        self._executor = executor
        self._expiry = expiry
        self._membership = membership
        self._threads = threads
        self._housekeeping = housekeeping
        self._rpc = rpc
        self._vitals = vitals
        self._watch = watch
        self._webhooks = webhooks
        self._authentication = authentication

    @classmethod
    async def start(cls, settings: Settings, project: Project, *, shares_port: bool = False) -> App:
        """Loads a project's graphs, opens the database, and listens.

        With `shares_port` other servers may listen on the same port, and each gets a part of
        the connections.

        Raises:
            GraphLoadError: A graph, or the project's `auth`, can't be loaded.
            AuthSetupError: Who calls can't be found out as the settings say.
            TransportSettingsError, TlsError: The settings of the transport are wrong.
            StorageError: The database can't be used, or has an assistant with the name of a graph.
            OSError: The address can't be listened on.
            TracingError: Traces can't be made as the settings ask for.
        """
        telemetry = make_telemetry(traces_to=settings.tracing, metrics_to=settings.metrics_export)
        transport = Transport.read(settings)
        tls = transport.load_tls()
        if tls is not None:
            tls.warn_if_expired()
        langgraph_repairs.prepare(take_over, end_step, stop_after)
        for warning in prepare(project):
            _log.warning("project", warning=warning)
        threads = NodeThreads(settings.max_node_threads)
        loop = asyncio.get_running_loop()
        loop.set_default_executor(threads)
        contain_failures(loop)
        location = settings.location
        if not settings.database and isinstance(location, Path):
            _keep_out_of_git(location.parent)
        async with AsyncExitStack() as undone:
            undone.callback(threads.shutdown, wait=False)
            authentication = await open_authentication(settings, project)
            if authentication is not None:
                undone.push_async_callback(authentication.close)
            elif not transport.listen.is_local and not settings.tls_client_ca_file:
                _log.warning(
                    "open_to_everybody",
                    listen=str(transport.listen),
                    why="no authentication is set up: whoever can connect sees and does everything",
                )
            storage = await open_storage(location, telemetry.metrics)
            undone.push_async_callback(storage.close)
            app = await cls._assemble(
                settings,
                project,
                storage,
                threads,
                authentication,
                telemetry,
                transport,
                tls,
                shares_port=shares_port,
            )
            undone.pop_all()
        return app

    @classmethod
    async def _assemble(
        cls,
        settings: Settings,
        project: Project,
        storage: Storage,
        threads: NodeThreads,
        authentication: Authentication | None,
        telemetry: Telemetry,
        transport: Transport,
        tls: ServerTls | None,
        *,
        shares_port: bool,
    ) -> App:
        registry = await GraphRegistry.load(
            project,
            checkpointer=storage.checkpointer.limited(settings.max_state_bytes),
            store=storage.store,
        )
        if telemetry.tracing is not None:
            telemetry.tracing.become_default()
        await check_names(storage, registry)
        poll_seconds = (
            _READER_POLL_SECONDS
            if isinstance(settings.location, PostgresAddress)
            else settings.heartbeat_seconds
        )
        heartbeat = settings.heartbeat_seconds
        metrics = telemetry.metrics
        log = EventLog(
            storage, heartbeat_seconds=heartbeat, poll_seconds=poll_seconds, metrics=metrics
        )
        changes = ChangeLog(storage, heartbeat_seconds=heartbeat, poll_seconds=poll_seconds)
        streams = ThreadStreams(
            storage, log, heartbeat_seconds=heartbeat, poll_seconds=poll_seconds
        )
        membership = Membership(storage, lease_seconds=settings.lease_seconds, metrics=metrics)
        executor = Executor(
            storage=storage,
            registry=registry,
            log=log,
            threads=threads,
            membership=membership,
            limits=ExecutorLimits(
                concurrent_runs=settings.max_concurrent_runs,
                run_seconds=settings.max_run_seconds,
                attempts=settings.max_run_attempts,
                poll_seconds=min(settings.lease_seconds / 3, _QUEUE_POLL_SECONDS),
                runs_of_one=settings.max_concurrent_runs_per_principal,
            ),
            telemetry=telemetry,
        )
        webhooks = None
        if settings.sends_webhooks:
            webhooks = Webhooks.make(
                settings,
                project.webhooks,
                storage,
                on_delivered=metrics.webhook_deliveries.add,
            )
        completion = Completion()
        codec = PayloadCodec(
            PayloadLimits(
                settings.max_payload_bytes,
                settings.max_payload_depth,
                settings.max_metadata_bytes,
                settings.max_metadata_keys,
            )
        )
        pages = Pages(settings.max_page_size)
        runs = RunService(
            storage=storage,
            registry=registry,
            log=log,
            executor=executor,
            completion=completion,
            default_recursion_limit=settings.default_recursion_limit,
            webhook_values=settings.webhook_max_values_bytes,
            telemetry=telemetry,
            queue=QueueGate(
                QueueLimits(
                    settings.max_queued_runs,
                    settings.max_queued_runs_per_principal,
                    settings.max_concurrent_runs_per_principal,
                )
            ),
        )
        steering = RunSteering(
            storage=storage, registry=registry, executor=executor, completion=completion
        )
        thread_service = ThreadService(
            storage=storage,
            registry=registry,
            completion=completion,
            metadata=codec.metadata_limits,
        )
        reader = RunRequestReader(
            codec,
            max_recursion_limit=settings.max_recursion_limit,
            webhooks=webhooks.policy if webhooks else None,
        )
        rpc = RpcServer(
            threads=ThreadsServicer(
                thread_service,
                codec,
                inbox=InboxService(storage),
                changes=changes,
                streams=streams,
                pages=pages,
            ),
            runs=RunsServicer(runs, steering, reader, completion, pages),
            assistants=AssistantsServicer(
                AssistantService(
                    storage=storage, registry=registry, metadata=codec.metadata_limits
                ),
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
            guard=_guard(authentication, storage, registry, codec),
            telemetry=telemetry,
        )
        watch = None
        if settings.blocking_threshold_seconds:
            watch = BlockingWatch(
                project.source_roots, threshold=settings.blocking_threshold_seconds
            )
        housekeeping = Housekeeping(
            storage,
            RetentionPolicy(
                stateless_ttl=settings.stateless_ttl_seconds,
                thread_ttl=settings.thread_ttl_seconds,
                event_ttl=settings.event_ttl_seconds,
                change_ttl=settings.change_ttl_seconds,
                latest_checkpoints=settings.checkpoint_retention == "latest",
                webhook_ttl=settings.webhook_record_ttl_seconds,
                webhook_age=settings.webhook_max_age_seconds,
            ),
        )
        expiry = Expiry(storage, runs, poll_seconds=_EXPIRY_POLL)
        storage_kind = "postgres" if isinstance(settings.location, PostgresAddress) else "sqlite"
        metrics.info.set(1, version("graphwire"), storage_kind)
        metrics.runs_limit.set(settings.max_concurrent_runs)
        metrics.node_threads_limit.set(settings.max_node_threads)
        exports = Exports(telemetry, Gauges(metrics, storage, executor, threads).refresh)
        vitals = Vitals(
            storage, membership, executor, rpc.show, lease_seconds=settings.lease_seconds
        )
        app = cls(
            settings=settings,
            storage=storage,
            registry=registry,
            log=log,
            changes=changes,
            streams=streams,
            executor=executor,
            membership=membership,
            threads=threads,
            housekeeping=housekeeping,
            expiry=expiry,
            rpc=rpc,
            vitals=vitals,
            watch=watch,
            webhooks=webhooks,
            exports=exports,
            authentication=authentication,
        )
        storage.listen(lambda topics: _on_announced(topics, log, changes, streams, executor))
        if webhooks is not None:
            storage.listen(webhooks.on_announced)
        await membership.join()
        try:
            exports.start(listen=settings.metrics_listen, metrics_to=settings.metrics_export)
            await rpc.start()
            app.address, app.admin_address = rpc.address, rpc.admin_address
        except (OSError, TracingError):
            await app._stop_parts(grace_seconds=0)
            await exports.stop()
            raise
        # Not before it is sure that they can go on.
        executor.start()
        housekeeping.start()
        expiry.start()
        if webhooks is not None:
            webhooks.start()
        vitals.start()
        if watch is not None:
            watch.start(asyncio.get_running_loop())
        return app

    async def stop(self) -> None:
        """Stops in order: no new runs, running ones end or are ended, streams end, all closes."""
        _log.info("stopping", delay_seconds=self._settings.shutdown_delay_seconds)
        self._vitals.stop_serving()
        # Whoever sends calls here by its health has to notice before they are refused.
        await asyncio.sleep(self._settings.shutdown_delay_seconds)
        await self._stop_parts(self._settings.shutdown_grace_seconds)
        await self._rpc.stop(_STREAM_GRACE)
        # While the database can be asked, and after the last call has ended.
        await self._exports.stop()
        await self._storage.close()
        if self._authentication is not None:
            await self._authentication.close()
        # Nodes that do not return keep their threads; the process must not wait for them.
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _stop_parts(self, grace_seconds: float) -> None:
        if self._watch is not None:
            self._watch.stop()
        await self._vitals.stop()
        # At once: where the database can't be reached, either takes a while.
        await asyncio.gather(
            self._housekeeping.stop(), self._expiry.stop(), self._executor.drain(grace_seconds)
        )
        self._log.end_streams()
        self._streams.end_streams()
        await self._changes.close()
        if self._webhooks is not None:
            await self._webhooks.stop(_WEBHOOK_GRACE)
        await self._membership.leave()


def _guard(
    authentication: Authentication | None,
    storage: Storage,
    registry: GraphRegistry,
    codec: PayloadCodec,
) -> Guard | None:
    """Returns what every call has to pass; None: everybody may do everything."""
    if authentication is None:
        return None
    rules = authentication.rules
    policy = Ownership() if rules is None else ProjectPolicy(rules.ask)
    registry.assistants_are_listed = rules is None
    return Guard(authentication.authenticator, Authorizer(policy, storage, registry, codec))


def _spare_the_collector() -> None:
    """Keeps what was loaded at the start out of Python's garbage collections.

    Graphs and their libraries are a million objects that never go; looking at them again and
    again would stop every run for a tenth of a second now and then.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


def _on_announced(
    topics: Sequence[str],
    log: EventLog,
    changes: ChangeLog,
    streams: ThreadStreams,
    executor: Executor,
) -> None:
    """Wakes those whom an announcement concerns; all, if some may have been missed."""
    if run_topics.concern_executor(topics):
        executor.wake()
    if not topics:
        log.notify_all()
        streams.notify_all()
    if not topics or CHANGES in topics:
        changes.notify()
    for topic in topics:
        if run_id := run_topics.run_of(topic):
            log.notify(run_id)
        elif thread_id := thread_of(topic):
            streams.notify(thread_id)


def _keep_out_of_git(folder: Path) -> None:
    """Makes the folder for the data inside a project, ignored by git."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ignored = folder / ".gitignore"
        if not ignored.exists():
            ignored.write_text("*\n")
    except OSError as error:
        raise StorageError(f"{folder}: can't keep data here: {error.strerror}") from error


async def serve(
    settings: Settings,
    project: Project,
    on_started: Callable[[App], None],
    *,
    shares_port: bool = False,
) -> None:
    """Runs a server until SIGTERM or SIGINT; a second signal kills it at once.

    Args:
        settings: The settings.
        project: The project to serve.
        on_started: Called when it listens.
        shares_port: Whether other servers may listen on the same port.

    Raises:
        GraphLoadError, StorageError, OSError: As `App.start`.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        stop.set()
        # In this order: the loop puts Python's own handler back, which would only raise.
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)

    app = await App.start(settings, project, shares_port=shares_port)
    _spare_the_collector()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    on_started(app)
    await stop.wait()
    _end_after(
        settings.shutdown_delay_seconds
        + settings.shutdown_grace_seconds
        + settings.shutdown_timeout_seconds
    )
    await app.stop()


def _end_after(seconds: float) -> None:
    """Ends the process after a time, on a thread: whatever holds up the stop, it ends."""

    def end() -> None:
        _log.error(
            "stop_took_too_long",
            seconds=seconds,
            hint="what was not handed back is taken over when the lease has run out",
        )
        os._exit(_STOPPED_LATE)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
