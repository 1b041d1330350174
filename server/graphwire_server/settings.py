"""Every setting of the server, in one typed object."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from graphwire_server.storage.locations import Location, read_location

_KIB, _MIB = 1024, 1024 * 1024


class Settings(BaseSettings):
    """The server's settings: from `graphwire serve` options, or `GRAPHWIRE_<NAME>`.

    The README's table is made from the descriptions below.
    """

    model_config = SettingsConfigDict(env_prefix="GRAPHWIRE_", extra="forbid", frozen=True)

    listen: str = Field("127.0.0.1:50051", description="Where to listen: host:port; port 0: any.")
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
        5, description="How often a run is begun that loses its server each time, before it fails."
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
