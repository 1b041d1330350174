"""What a server says when it has started."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from rich.text import Text

from graphwire_server.cli.console import err
from graphwire_server.cli.inputs import example_input, takes_messages
from graphwire_server.endpoints import Endpoint

if TYPE_CHECKING:
    from graphwire_server.graphs.project import Project
    from graphwire_server.graphs.registry import GraphRegistry
    from graphwire_server.settings import Settings

_ANY_HOST = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}


def announce(
    address: str,
    settings: Settings,
    project: Project,
    registry: GraphRegistry | None,
    *,
    admin: str,
) -> None:
    """Says where a server listens, what it serves, where it keeps data, what it ignores.

    The registry tells what an assistant takes; None where no graph is loaded in this process.
    `admin` is where the admin port is; empty for none.

    On stdout stands the line `listening on host:port` and nothing else, so that programs
    find the port. The rest goes to stderr: for people, or with JSON logs as one more line.
    """
    sys.stdout.write(f"listening on {address}\n")
    sys.stdout.flush()
    location = settings.location
    if settings.log_format == "json":
        structlog.get_logger("graphwire.server").info(
            "serving",
            address=address,
            admin_address=admin,
            tls=_tls(settings),
            assistants=sorted(project.graphs),
            project=str(project.file),
            database=str(location.resolve() if isinstance(location, Path) else location),
            not_honoured=list(project.unhonoured),
            only_for_images=list(project.build_only),
        )
        return
    console = err()
    for line in _lines(address, settings, project, registry, admin):
        console.print(Text("  ") + line if line else line, soft_wrap=True)


def _lines(
    address: str,
    settings: Settings,
    project: Project,
    registry: GraphRegistry | None,
    admin: str,
) -> Iterator[Text]:
    yield Text()
    yield Text.assemble(
        (f"graphwire {version('graphwire')}", "bold"),
        (f"  langgraph {version('langgraph')}", "dim"),
    )
    yield Text()
    width = max(map(len, project.graphs))
    for name, graph in sorted(project.graphs.items()):
        gap = " " * (width - len(name) + 2) if graph.description else ""
        yield Text.assemble((name, "bold cyan"), gap, graph.description)
    yield Text()
    yield _field("project", _shown(project.root))
    location = settings.location
    yield _field("data", _shown(location) if isinstance(location, Path) else str(location))
    if settings.workers > 1:
        yield _field("workers", str(settings.workers))
    if settings.tls_certificate_file:
        yield _field("tls", _tls(settings))
    takes_tokens = bool(settings.auth_tokens or settings.jwt_keys or project.auth)
    if takes_tokens:
        others = " or a certificate" if settings.auth_certificates else ""
        yield _field("callers", f"need a token{others}", "GRAPHWIRE_TOKEN for the commands below")
    if admin:
        yield _field("admin", admin)
    for key in project.unhonoured:
        yield _field("ignored", key, f"in {project.file.name}: not supported by this version")
    for key in project.build_only:
        yield _field("unused", key, f"in {project.file.name}: only for building images")
    yield Text()
    for number, example in enumerate(
        _examples(address, settings, sorted(project.graphs), registry, takes_tokens=takes_tokens)
    ):
        yield _field("" if number else "try", example)
    yield Text()


def _field(name: str, value: str, remark: str = "") -> Text:
    style = "yellow" if name == "ignored" else ""
    field = Text.assemble((name.ljust(9), "dim"), (value, style))
    return field.append(f"  ({remark})", "dim") if remark else field


def _tls(settings: Settings) -> str:
    if not settings.tls_certificate_file:
        return "off"
    return "clients need a certificate" if settings.tls_client_ca_file else "on"


def _examples(
    address: str,
    settings: Settings,
    names: Sequence[str],
    registry: GraphRegistry | None,
    *,
    takes_tokens: bool,
) -> Sequence[str]:
    first = f"graphwire {_first_command(names[0], registry)}"
    endpoint = Endpoint.read(address)
    if endpoint.path:
        return [f"{first} --server {address}"]
    target = f"{_ANY_HOST.get(endpoint.host, endpoint.host)}:{endpoint.port}"
    server = "" if target == "127.0.0.1:50051" else f" --server {target}"
    if settings.tls_certificate_file:
        # Which authority and which certificate are the caller's to say.
        return [f"{first}{server} --tls"]
    token = ' -H "authorization: Bearer $GRAPHWIRE_TOKEN"' if takes_tokens else ""
    return [
        f"{first}{server}",
        f"grpcurl -plaintext{token} {target} list",
        f"grpcurl -plaintext{token} -d '{{}}' {target} graphwire.v1.Threads/CreateThread",
    ]


def _first_command(name: str, registry: GraphRegistry | None) -> str:
    """Returns what to try first: to run an assistant with input that fits it."""
    loaded = registry.get(name) if registry is not None else None
    text = loaded.input_schema if loaded is not None else None
    if text is None:
        # What a factory makes is not known before it is asked for a run.
        return f"graph {name}"
    schema = json.loads(text)
    if takes_messages(schema):
        return f'run {name} "Hello!"'
    return f"run {name} --input {shlex.quote(example_input(schema))}"


def _shown(path: Path) -> str:
    """Returns a path as people write it: below the home folder with a tilde."""
    absolute, home = path.resolve(), Path.home()
    inside = home != Path(os.sep) and absolute.is_relative_to(home)
    return f"~/{absolute.relative_to(home)}" if inside else str(absolute)
