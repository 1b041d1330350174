"""`graphwire serve`: its options."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from graphwire_server.cli.commands.options import paragraphs

_EPILOG = paragraphs(
    "Examples:",
    "    graphwire serve",
    "    graphwire serve examples/weather_agent --reload",
    "    graphwire serve --listen 0.0.0.0:50051 --tls-certificate-file tls.crt "
    "--tls-key-file tls.key",
    "    graphwire serve --listen unix:/run/graphwire.sock --database data.db --log-format json",
    "    graphwire serve --workers 4 --database postgresql://graphwire@db/graphwire",
    "Every setting can also be given in the environment: --listen as GRAPHWIRE_LISTEN, and so on.",
    "Exit codes: 0 stopped, 2 wrong usage, 3 it can't start.",
)

_RUNS = "Runs"
_RETENTION = "Retention"
_LIMITS = "Limits"
_CALLERS = "Who calls"
_TELEMETRY = "Traces and metrics"
_TRANSPORT = "Transport"


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
        _setting(
            "ADDRESS",
            "Where to listen: host:port, port 0 for any; or unix:/path.",
            "127.0.0.1:50051",
        ),
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
    tracing: Annotated[
        str | None,
        _setting(
            "off|otlp",
            "Where traces go: otlp is the collector that the OTEL_* variables name; "
            "needs the extra otel.",
            "off",
            _TELEMETRY,
        ),
    ] = None,
    metrics_listen: Annotated[
        str | None,
        _setting(
            "HOST:PORT",
            "Where Prometheus reads metrics over plain HTTP: host:port; empty: nowhere; "
            "each further worker has the next port.",
            "",
            _TELEMETRY,
        ),
    ] = None,
    metrics_export: Annotated[
        str | None,
        _setting(
            "off|otlp",
            "Where metrics are sent: otlp as for traces; needs the extra otel.",
            "off",
            _TELEMETRY,
        ),
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
            "How often a step is begun that loses its server or the database each time, "
            "before the run fails.",
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
    auth_tokens: Annotated[
        str | None,
        _setting(
            "FILE",
            "A TOML file with the SHA-256 of service tokens; empty: there are none.",
            "",
            _CALLERS,
        ),
    ] = None,
    auth_certificates: Annotated[
        bool | None,
        typer.Option(
            "--auth-certificates",
            help="Whether a verified client certificate is enough to say who calls.",
            show_default="False",
            rich_help_panel=_CALLERS,
        ),
    ] = None,
    jwt_keys: Annotated[
        str | None,
        _setting(
            "FILE|URL",
            "What JSON Web Tokens are checked with: a PEM or JWKS file, or the https:// "
            "address of a JWKS; empty: there are none.",
            "",
            _CALLERS,
        ),
    ] = None,
    jwt_issuer: Annotated[
        str | None, _setting("TEXT", "The `iss` of the tokens that count.", "", _CALLERS)
    ] = None,
    jwt_audience: Annotated[
        str | None, _setting("TEXT", "The `aud` of the tokens that count.", "", _CALLERS)
    ] = None,
    jwt_principal_claim: Annotated[
        str | None, _setting("CLAIM", "The claim that names the caller.", "sub", _CALLERS)
    ] = None,
    jwt_owner_claim: Annotated[
        str | None,
        _setting(
            "CLAIM",
            "The claim that names the owner of the caller's threads; empty: the caller.",
            "",
            _CALLERS,
        ),
    ] = None,
    jwt_permissions_claim: Annotated[
        str | None,
        _setting(
            "CLAIM",
            "The claim with the caller's permissions, such as graphwire:threads:all.",
            "scope",
            _CALLERS,
        ),
    ] = None,
    jwt_leeway_seconds: Annotated[
        str | None,
        _setting(
            "SECONDS",
            "By how much the clock of the tokens' issuer may differ.",
            "30",
            _CALLERS,
        ),
    ] = None,
    tls_certificate_file: Annotated[
        str | None,
        _setting(
            "FILE",
            "The server's certificate and those up to its authority, in PEM; with the key "
            "it turns TLS on. Read again when it changes.",
            "",
            _TRANSPORT,
        ),
    ] = None,
    tls_key_file: Annotated[
        str | None,
        _setting(
            "FILE",
            "The private key of the certificate, in PEM, not encrypted.",
            "",
            _TRANSPORT,
        ),
    ] = None,
    tls_client_ca_file: Annotated[
        str | None,
        _setting(
            "FILE",
            "The authorities of clients, in PEM: each client needs a certificate of theirs (mTLS).",
            "",
            _TRANSPORT,
        ),
    ] = None,
    allow_plaintext: Annotated[
        bool | None,
        typer.Option(
            "--allow-plaintext",
            help="Listen without TLS also where other machines can connect.",
            show_default="False",
            rich_help_panel=_TRANSPORT,
        ),
    ] = None,
    admin_listen: Annotated[
        str | None,
        _setting(
            "ADDRESS",
            "Where channelz, health and reflection are served as well; empty: nowhere.",
            "",
            _TRANSPORT,
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
    max_response_bytes: Annotated[
        str | None,
        _setting(
            "BYTES",
            "Where a page of a list ends, and the largest other answer that is sent to those who "
            "do not ask for whole ones.",
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
