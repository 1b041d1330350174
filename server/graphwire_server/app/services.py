"""What callers can ask for, whatever the way in which they ask."""

from __future__ import annotations

from dataclasses import dataclass

from graphwire_server.app.execution import Execution
from graphwire_server.graphs.registry import GraphRegistry
from graphwire_server.runs.assistant_service import AssistantService
from graphwire_server.runs.completion import Completion
from graphwire_server.runs.inbox import InboxService
from graphwire_server.runs.metadata_limits import MetadataLimits
from graphwire_server.runs.queue_limits import QueueGate, QueueLimits
from graphwire_server.runs.service import RunService
from graphwire_server.runs.steering import RunSteering
from graphwire_server.runs.thread_states import ThreadStateService
from graphwire_server.runs.threads import ThreadService
from graphwire_server.settings import Settings
from graphwire_server.storage.interface import Storage
from graphwire_server.telemetry.setup import Telemetry


@dataclass(frozen=True, slots=True)
class Services:
    """What callers can ask for, by subject.

    Attributes:
        completion: Carries out what was begun, also when its caller leaves.
        runs: Runs.
        steering: What is asked of a run while it executes.
        threads: Threads.
        states: Their states.
        inbox: Pauses of all threads.
        assistants: Assistants.
    """

    completion: Completion
    runs: RunService
    steering: RunSteering
    threads: ThreadService
    states: ThreadStateService
    inbox: InboxService
    assistants: AssistantService

    @classmethod
    def make(
        cls,
        settings: Settings,
        storage: Storage,
        registry: GraphRegistry,
        execution: Execution,
        telemetry: Telemetry,
        metadata: MetadataLimits,
    ) -> Services:
        """Makes the services, on the parts that execute runs."""
        completion = Completion()
        runs = RunService(
            storage=storage,
            registry=registry,
            log=execution.log,
            executor=execution.executor,
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
            storage=storage,
            registry=registry,
            executor=execution.executor,
            completion=completion,
        )
        thread_service = ThreadService(
            storage=storage,
            registry=registry,
            completion=completion,
            metadata=metadata,
        )
        states = ThreadStateService(storage=storage, registry=registry, completion=completion)
        assistants = AssistantService(storage=storage, registry=registry, metadata=metadata)
        return cls(
            completion, runs, steering, thread_service, states, InboxService(storage), assistants
        )
