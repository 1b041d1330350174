"""What the server knows of each RPC by its name, held against the contract and each other.

A new RPC, or one that is renamed, fails here until it has its place in each of the tables.
"""

from __future__ import annotations

from graphwire_server.rpc.authorization import RULES, Subject
from graphwire_server.rpc.interceptor import MUTATING
from graphwire_server.rpc.load import STEERING, WAITING

from tests.e2e.wire import METHODS, PATHS

#: By LangGraph's words it reads a thread; the copy is new.
COPY = PATHS["CopyThread"]
#: It lets a run go on that would stop: that is more work, not less.
LETS_GO_ON = PATHS["RemoveRunBreakpoints"]


def test_the_tables_name_rpcs_of_the_contract_alone() -> None:
    for table in (RULES, MUTATING, WAITING, STEERING):
        assert set(table) - set(METHODS) == set()


def test_every_rpc_has_a_rule() -> None:
    assert set(METHODS) - set(RULES) == set()


def test_what_refuses_unknown_fields_is_what_the_rules_say_changes_something() -> None:
    changes = {
        path for path, rule in RULES.items() if rule and rule.action not in ("read", "search")
    }
    assert changes | {COPY} == MUTATING


def test_every_rpc_that_waits_for_others_counts_as_a_stream() -> None:
    waits = {
        path
        for path, method in METHODS.items()
        if method.server_streaming or method.name.startswith(("Wait", "Join", "Watch"))
    }
    assert waits == WAITING
    # A call that streams requests would be counted by its first message alone.
    assert not any(method.client_streaming for method in METHODS.values())


def test_what_stops_work_does_not_wait_behind_what_makes_more() -> None:
    stops = {
        path
        for path, rule in RULES.items()
        if rule and rule.action == "update" and rule.subject in (Subject.RUN, Subject.CANCELS)
    }
    assert stops - {LETS_GO_ON} == STEERING
    assert not STEERING & WAITING
