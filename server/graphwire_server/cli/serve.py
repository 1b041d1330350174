"""`graphwire serve`: one server process, from its settings to its exit."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from rich.text import Text

from graphwire_server.cli.console import fail, out
from graphwire_server.cli.exit_codes import ExitCode
from graphwire_server.cli.tables import show_table
from graphwire_server.storage.interface import StorageError

if TYPE_CHECKING:
    from graphwire_server.settings import Settings

#: How long the interpreter gets to end by itself once the server has stopped. Nodes that
#: never return keep threads that it would wait for.
_EXIT_SECONDS = 2.0


def serve(given: Mapping[str, Any], *, reload: bool) -> None:
    """Serves a project until SIGTERM or Ctrl-C, or until it is clear that it can't.

    Args:
        given: The settings given as options; the others come from the environment.
        reload: Start again whenever a file of the project changes.
    """
    settings = read_settings(given)
    # Read when langgraph is imported. It makes each graph bring the types that its checkpoints
    # may be read into, also one that only a node's code calls.
    os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")
    try:
        if reload:
            from graphwire_server.cli.reload import serve_reloading

            serve_reloading(settings, given)
        else:
            _serve_once(settings)
    except ModuleNotFoundError as missing:
        _install_server(missing)


def show_settings(given: Mapping[str, Any]) -> None:
    """Shows every setting: its name in the environment, its value, what it is."""
    settings = read_settings(given)
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
            wrong.append(f"{option}: should be {reason}, and is {problem['input']!r}")
        fail("; ".join(wrong), ExitCode.USAGE)
    _check_listen(settings.listen)
    _check_database(settings)
    return settings


def _check_listen(listen: str) -> None:
    host, colon, port = listen.rpartition(":")
    if not (host and colon and port.isascii() and port.isdigit() and int(port) < 65536):
        fail(
            f"--listen: {listen!r} is no address: write host:port, such as 127.0.0.1:50051",
            ExitCode.USAGE,
        )


def _check_free(listen: str) -> None:
    """Exits if the address can't be listened on: at once, and saying why, as gRPC does not."""
    host, _, port = listen.rpartition(":")
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        fail(f"can't listen on {listen}: {error.strerror}", ExitCode.UNAVAILABLE)


def _check_database(settings: Settings) -> None:
    try:
        str(settings.location)
    except StorageError as error:
        fail(f"--database: {error}", ExitCode.USAGE)


def _serve_once(settings: Settings) -> None:
    from graphwire_server.graphs.project import ProjectError, load_project
    from graphwire_server.logs import configure_logging

    # Before the engine is imported, which takes a while: a mistake shows at once.
    try:
        project = load_project(settings.project)
    except ProjectError as error:
        fail(str(error), ExitCode.UNAVAILABLE)
    _check_free(settings.listen)
    configure_logging(settings.log_level, settings.log_format)

    from graphwire_server import app
    from graphwire_server.cli.banner import announce
    from graphwire_server.graphs.load_errors import GraphLoadError

    async def until_stopped() -> None:
        code = ExitCode.UNAVAILABLE
        try:
            await app.serve(
                settings, project, lambda started: announce(started.address, settings, project)
            )
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
    except (StorageError, OSError) as error:
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
