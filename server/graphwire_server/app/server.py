"""A server: builds it from its parts, starts it, and stops it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from graphwire_server.app.execution import Execution
from graphwire_server.app.guarding import authentication_of, make_guard
from graphwire_server.app.monitoring import make_exports, make_vitals
from graphwire_server.app.rpc import make_codec, make_rpc
from graphwire_server.app.services import Services
from graphwire_server.app.upkeep import make_expiry, make_housekeeping, make_watch, make_webhooks
from graphwire_server.auth.opening import Authentication
from graphwire_server.graphs import langgraph_repairs
from graphwire_server.graphs.blocking import BlockingWatch
from graphwire_server.graphs.doors import end_step, stop_after, take_over
from graphwire_server.graphs.failures import contain_failures
from graphwire_server.graphs.loader import prepare
from graphwire_server.graphs.node_threads import LoopThreads, NodeThreads
from graphwire_server.graphs.project import Project
from graphwire_server.graphs.registry import GraphRegistry
from graphwire_server.rpc.server import RpcServer
from graphwire_server.rpc.tls import ServerTls
from graphwire_server.rpc.transport import Transport
from graphwire_server.runs.assistants import check_names
from graphwire_server.runs.expiry import Expiry
from graphwire_server.runs.housekeeping import Housekeeping
from graphwire_server.runs.vitals import Vitals
from graphwire_server.settings import Settings
from graphwire_server.storage.interface import Storage, StorageError
from graphwire_server.storage.opening import open_storage
from graphwire_server.telemetry.exports import Exports
from graphwire_server.telemetry.setup import Telemetry, make_telemetry
from graphwire_server.telemetry.tracing import TracingError
from graphwire_server.webhooks.setup import Webhooks

_log = structlog.get_logger("graphwire.server")

#: After the drain, how long webhooks that are being sent may take, in seconds.
_WEBHOOK_GRACE = 2.0
#: After the drain, how long streams get to end by themselves, in seconds.
_STREAM_GRACE = 1.0


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
        execution: Execution,
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
        self._execution = execution
        self._expiry = expiry
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
            WebhookSetupError: Secrets would go to whatever host a caller names.
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
        loop.set_default_executor(LoopThreads(threads))
        contain_failures(loop)
        location = settings.location
        if not settings.database and isinstance(location, Path):
            _keep_out_of_git(location.parent)
        async with AsyncExitStack() as undone:
            undone.callback(threads.shutdown, wait=False)
            authentication = await authentication_of(settings, project, transport)
            if authentication is not None:
                undone.push_async_callback(authentication.close)
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
        metrics = telemetry.metrics
        execution = Execution.make(settings, storage, registry, threads, telemetry)
        webhooks = make_webhooks(settings, project, storage, metrics)
        codec = make_codec(settings)
        services = Services.make(
            settings, storage, registry, execution, telemetry, codec.metadata_limits
        )
        rpc = make_rpc(
            settings,
            services,
            execution,
            codec=codec,
            webhooks=webhooks,
            guard=make_guard(authentication, storage, registry, codec),
            transport=transport,
            tls=tls,
            telemetry=telemetry,
            shares_port=shares_port,
        )
        watch = make_watch(settings, project)
        housekeeping = make_housekeeping(settings, storage)
        expiry = make_expiry(storage, services.runs)
        exports = make_exports(settings, project, storage, execution, threads, telemetry)
        vitals = make_vitals(settings, storage, execution, rpc)
        app = cls(
            settings=settings,
            storage=storage,
            registry=registry,
            execution=execution,
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
        storage.listen(execution.on_announced)
        if webhooks is not None:
            storage.listen(webhooks.on_announced)
        await execution.membership.join()
        try:
            exports.start(listen=settings.metrics_listen, metrics_to=settings.metrics_export)
            await rpc.start()
            app.address, app.admin_address = rpc.address, rpc.admin_address
        except (OSError, TracingError):
            await app._stop_parts(grace_seconds=0)
            await exports.stop()
            raise
        # Not before it is sure that they can go on.
        execution.executor.start()
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
            self._housekeeping.stop(),
            self._expiry.stop(),
            self._execution.executor.drain(grace_seconds),
        )
        self._execution.log.end_streams()
        self._execution.streams.end_streams()
        await self._execution.changes.close()
        if self._webhooks is not None:
            await self._webhooks.stop(_WEBHOOK_GRACE)
        await self._execution.membership.leave()


def _keep_out_of_git(folder: Path) -> None:
    """Makes the folder for the data inside a project, ignored by git."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ignored = folder / ".gitignore"
        if not ignored.exists():
            ignored.write_text("*\n")
    except OSError as error:
        raise StorageError(f"{folder}: can't keep data here: {error.strerror}") from error
