"""`graphwire serve`: its options."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from graphwire_server.cli.commands.options import paragraphs

_EPILOG = paragraphs(
    "Examples:",
    "    graphwire serve",
    "    graphwire serve examples/weather_agent --reload",
    "    graphwire serve --listen 0.0.0.0:50051 --database data.db --log-format json",
    "    graphwire serve --workers 4 --database postgresql://graphwire@db/graphwire",
    "Every setting can also be given in the environment: --listen as GRAPHWIRE_LISTEN, and so on.",
    "Exit codes: 0 stopped, 2 wrong usage, 3 it can't start.",
)

_RUNS = "Runs"
_RETENTION = "Retention"
_LIMITS = "Limits"


def _setting(metavar: str, about: str, default: str, panel: str | None = None) -> Any:
    # Words and defaults are those of `Settings`, which would take long to import for a help
    # text; a test holds them together.
    return typer.Option(
        metavar=metavar, help=about, show_default=default or False, rich_help_panel=panel
    )


def serve(
    context: typer.Context,
    project: Annotated[
        str | None,
        typer.Argument(
            metavar="PROJECT",
            help="The project: a folder or its langgraph.json.",
            show_default=".",
        ),
    ] = None,
    listen: Annotated[
        str | None,
        _setting("HOST:PORT", "Where to listen: host:port; port 0: any.", "127.0.0.1:50051"),
    ] = None,
    database: Annotated[
        str | None,
        _setting(
            "FILE|URL",
            "Where to keep data: a file, sqlite:///path, or "
            "postgresql://user:password@host/database; "
            "empty: .graphwire/graphwire.db in the project.",
            "",
        ),
    ] = None,
    workers: Annotated[
        str | None,
        _setting(
            "N",
            "How many processes serve, behind one port; more than 1 needs Postgres.",
            "1",
        ),
    ] = None,
    reload: Annotated[
        bool, typer.Option("--reload", help="Start again when a file of the project changes.")
    ] = False,
    log_level: Annotated[
        str | None, _setting("LEVEL", "The least severe log lines to write.", "info")
    ] = None,
    log_format: Annotated[
        str | None, _setting("human|json", "How log lines look.", "human")
    ] = None,
    settings: Annotated[
        bool, typer.Option("--settings", help="Show every setting and its value, and exit.")
    ] = False,
    max_concurrent_runs: Annotated[
        str | None,
        _setting(
            "N",
            "How many runs execute at once; further ones wait as PENDING.",
            "64",
            _RUNS,
        ),
    ] = None,
    max_node_threads: Annotated[
        str | None,
        _setting(
            "N",
            "How many nodes that are plain functions run at once, each in a thread.",
            "64",
            _RUNS,
        ),
    ] = None,
    max_run_seconds: Annotated[
        str | None,
        _setting(
            "SECONDS",
            "How long a run may execute before it is TIMED_OUT; 0: no limit.",
            "0",
            _RUNS,
        ),
    ] = None,
    max_run_attempts: Annotated[
        str | None,
        _setting(
            "N",
            "How often a run is begun that loses its server each time, before it fails.",
            "5",
            _RUNS,
        ),
    ] = None,
    lease_seconds: Annotated[
        str | None,
        _setting(
            "SECONDS",
            "How long a server may be silent before others take over its runs.",
            "10",
            _RUNS,
        ),
    ] = None,
    default_recursion_limit: Annotated[
        str | None,
        _setting("N", "The recursion limit of a run that names none.", "25", _RUNS),
    ] = None,
    stateless_ttl_seconds: Annotated[
        str | None,
        _setting(
            "SECONDS",
            "How long the thread of a stateless run is kept after the run's end.",
            "3600",
            _RETENTION,
        ),
    ] = None,
    thread_ttl_seconds: Annotated[
        str | None,
        _setting(
            "SECONDS",
            "How long a thread that is neither at work nor paused is kept after its last "
            "change, unless it has a ttl of its own; 0: for ever.",
            "0",
            _RETENTION,
        ),
    ] = None,
    event_ttl_seconds: Annotated[
        str | None,
        _setting(
            "SECONDS",
            "How long the events of a run are kept after its end; 0: for ever.",
            "0",
            _RETENTION,
        ),
    ] = None,
    change_ttl_seconds: Annotated[
        str | None,
        _setting(
            "SECONDS",
            "How long it is kept what has changed on threads, for watchers that come back.",
            "86400",
            _RETENTION,
        ),
    ] = None,
    checkpoint_retention: Annotated[
        str | None,
        _setting(
            "all|latest",
            "Which checkpoints of a thread are kept when no run is at it: all, or only "
            "the latest, from which it can go on.",
            "all",
            _RETENTION,
        ),
    ] = None,
    shutdown_grace_seconds: Annotated[
        str | None,
        _setting(
            "SECONDS",
            "How long nodes may go on after SIGTERM, before runs are handed back.",
            "10",
            _RUNS,
        ),
    ] = None,
    blocking_threshold_seconds: Annotated[
        str | None,
        _setting(
            "SECONDS",
            "Warn of a node that blocks the event loop for longer; 0: never.",
            "0.5",
            _RUNS,
        ),
    ] = None,
    max_recursion_limit: Annotated[
        str | None,
        _setting("N", "The highest recursion limit that a run may name.", "1000", _LIMITS),
    ] = None,
    max_request_bytes: Annotated[
        str | None, _setting("BYTES", "The largest request.", "16777216", _LIMITS)
    ] = None,
    max_payload_bytes: Annotated[
        str | None,
        _setting(
            "BYTES",
            "The largest JSON text of one payload in a request.",
            "4194304",
            _LIMITS,
        ),
    ] = None,
    max_payload_depth: Annotated[
        str | None,
        _setting("LEVELS", "The deepest nesting of a payload in a request.", "100", _LIMITS),
    ] = None,
    heartbeat_seconds: Annotated[
        str | None,
        _setting(
            "SECONDS",
            "How long a stream may be quiet before a heartbeat is sent.",
            "15",
            _LIMITS,
        ),
    ] = None,
    # --- limits, overload and fairness ---
    max_concurrent_runs_per_principal: Annotated[
        str | None,
        _setting(
            "N",
            "How many runs of one principal execute at once, on all servers; 0: no limit.",
            "0",
            _LIMITS,
        ),
    ] = None,
    max_queued_runs: Annotated[
        str | None,
        _setting(
            "N",
            "How many runs may be PENDING, on all servers; further ones are refused; 0: no limit.",
            "100000",
            _LIMITS,
        ),
    ] = None,
    max_queued_runs_per_principal: Annotated[
        str | None,
        _setting(
            "N",
            "How many runs of one principal may be PENDING; further ones are refused; 0: no limit.",
            "10000",
            _LIMITS,
        ),
    ] = None,
    max_concurrent_calls: Annotated[
        str | None,
        _setting(
            "N",
            "How many calls that do not stream are served at once; further ones are "
            "refused. What cancels, pauses or resumes has as many for itself.",
            "1000",
            _LIMITS,
        ),
    ] = None,
    max_streams: Annotated[
        str | None,
        _setting(
            "N",
            "How many streams, and calls that wait for a run, are open at once.",
            "10000",
            _LIMITS,
        ),
    ] = None,
    max_streams_per_principal: Annotated[
        str | None,
        _setting(
            "N", "How many of those one principal has open at once; 0: no limit.", "1000", _LIMITS
        ),
    ] = None,
    max_state_bytes: Annotated[
        str | None,
        _setting(
            "BYTES",
            "The largest state of a thread, as checkpoints keep it; a run that makes a "
            "larger one fails.",
            "67108864",
            _LIMITS,
        ),
    ] = None,
    max_event_bytes: Annotated[
        str | None,
        _setting(
            "BYTES",
            "The largest event of a stream that is sent whole to those who do not ask for that.",
            "4128768",
            _LIMITS,
        ),
    ] = None,
    max_metadata_bytes: Annotated[
        str | None,
        _setting(
            "BYTES",
            "The largest JSON text of the metadata of a thread, run or assistant.",
            "65536",
            _LIMITS,
        ),
    ] = None,
    max_metadata_keys: Annotated[
        str | None,
        _setting("N", "The most keys of such metadata, at its top level.", "128", _LIMITS),
    ] = None,
    max_page_size: Annotated[
        str | None,
        _setting("N", "The largest page of a list.", "1000", _LIMITS),
    ] = None,
    worker_link: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Serve a LangGraph project over gRPC."""
    options = {name: value for name, value in context.params.items() if value is not None}
    apart = ("reload", "settings", "worker_link")
    given = {name: value for name, value in options.items() if name not in apart}
    from graphwire_server.cli import serve as command

    if settings:
        command.show_settings(given)
    else:
        command.serve(given, reload=reload, worker_link=worker_link)


def add_to(app: typer.Typer) -> None:
    """Adds the command to an app."""
    app.command(epilog=_EPILOG)(serve)
