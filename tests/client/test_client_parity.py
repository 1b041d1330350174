"""`Client` and `AsyncClient` are the same: names, parameters, defaults, documentation."""

from __future__ import annotations

import inspect
from enum import StrEnum
from typing import Any

import graphwire
import pytest
from graphwire import (
    AsyncClient,
    AsyncFollowStream,
    AsyncRunStream,
    Client,
    FollowStream,
    RunStream,
    _enums,
    enums,
)
from graphwire._async import AsyncAssistants, AsyncPauses, AsyncRuns, AsyncServer, AsyncThreads
from graphwire._sync import Assistants, Pauses, Runs, Server, Threads
from graphwire.v1 import (
    assistants_pb2,
    pause_pb2,
    run_event_pb2,
    run_pb2,
    runs_pb2,
    threads_pb2,
)

PAIRS: list[tuple[type, type]] = [
    (AsyncThreads, Threads),
    (AsyncRuns, Runs),
    (AsyncPauses, Pauses),
    (AsyncAssistants, Assistants),
    (AsyncServer, Server),
    (AsyncClient, Client),
]
RENAMED = {"__aenter__": "__enter__", "__aexit__": "__exit__", "__anext__": "__next__"}


def methods(owner: type) -> dict[str, Any]:
    found = {name: value for name, value in inspect.getmembers(owner) if callable(value)}
    return {name: value for name, value in found.items() if not name.startswith("_")}


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[1].__name__)
def test_both_clients_have_the_same_methods(pair: tuple[type, type]) -> None:
    ours, theirs = map(methods, pair)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert inspect.signature(ours[name]).parameters == (
            inspect.signature(theirs[name]).parameters
        )
        assert inspect.getdoc(ours[name]) == inspect.getdoc(theirs[name])
        assert inspect.getdoc(ours[name])


def test_the_groups_have_the_methods_they_are_known_for() -> None:
    assert methods(Threads).keys() == {
        *("create", "get", "list", "count", "update", "delete", "copy", "prune", "storage"),
        *("state", "update_state", "history", "join", "watch"),
    }
    assert methods(Runs).keys() == {
        *("stream", "join", "create", "create_many", "run", "wait"),
        *("get", "list", "cancel", "cancel_many", "delete"),
        *("pause", "breakpoints", "add_breakpoints", "remove_breakpoints"),
    }
    assert methods(Assistants).keys() == {
        *("create", "get", "list", "count", "update", "delete"),
        *("versions", "set_latest", "graph", "schemas"),
    }
    assert methods(Pauses).keys() == {"list", "get"}
    assert methods(Server).keys() == {"info"}
    assert methods(Client).keys() == {"close", "health"}


def test_both_clients_are_made_alike() -> None:
    assert inspect.signature(AsyncClient) == inspect.signature(Client)


def test_both_streams_tell_the_same_about_themselves() -> None:
    def properties(owner: type) -> set[str]:
        return {name for name, _ in inspect.getmembers(owner, lambda m: isinstance(m, property))}

    assert properties(AsyncRunStream) == properties(RunStream)
    assert properties(RunStream) == {"run_id", "thread_id", "last_sequence", "retrying"}
    assert properties(AsyncFollowStream) == properties(FollowStream) == {"cursor"}


def test_a_method_shows_its_parameters_and_not_how_it_is_made() -> None:
    parameters = inspect.signature(Client("127.0.0.1:1").threads.get).parameters
    assert list(parameters) == ["thread_id", "read_mask", "timeout"]
    assert inspect.iscoroutinefunction(AsyncThreads.get)


def test_all_lists_what_there_is() -> None:
    assert all(hasattr(graphwire, name) for name in graphwire.__all__)
    assert len(set(graphwire.__all__)) == len(graphwire.__all__)
    public = {
        name
        for module in (
            enums,
            graphwire.breakpoints,
            graphwire.errors,
            graphwire.events,
            graphwire.reviews,
            graphwire.start,
            graphwire.tls,
            graphwire.values,
        )
        for name, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__
        if not name.startswith("_")
    }
    streams_and_clients = {"AsyncClient", "AsyncRunStream", "Client", "RunStream", "errors"}
    streams_and_clients |= {"AsyncFollowStream", "FollowStream"}
    assert set(graphwire.__all__) == public | streams_and_clients


@pytest.mark.parametrize(
    "ours, theirs",
    [
        (enums.RunStatus, run_pb2.RunStatus),
        (enums.StreamMode, run_pb2.StreamMode),
        (enums.Durability, run_pb2.Durability),
        (enums.MultitaskStrategy, run_pb2.MultitaskStrategy),
        (enums.RecoveryPolicy, run_pb2.RecoveryPolicy),
        (enums.OnPause, run_pb2.OnPause),
        (enums.OnDisconnect, run_pb2.OnDisconnect),
        (enums.OnCompletion, run_pb2.OnCompletion),
        (enums.CancelAction, runs_pb2.CancelAction),
        (enums.IfNotExists, run_pb2.IfNotExists),
        (enums.ThreadStatus, threads_pb2.ThreadStatus),
        (enums.IfExists, threads_pb2.IfExists),
        (enums.ThreadOrder, threads_pb2.ThreadOrder),
        (enums.SortDirection, threads_pb2.SortDirection),
        (enums.PruneStrategy, threads_pb2.PruneStrategy),
        (enums.PauseKind, pause_pb2.PauseKind),
        (enums.PauseStatus, pause_pb2.PauseStatus),
        (enums.WebhookStatus, run_pb2.WebhookStatus),
        (enums.ThreadChangeKind, threads_pb2.ThreadChangeKind),
        (enums.MessageRole, run_event_pb2.MessageRole),
        (enums.AssistantOrder, assistants_pb2.AssistantOrder),
        (enums.IfAssistantExists, assistants_pb2.IfAssistantExists),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_enums_are_those_of_the_contract(ours: type[StrEnum], theirs: Any) -> None:
    prefix = theirs.Name(0).removesuffix("UNSPECIFIED")
    names = {name.removeprefix(prefix) for name, _ in theirs.items()} - {"UNSPECIFIED"}
    assert set(ours.__members__) - {"UNKNOWN"} == names
    assert all(member.value == member.name for member in ours)
    assert all(ours(name.lower()).name == name for name in names)


def test_an_enum_that_is_only_sent_has_no_member_for_the_unknown() -> None:
    with pytest.raises(ValueError, match="99 is no OnPause"):
        _enums.ON_PAUSE.read(99)
    with pytest.raises(ValueError, match="'sometime' is not a valid RunStatus"):
        enums.RunStatus("sometime")
