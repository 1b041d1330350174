"""`graphwire serve`: one server process, from its settings to its exit."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from rich.text import Text

from graphwire_server.cli.console import fail, out, say
from graphwire_server.cli.exit_codes import ExitCode
from graphwire_server.cli.listening import check_listen, check_transport
from graphwire_server.cli.tables import show_table
from graphwire_server.cli.worker_link import WorkerLink
from graphwire_server.endpoints import Endpoint
from graphwire_server.storage.interface import StorageError
from graphwire_server.telemetry.tracing import TracingError

if TYPE_CHECKING:
    from graphwire_server.settings import Settings

#: How long the interpreter gets to end by itself once the server has stopped. Nodes that
#: never return keep threads that it would wait for.
_EXIT_SECONDS = 2.0

_LAST_PORT = 65535

#: What the other commands read.
_OF_CLIENTS = {
    "GRAPHWIRE_TARGET",
    "GRAPHWIRE_TOKEN",
    "GRAPHWIRE_TLS",
    "GRAPHWIRE_CA_FILE",
    "GRAPHWIRE_CLIENT_CERTIFICATE_FILE",
    "GRAPHWIRE_CLIENT_KEY_FILE",
    "GRAPHWIRE_SERVER_NAME",
}


def serve(given: Mapping[str, Any], *, reload: bool, worker_link: int | None) -> None:
    """Serves a project until SIGTERM or Ctrl-C, or until it is clear that it can't.

    Args:
        given: The settings given as options; the others come from the environment.
        reload: Start again whenever a file of the project changes.
        worker_link: The descriptor of this worker's `WorkerLink`; None if it is no worker.
    """
    settings = read_settings(given)
    if worker_link is None:
        _name_unknown(settings)
    # Read when langgraph is imported. It makes each graph bring the types that its checkpoints
    # may be read into, also one that only a node's code calls.
    os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")
    _check_workers(settings, reload=reload)
    try:
        if worker_link is None and settings.workers > 1:
            from graphwire_server.cli.workers import serve_with_workers

            serve_with_workers(settings, given)
        elif reload:
            from graphwire_server.cli.reload import serve_reloading

            serve_reloading(settings, given)
        else:
            _serve_once(settings, worker_link)
    except ModuleNotFoundError as missing:
        _install_server(missing)


def show_settings(given: Mapping[str, Any]) -> None:
    """Shows every setting: its name in the environment, its value, what it is."""
    settings = read_settings(given)
    _name_unknown(settings)
    console = out()
    rows = [
        (
            Text(f"GRAPHWIRE_{name.upper()}"),
            Text(_shown(settings, name)),
            Text(field.description or ""),
        )
        for name, field in type(settings).model_fields.items()
    ]
    show_table(console, ("setting", "value", "what it is"), rows)


def _shown(settings: Settings, name: str) -> str:
    if name == "database" and settings.database:
        # Without its password.
        return str(settings.location)
    if not type(settings).model_fields[name].repr and getattr(settings, name):
        return "(hidden)"
    return str(getattr(settings, name))


def read_settings(given: Mapping[str, Any]) -> Settings:
    """Returns the settings; exits, naming each one that is wrong."""
    try:
        from pydantic import ValidationError

        from graphwire_server.settings import Settings
    except ModuleNotFoundError as missing:
        _install_server(missing)
    try:
        settings = Settings(**given)
    except ValidationError as error:
        wrong = []
        for problem in error.errors():
            name = str(problem["loc"][0])
            option = f"--{name.replace('_', '-')}" if name in given else f"GRAPHWIRE_{name.upper()}"
            reason = problem["msg"].removeprefix("Input should be ")
            reason = reason.removeprefix("Value error, ")
            # Not what it is, where that may be a secret.
            shown = Settings.model_fields[name].repr if name in Settings.model_fields else True
            found = f", and is {problem['input']!r}" if shown else ""
            wrong.append(f"{option}: should be {reason}{found}")
        fail("; ".join(wrong), ExitCode.USAGE)
    check_listen(settings.listen)
    if settings.metrics_listen:
        _check_metrics_listen(settings)
    if settings.admin_listen:
        check_listen(settings.admin_listen, "--admin-listen")
    _check_database(settings)
    return settings


def _name_unknown(settings: Settings) -> None:
    """Warns of variables in the environment that look like settings, and are none."""
    known = {f"GRAPHWIRE_{name.upper()}" for name in type(settings).model_fields}
    given = {name for name in os.environ if name.startswith("GRAPHWIRE_")}
    for name in sorted(given - known - _OF_CLIENTS):
        close = get_close_matches(name, known, 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        say(f"{name} in the environment is no setting of the server{hint}")


def _check_workers(settings: Settings, *, reload: bool) -> None:
    if settings.workers == 1:
        return
    if reload:
        fail("--workers and --reload can't be given together", ExitCode.USAGE)
    if isinstance(settings.location, Path):
        fail(
            "--workers: several processes need Postgres, as one server at a time can use a "
            "SQLite file: name it with --database postgresql://user@host/database",
            ExitCode.USAGE,
        )


def _check_metrics_listen(settings: Settings) -> None:
    try:
        port = Endpoint.read(settings.metrics_listen).port
    except ValueError:
        port = None
    if port is None or settings.metrics_listen.startswith("unix:"):
        fail(
            f"--metrics-listen: {settings.metrics_listen!r} is no address: write host:port, such "
            "as 127.0.0.1:9464",
            ExitCode.USAGE,
        )
    if port + settings.workers - 1 > _LAST_PORT:
        fail(
            f"--metrics-listen: each of {settings.workers} workers has a port of its own, from "
            f"{port} on, and there are none after {_LAST_PORT}",
            ExitCode.USAGE,
        )


def _check_database(settings: Settings) -> None:
    try:
        str(settings.location)
    except StorageError as error:
        fail(f"--database: {error}", ExitCode.USAGE)


def _serve_once(settings: Settings, worker_link: int | None) -> None:
    from graphwire_server.graphs.project import ProjectError, load_project
    from graphwire_server.logs import configure_logging

    # Before the engine is imported, which takes a while: a mistake shows at once.
    try:
        project = load_project(settings.project)
    except ProjectError as error:
        fail(str(error), ExitCode.UNAVAILABLE)
    link = None if worker_link is None else WorkerLink(worker_link)
    if link is None:
        check_transport(settings)
    else:
        link.stop_with_parent()
    configure_logging(settings.log_level, settings.log_format)

    from graphwire_server import app
    from graphwire_server.auth.setup_errors import AuthSetupError
    from graphwire_server.cli.banner import announce
    from graphwire_server.graphs.load_errors import GraphLoadError
    from graphwire_server.rpc.tls import TlsError
    from graphwire_server.webhooks.setup import WebhookSetupError

    def on_started(started: app.App) -> None:
        if link is None:
            announce(
                started.address, settings, project, started.registry, admin=started.admin_address
            )
        else:
            link.listens()

    async def until_stopped() -> None:
        code = ExitCode.UNAVAILABLE
        try:
            await app.serve(settings, project, on_started, shares_port=link is not None)
            code = ExitCode.OK
        except asyncio.CancelledError:
            code = ExitCode.INTERRUPTED
            raise
        finally:
            _exit_within(_EXIT_SECONDS, code)

    try:
        with asyncio.Runner(loop_factory=_event_loops()) as runner:
            runner.run(until_stopped())
    except GraphLoadError as error:
        message, _, source = str(error).partition("\n")
        fail(message, ExitCode.UNAVAILABLE, detail=source)
    except (
        AuthSetupError,
        StorageError,
        TlsError,
        TracingError,
        WebhookSetupError,
        OSError,
    ) as error:
        fail(str(error), ExitCode.UNAVAILABLE)
    except KeyboardInterrupt:
        fail("interrupted", ExitCode.INTERRUPTED)


def _exit_within(seconds: float, code: int) -> None:
    timer = threading.Timer(seconds, os._exit, (code,))
    timer.daemon = True
    timer.start()


def _event_loops() -> Callable[[], asyncio.AbstractEventLoop]:
    """Returns what makes event loops: uvloop, which is faster, where it is to be had."""
    try:
        import uvloop
    except ModuleNotFoundError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def _install_server(missing: ModuleNotFoundError) -> NoReturn:
    if (missing.name or "").partition(".")[0] in {"graphwire", "graphwire_server"}:
        raise missing
    fail(
        f"serving needs {missing.name}, which is not installed: install graphwire[server]",
        ExitCode.UNAVAILABLE,
    )
