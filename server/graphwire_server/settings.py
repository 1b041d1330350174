"""Every setting of the server, in one typed object."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from graphwire_server.storage.locations import Location, read_location
from graphwire_server.webhooks.lists import read_domains, read_networks, read_ports, read_secrets

_KIB, _MIB = 1024, 1024 * 1024


def _checked(read: Callable[[str], object]) -> AfterValidator:
    """Returns what refuses a text that can't be read, and leaves others as they are."""

    def check(text: str) -> str:
        read(text)
        return text

    return AfterValidator(check)


Secrets = Annotated[str, _checked(read_secrets)]
Domains = Annotated[str, _checked(read_domains)]
Ports = Annotated[str, _checked(read_ports)]
Networks = Annotated[str, _checked(read_networks)]


class Settings(BaseSettings):
    """The server's settings: from `graphwire serve` options, or `GRAPHWIRE_<NAME>`.

    Not all have an option: some are nothing that one types by hand, and a secret in a command
    line is seen by everybody on the machine.

    The README's table is made from the descriptions below.
    """

    model_config = SettingsConfigDict(env_prefix="GRAPHWIRE_", extra="forbid", frozen=True)

    listen: str = Field(
        "127.0.0.1:50051", description="Where to listen: host:port, port 0 for any; or unix:/path."
    )
    project: Path = Field(Path(), description="The project: a folder or its langgraph.json.")
    database: str = Field(
        "",
        description="Where to keep data: a file, sqlite:///path, or "
        "postgresql://user:password@host/database; "
        "empty: .graphwire/graphwire.db in the project.",
        repr=False,  # it may hold a password
    )
    workers: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="How many processes serve, behind one port; more than 1 needs Postgres."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severe log lines to write."
    )
    log_format: Literal["human", "json"] = Field("human", description="How log lines look.")
    # What the server tells of itself: docs/observability.md.
    tracing: Literal["off", "otlp"] = Field(
        "off",
        description="Where traces go: otlp is the collector that the OTEL_* variables name; "
        "needs the extra otel.",
    )
    metrics_listen: str = Field(
        "",
        description="Where Prometheus reads metrics over plain HTTP: host:port; empty: nowhere; "
        "each further worker has the next port.",
    )
    metrics_export: Literal["off", "otlp"] = Field(
        "off",
        description="Where metrics are sent: otlp as for traces; needs the extra otel.",
    )

    max_concurrent_runs: Annotated[int, Field(ge=1)] = Field(
        64, description="How many runs execute at once; further ones wait as PENDING."
    )
    max_node_threads: Annotated[int, Field(ge=1)] = Field(
        64, description="How many nodes that are plain functions run at once, each in a thread."
    )
    max_run_seconds: Annotated[float, Field(ge=0)] = Field(
        0, description="How long a run may execute before it is TIMED_OUT; 0: no limit."
    )
    max_run_attempts: Annotated[int, Field(ge=1)] = Field(
        5,
        description="How often a step is begun that loses its server or the database each time, "
        "before the run fails.",
    )
    lease_seconds: Annotated[float, Field(ge=0.5)] = Field(
        10, description="How long a server may be silent before others take over its runs."
    )
    default_recursion_limit: Annotated[int, Field(ge=1)] = Field(
        25, description="The recursion limit of a run that names none."
    )
    max_recursion_limit: Annotated[int, Field(ge=1)] = Field(
        1000, description="The highest recursion limit that a run may name."
    )
    max_request_bytes: Annotated[int, Field(ge=_KIB)] = Field(
        16 * _MIB, description="The largest request."
    )
    max_payload_bytes: Annotated[int, Field(ge=_KIB)] = Field(
        4 * _MIB, description="The largest JSON text of one payload in a request."
    )
    max_payload_depth: Annotated[int, Field(ge=1, le=500)] = Field(
        100, description="The deepest nesting of a payload in a request."
    )
    heartbeat_seconds: Annotated[float, Field(gt=0)] = Field(
        15, description="How long a stream may be quiet before a heartbeat is sent."
    )
    stateless_ttl_seconds: Annotated[float, Field(ge=0)] = Field(
        3600, description="How long the thread of a stateless run is kept after the run's end."
    )
    thread_ttl_seconds: Annotated[float, Field(ge=0)] = Field(
        0,
        description="How long a thread that is neither at work nor paused is kept after its last "
        "change, unless it has a ttl of its own; 0: for ever.",
    )
    event_ttl_seconds: Annotated[float, Field(ge=0)] = Field(
        0, description="How long the events of a run are kept after its end; 0: for ever."
    )
    change_ttl_seconds: Annotated[float, Field(gt=0)] = Field(
        86_400,
        description="How long it is kept what has changed on threads, for watchers that come back.",
    )
    checkpoint_retention: Literal["all", "latest"] = Field(
        "all",
        description="Which checkpoints of a thread are kept when no run is at it: all, or only "
        "the latest, from which it can go on.",
    )
    shutdown_grace_seconds: Annotated[float, Field(ge=0)] = Field(
        10, description="How long nodes may go on after SIGTERM, before runs are handed back."
    )
    blocking_threshold_seconds: Annotated[float, Field(ge=0)] = Field(
        0.5, description="Warn of a node that blocks the event loop for longer; 0: never."
    )

    # Who calls.
    auth_tokens: str = Field(
        "", description="A TOML file with the SHA-256 of service tokens; empty: there are none."
    )
    auth_certificates: bool = Field(
        False,
        description="Whether a verified client certificate is enough to say who calls.",
    )
    jwt_keys: str = Field(
        "",
        description="What JSON Web Tokens are checked with: a PEM or JWKS file, or the https:// "
        "address of a JWKS; empty: there are none.",
    )
    jwt_issuer: str = Field("", description="The `iss` of the tokens that count.")
    jwt_audience: str = Field("", description="The `aud` of the tokens that count.")
    jwt_principal_claim: str = Field("sub", description="The claim that names the caller.")
    jwt_owner_claim: str = Field(
        "",
        description="The claim that names the owner of the caller's threads; empty: the caller.",
    )
    jwt_permissions_claim: str = Field(
        "scope",
        description="The claim with the caller's permissions, such as graphwire:threads:all.",
    )
    jwt_leeway_seconds: Annotated[float, Field(ge=0, le=600)] = Field(
        30, description="By how much the clock of the tokens' issuer may differ."
    )

    # Webhooks.
    webhook_secrets: Secrets = Field(
        "",
        description="Secrets that sign webhooks, with commas between: whsec_ and 24 to 64 bytes in "
        "base64; empty: runs can name no webhook.",
        repr=False,
    )
    webhook_unsigned: bool = Field(
        False, description="Send webhooks, unsigned, where there are no webhook_secrets."
    )
    webhook_allow_http: bool = Field(
        False, description="Let webhooks go over plain http, which anybody on the way can read."
    )
    webhook_allowed_domains: Domains = Field(
        "",
        description="The hosts that webhooks may be sent to, with commas between: names, and "
        "*.name for all below one; empty: any.",
    )
    webhook_allowed_ports: Ports = Field(
        "",
        description="The ports that webhooks may be sent to, with commas between; empty: any.",
    )
    webhook_allowed_networks: Networks = Field(
        "",
        description="Networks that webhooks may be sent to although they are not public, with "
        "commas between: 10.1.0.0/16; empty: none.",
    )
    webhook_ca_file: Path | None = Field(
        None,
        description="Certificates of authorities, in PEM, that are believed for webhooks beside "
        "the system's; empty: none.",
    )
    webhook_max_url_length: Annotated[int, Field(ge=16, le=8192)] = Field(
        2048, description="The longest URL of a webhook, in characters."
    )
    webhook_max_values_bytes: Annotated[int, Field(ge=0)] = Field(
        256 * _KIB,
        description="The longest state that is sent with a webhook; longer ones are left out; 0: "
        "none is sent.",
    )
    webhook_timeout_seconds: Annotated[float, Field(ge=0.1, le=300)] = Field(
        10, description="How long the receiver of a webhook may take to answer."
    )
    webhook_max_attempts: Annotated[int, Field(ge=1)] = Field(
        20, description="How often a webhook is sent before it is given up."
    )
    webhook_retry_seconds: Annotated[float, Field(gt=0)] = Field(
        2,
        description="How long to wait before a webhook is sent again; three times as long each "
        "further time.",
    )
    webhook_max_retry_seconds: Annotated[float, Field(gt=0)] = Field(
        3600, description="How long to wait at most before a webhook is sent again."
    )
    webhook_max_age_seconds: Annotated[float, Field(gt=0)] = Field(
        86_400, description="How long after the end of its run a webhook is given up."
    )
    webhook_concurrency: Annotated[int, Field(ge=1, le=1000)] = Field(
        16,
        description="How many webhooks are sent at once; to one host, a quarter of that.",
    )
    webhook_record_ttl_seconds: Annotated[float, Field(gt=0)] = Field(
        604_800, description="How long it is kept what became of a webhook."
    )

    @field_validator("webhook_ca_file", mode="before")
    @classmethod
    def _no_file(cls, value: object) -> object:
        return None if value == "" else value

    @property
    def sends_webhooks(self) -> bool:
        """Whether runs can name webhooks."""
        return bool(self.webhook_secrets) or self.webhook_unsigned

    # Transport (ADR 12).
    tls_certificate_file: str = Field(
        "",
        description="The server's certificate and those up to its authority, in PEM; with the key "
        "it turns TLS on. Read again when it changes.",
    )
    tls_key_file: str = Field(
        "", description="The private key of the certificate, in PEM, not encrypted."
    )
    tls_client_ca_file: str = Field(
        "",
        description="The authorities of clients, in PEM: each client needs a certificate of "
        "theirs (mTLS).",
    )
    allow_plaintext: bool = Field(
        False, description="Listen without TLS also where other machines can connect."
    )
    admin_listen: str = Field(
        "",
        description="Where channelz, health and reflection are served as well; empty: nowhere.",
    )
    keepalive_seconds: Annotated[float, Field(ge=1)] = Field(
        60, description="How long a connection may be silent before the server pings it."
    )
    keepalive_timeout_seconds: Annotated[float, Field(ge=1)] = Field(
        20, description="How long it waits for the answer before it gives the connection up."
    )
    min_ping_interval_seconds: Annotated[float, Field(ge=0)] = Field(
        10, description="How often clients may ping; those that do so more often are cut off."
    )
    max_connection_idle_seconds: Annotated[float, Field(ge=0)] = Field(
        0, description="How long a connection may be without a call before it ends; 0: for ever."
    )
    max_connection_age_seconds: Annotated[float, Field(ge=0)] = Field(
        0,
        description="How old a connection may become before its client has to make a new one; "
        "0: for ever.",
    )
    max_connection_age_grace_seconds: Annotated[float, Field(ge=1)] = Field(
        300,
        description="How long calls may go on after that. Streams end before that, and are "
        "joined again.",
    )
    shutdown_delay_seconds: Annotated[float, Field(ge=0)] = Field(
        0,
        description="How long it goes on as before after SIGTERM, but for its health, so that "
        "load balancers notice first.",
    )
    shutdown_timeout_seconds: Annotated[float, Field(ge=0)] = Field(
        15,
        description="How long the stop may take beyond delay and grace, before the process ends "
        "whatever it is doing.",
    )

    # --- limits, overload and fairness (docs/limits.md) ---
    max_concurrent_runs_per_principal: Annotated[int, Field(ge=0)] = Field(
        0,
        description="How many runs of one principal execute at once, on all servers; 0: no limit.",
    )
    max_queued_runs: Annotated[int, Field(ge=0)] = Field(
        100_000,
        description="How many runs may be PENDING, on all servers; further ones are refused; "
        "0: no limit.",
    )
    max_queued_runs_per_principal: Annotated[int, Field(ge=0)] = Field(
        10_000,
        description="How many runs of one principal may be PENDING; further ones are refused; "
        "0: no limit.",
    )
    max_concurrent_calls: Annotated[int, Field(ge=1)] = Field(
        1000,
        description="How many calls that do not stream are served at once; further ones are "
        "refused. What cancels, pauses or resumes has as many for itself.",
    )
    max_streams: Annotated[int, Field(ge=1)] = Field(
        10_000, description="How many streams, and calls that wait for a run, are open at once."
    )
    max_streams_per_principal: Annotated[int, Field(ge=0)] = Field(
        1000, description="How many of those one principal has open at once; 0: no limit."
    )
    max_state_bytes: Annotated[int, Field(ge=_KIB)] = Field(
        64 * _MIB,
        description="The largest state of a thread, as checkpoints keep it; a run that makes a "
        "larger one fails.",
    )
    max_event_bytes: Annotated[int, Field(ge=_KIB)] = Field(
        4 * _MIB - 64 * _KIB,
        description="The largest event of a stream that is sent whole to those who do not ask "
        "for that.",
    )
    max_response_bytes: Annotated[int, Field(ge=4 * _KIB)] = Field(
        4 * _MIB - 64 * _KIB,
        description="Where a page of a list ends, and the largest other answer that is sent to "
        "those who do not ask for whole ones.",
    )
    max_metadata_bytes: Annotated[int, Field(ge=2)] = Field(
        64 * _KIB,
        description="The largest JSON text of the metadata of a thread, run or assistant.",
    )
    max_metadata_keys: Annotated[int, Field(ge=1)] = Field(
        128, description="The most keys of such metadata, at its top level."
    )
    max_page_size: Annotated[int, Field(ge=1, le=10_000)] = Field(
        1000, description="The largest page of a list."
    )

    @property
    def location(self) -> Location:
        """Returns where data is kept; `str` of it shows no password.

        Raises:
            StorageError: `database` is neither a file nor an address.
        """
        if not self.database:
            root = self.project if self.project.is_dir() else self.project.parent
            return root / ".graphwire" / "graphwire.db"
        return read_location(self.database)
