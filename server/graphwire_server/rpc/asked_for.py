"""What a request asks for, in the words in which LangGraph's server asks a project's handlers.

They get what `langgraph_sdk.auth.types.on` describes, ids as texts, and may change the metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from graphwire.v1 import assistants_pb2, run_pb2, runs_pb2, threads_pb2
from graphwire.v1.payload_pb2 import Payload

from graphwire_server import jsontext
from graphwire_server.rpc.paging import DEFAULT_PAGE_SIZE
from graphwire_server.rpc.payloads import PayloadCodec

_MULTITASK = {
    run_pb2.MULTITASK_STRATEGY_ENQUEUE: "enqueue",
    run_pb2.MULTITASK_STRATEGY_INTERRUPT: "interrupt",
    run_pb2.MULTITASK_STRATEGY_ROLLBACK: "rollback",
}
_STATUS = {
    threads_pb2.THREAD_STATUS_IDLE: "idle",
    threads_pb2.THREAD_STATUS_BUSY: "busy",
    threads_pb2.THREAD_STATUS_INTERRUPTED: "interrupted",
    threads_pb2.THREAD_STATUS_ERROR: "error",
}
_IDS = ("run_id", "pause_id", "checkpoint_id", "as_node")


class AskedFor:
    """What one request asks for, and what a handler has put on its metadata."""

    def __init__(self, method: str, codec: PayloadCodec, *, wanted: bool) -> None:
        """Takes the method; unless `wanted`, nobody looks, and every value is empty."""
        self._keeps = method.rpartition("/")[2] in (
            "CreateThread",
            "UpdateThread",
            "StreamRun",
            "CreateRun",
            "CreateRuns",
            "CreateAssistant",
            "UpdateAssistant",
        )
        self._codec = codec
        self._wanted = wanted
        self._value: dict[str, Any] = {}
        self._before: dict[str, Any] = {}

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata as a handler has left it."""
        metadata = self._value.get("metadata")
        return metadata if isinstance(metadata, dict) else {}

    @property
    def added(self) -> dict[str, Any]:
        """The keys of the metadata that a handler has added or changed, with their values."""
        before = self._before
        return {k: v for k, v in self.metadata.items() if k not in before or before[k] != v}

    def of(self, request: Any, thread_id: str = "") -> dict[str, Any]:
        """Returns what of a thread, or of several, is read, changed, deleted or searched for.

        Args:
            request: The request.
            thread_id: The thread of what it names, where it does not name the thread itself.
        """
        if not self._wanted:
            return {}
        fields = request.DESCRIPTOR.fields_by_name
        value: dict[str, Any] = {
            "thread_id": thread_id or getattr(request, "thread_id", "") or None,
            **{name: getattr(request, name) for name in _IDS if getattr(request, name, "")},
            "metadata": self._object(request, "metadata", "metadata"),
        }
        if "run_ids" in fields:
            value["run_ids"] = list(request.run_ids)
        if "action" in fields:
            rolls_back = request.action == runs_pb2.CANCEL_ACTION_ROLLBACK
            value["action"] = "rollback" if rolls_back else "interrupt"
        if "filter" in fields:
            value |= self._searched(request.filter, getattr(request, "page_size", 0))
        return self._given(value)

    def of_search_of_assistants(self, request: Any) -> dict[str, Any]:
        """Returns which assistants are searched for."""
        if not self._wanted:
            return {}
        return self._given(
            {
                "graph_id": request.filter.graph_id or None,
                "metadata": self._object(request.filter, "metadata", "filter.metadata"),
                "limit": getattr(request, "page_size", 0) or DEFAULT_PAGE_SIZE,
                "offset": 0,
            }
        )

    def of_cancelling(self, run_id: str, thread_id: str) -> dict[str, Any]:
        """Returns a run that is to be cancelled when its reader goes away."""
        if not self._wanted:
            return {}
        return self._given(
            {"thread_id": thread_id, "run_id": run_id, "metadata": {}, "action": "interrupt"}
        )

    def of_new_thread(self, request: threads_pb2.CreateThreadRequest) -> dict[str, Any]:
        """Returns the thread that is to be made."""
        if not self._wanted:
            return {}
        returns = request.if_exists == threads_pb2.IF_EXISTS_RETURN
        return self._given(
            {
                "thread_id": request.thread_id,
                "metadata": self._object(request, "metadata", "metadata"),
                "if_exists": "do_nothing" if returns else "raise",
            }
        )

    def of_thread(
        self, thread_id: str, metadata: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Returns a thread that is made by the way: for a run, or as a copy."""
        if not self._wanted:
            return {}
        given = deepcopy(dict(metadata or {}))
        return self._given({"thread_id": thread_id, "metadata": given, "if_exists": "raise"})

    def of_start(self, request: Any, assistant_id: str) -> dict[str, Any]:
        """Returns the run that is to be started, as which assistant."""
        if not self._wanted:
            return {}
        kwargs: dict[str, Any] = {
            "input": self._value_of(request, "input"),
            "command": None,
            "config": {
                "configurable": self._object(request.config, "configurable", "config.configurable"),
                "tags": list(request.config.tags),
                "recursion_limit": request.config.recursion_limit or None,
            },
            "context": self._value_of(request, "context"),
            "interrupt_before": list(request.interrupt_before),
            "interrupt_after": list(request.interrupt_after),
        }
        match request.WhichOneof("start"):
            case "resume":
                kwargs["command"] = self._resume(request.resume)
            case "command":
                resumed = request.command.HasField("resume")
                kwargs["command"] = {
                    **(self._resume(request.command.resume) if resumed else {}),
                    "update": self._value_of(request.command, "update"),
                    "goto": [step.node for step in request.command.goto],
                }
        creates = request.if_not_exists == run_pb2.IF_NOT_EXISTS_CREATE
        return self._given(
            {
                "thread_id": request.thread_id or None,
                "assistant_id": assistant_id or None,
                "run_id": None,
                "status": "pending",
                "metadata": self._object(request, "metadata", "metadata"),
                "multitask_strategy": _MULTITASK.get(request.multitask_strategy, "reject"),
                "if_not_exists": "create" if creates else "reject",
                "after_seconds": request.start_delay.seconds,
                "kwargs": kwargs,
            }
        )

    def of_assistant(self, request: Any) -> dict[str, Any]:
        """Returns an assistant that is read, made, changed or deleted, or the one of a run."""
        if not self._wanted:
            return {}
        value: dict[str, Any] = {"assistant_id": request.assistant_id, "metadata": {}}
        if isinstance(
            request,
            assistants_pb2.CreateAssistantRequest | assistants_pb2.UpdateAssistantRequest,
        ):
            value |= {
                "graph_id": request.graph_id,
                "name": request.name,
                "metadata": self._object(request, "metadata", "metadata"),
                "config": {
                    "configurable": self._object(
                        request.config, "configurable", "config.configurable"
                    )
                },
            }
        return self._given(value)

    def put_back(self, request: Any) -> None:
        """Writes the metadata into the request, if a handler has changed it."""
        metadata = self._value.get("metadata")
        if self._keeps and isinstance(metadata, dict) and metadata != self._before:
            request.metadata.CopyFrom(Payload(json=jsontext.dumps(metadata)))

    def _given(self, value: dict[str, Any]) -> dict[str, Any]:
        self._value = value
        self._before = deepcopy(value.get("metadata") or {})
        return value

    def _searched(self, which: Any, page_size: int) -> dict[str, Any]:
        """Returns what is searched for, by a filter of threads or of pauses."""
        of_pauses = "thread_metadata" in which.DESCRIPTOR.fields_by_name
        name = "thread_metadata" if of_pauses else "metadata"
        value: dict[str, Any] = {
            "thread_id": getattr(which, "thread_id", "") or None,
            "metadata": self._object(which, name, f"filter.{name}"),
            "limit": page_size or DEFAULT_PAGE_SIZE,
            "offset": 0,
        }
        if not of_pauses:
            value |= {
                "ids": list(which.thread_ids) or None,
                "values": self._object(which, "values", "filter.values"),
                "status": _STATUS.get(which.statuses[0]) if len(which.statuses) == 1 else None,
            }
        return value

    def _resume(self, resume: Any) -> dict[str, Any]:
        answers = {
            key: self._codec.read(answer, f"resume.answers[{key}]")
            for key, answer in resume.answers.items()
        }
        return {"resume": answers or self._value_of(resume, "answer")}

    def _object(self, message: Any, name: str, field: str) -> dict[str, Any]:
        fields = message.DESCRIPTOR.fields_by_name
        if name not in fields or not message.HasField(name):
            return {}
        return self._codec.read_object(getattr(message, name), field)

    def _value_of(self, message: Any, name: str) -> Any:
        if not message.HasField(name):
            return None
        return self._codec.read(getattr(message, name), name)
