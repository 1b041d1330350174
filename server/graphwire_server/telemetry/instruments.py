"""Every metric of the server. docs/observability.md lists them; a test compares."""

from __future__ import annotations

from graphwire_server.telemetry.metrics import Counter, Family, Gauge, Histogram, families

#: From a tenth of a millisecond to 10 s: what the server itself takes.
_SHORT = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_CALL = (*_SHORT[3:], 5, 10, 30, 60)
#: Up to an hour: what runs take, and wait.
_LONG = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
_SIZES = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        """Begins at nought."""
        self.info = Gauge("graphwire_info", "1; what the server is.", ("version", "storage"))

        self.rpcs = Counter("graphwire_rpcs", "RPCs that have ended.", ("method", "code"))
        self.rpc_seconds = Histogram(
            "graphwire_rpc_seconds", "How long RPCs took that are no streams.", _CALL, ("method",)
        )
        self.streams_open = Gauge("graphwire_streams_open", "Streams that are open.", ("method",))
        self.stream_messages = Counter(
            "graphwire_stream_messages", "Messages sent in streams.", ("method",)
        )
        self.event_lag_seconds = Histogram(
            "graphwire_event_lag_seconds",
            "From the commit of an event to when its last byte was handed to the connection of "
            "a reader that had kept up.",
            _SHORT,
        )

        self.runs_executing = Gauge("graphwire_runs_executing", "Runs that execute here.")
        self.runs_limit = Gauge("graphwire_runs_limit", "How many runs may execute here at once.")
        self.runs_queued = Gauge("graphwire_runs_queued", "Runs in the database that are PENDING.")
        self.runs_ended = Counter(
            "graphwire_runs_ended", "Runs that have ended here.", ("graph", "status")
        )
        self.run_seconds = Histogram(
            "graphwire_run_seconds",
            "From when a run first began to execute to its end, or its pause.",
            _LONG,
            ("graph",),
        )
        self.run_wait_seconds = Histogram(
            "graphwire_run_wait_seconds", "From when a run was due to when it first began.", _LONG
        )
        self.runs_taken_over = Counter(
            "graphwire_runs_taken_over",
            "Runs claimed here that another server, or this one before, had begun.",
        )
        self.leases_lost = Counter(
            "graphwire_leases_lost", "How often this server has lost its lease, and all its runs."
        )
        self.pauses_open = Gauge("graphwire_pauses_open", "Pauses in the database that are OPEN.")
        self.pause_oldest_seconds = Gauge(
            "graphwire_pause_oldest_seconds", "The age of the oldest of them; 0 if there is none."
        )

        self.commit_seconds = Histogram(
            "graphwire_commit_seconds", "How long transactions took.", _SHORT, ("storage",)
        )
        self.commit_writes = Histogram(
            "graphwire_commit_writes",
            "Writes (of runs, calls, leases) that shared a transaction.",
            _SIZES,
            ("storage",),
        )
        self.commit_events = Histogram(
            "graphwire_commit_events", "Events in a transaction.", _SIZES, ("storage",)
        )
        self.commit_failures = Counter(
            "graphwire_commit_failures", "Transactions that could not be committed.", ("storage",)
        )
        self.commits_waiting = Gauge(
            "graphwire_commits_waiting", "Writes that wait for the transaction after this one."
        )
        self.database_bytes = Gauge(
            "graphwire_database_bytes", "The size of SQLite's files.", ("file",)
        )
        self.readers = Gauge("graphwire_database_readers", "Connections for reading.")
        self.readers_busy = Gauge("graphwire_database_readers_busy", "Those of them in use.")

        self.loop_lag_seconds = Histogram(
            "graphwire_loop_lag_seconds", "How late the event loop is, looked at regularly.", _SHORT
        )
        self.node_threads_busy = Gauge(
            "graphwire_node_threads_busy", "Calls of nodes that have, or wait for, a thread."
        )
        self.node_threads_limit = Gauge("graphwire_node_threads_limit", "Threads for nodes.")

        self.webhook_deliveries = Counter(
            "graphwire_webhook_deliveries", "Tries to deliver a webhook.", ("outcome",)
        )

    def families(self) -> list[Family]:
        """Returns all of them as they are now. To be called on any thread."""
        return families(vars(self).values())
