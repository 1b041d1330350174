"""Whom a database shows threads to: what `Access.admits` says, and what the queries say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from graphwire_server.storage.access import ALL, Access, Belonging
from graphwire_server.storage.interface import Storage, Transaction
from graphwire_server.storage.records import (
    AssistantFilter,
    PauseFilter,
    RunStatus,
    ThreadFilter,
    ThreadRecord,
    ThreadStatus,
)

OWNERS = ("", "ada", "team")
DOCUMENTS: tuple[Any, ...] = (
    {},
    {"owner": "ada"},
    {"owner": "ada", "readers": ["bob"]},
    {"owner": 1, "readers": ["bob", "cleo", 1]},
    {"owner": True, "readers": "bob"},
    {"owner": None, "readers": [True, None, 1.5]},
    {"readers": [["bob"], {"bob": 1}]},
    {"readers": {"bob": 1}},
    {"owner": {"name": "ada", "more": 1}},
    {"owner": "a\0da", "readers": ["b\0b"]},
)
ELEMENTS: tuple[list[Any], ...] = (
    ["bob"],
    ["bob", "cleo"],
    [1],
    [True],
    [None],
    [1.5],
    [["bob"]],
    [],
    ["b\0b"],
)
ADAS = Access(metadata='{"owner": "ada"}')
READ_BY_BOB = Access(lists=(("readers", '["bob"]'),))
ACCESSES = (
    ALL,
    *(Access(owner=owner) for owner in (*OWNERS, "nobody")),
    *(
        Access(metadata=json.dumps({"owner": wanted}))
        for wanted in ("ada", 1, 1.0, True, None, {"name": "ada"}, "a\0da")
    ),
    *(
        Access(lists=(("readers", json.dumps(wanted)),))
        for wanted in (
            ["bob"],
            ["bob", "cleo"],
            [1],
            [True],
            [None],
            [1.5],
            [["bob"]],
            [],
            ["b\0b"],
        )
    ),
    Access(owner="ada", metadata='{"owner": "ada"}', lists=(("readers", '["bob"]'),)),
    Access(also='{"owner": "ada"}'),
    Access(metadata='{"owner": "ada"}', also='{"readers": ["bob"]}'),
    Access(metadata='{"owner": "ada"}', also='{"owner": 1}'),
    Access(choices=((ADAS, READ_BY_BOB),)),
    Access(choices=((ADAS,), (READ_BY_BOB,))),
    Access(choices=((ADAS, READ_BY_BOB), (Access(metadata='{"owner": 1}'), READ_BY_BOB))),
    Access(choices=((Access(choices=((ADAS,), (READ_BY_BOB,))), Access(metadata='{"owner": 1}')),)),
    Access(metadata='{"owner": "ada"}', choices=((READ_BY_BOB, Access(metadata='{"owner": 1}')),)),
    Access(owner="ada", also='{"owner": "ada"}', choices=((ADAS, READ_BY_BOB),)),
    Access(choices=((ALL, ADAS),)),
)


@pytest.mark.parametrize("access", ACCESSES, ids=repr)
async def test_a_query_finds_those_that_the_access_admits(storage: Storage, access: Access) -> None:
    threads = [
        ThreadRecord(
            thread_id=f"{owner}.{number}",
            status=ThreadStatus.IDLE,
            metadata=json.dumps(document),
            create_time=number,
            update_time=number,
            owner=owner,
        )
        for owner in OWNERS
        for number, document in enumerate(DOCUMENTS)
    ]

    def insert(tx: Transaction) -> None:
        for thread in threads:
            tx.insert_thread(thread)

    await storage.write(insert)
    admitted = {t.thread_id for t in threads if access.admits(t.owner, t.metadata)}
    ids = [thread.thread_id for thread in threads]
    which = ThreadFilter(access=access)
    listed = await storage.read(lambda db: db.threads(which, limit=100))
    assert {thread.thread_id for thread in listed} == admitted
    assert await storage.read(lambda db: db.count_threads(which)) == len(admitted)
    containing = await storage.read(
        lambda db: db.threads_containing(ids, metadata=None, values=None, access=access)
    )
    assert containing == admitted
    assert await storage.read(lambda db: db.list_pauses(PauseFilter(access=access), limit=9)) == []
    assert await storage.read(lambda db: db.active_run_ids(RunStatus.PENDING, access)) == []
    await storage.read(lambda db: db.assistants(AssistantFilter(access=access), limit=9))


@pytest.mark.parametrize("together", [False, True], ids=["or", "and"])
async def test_choices_may_be_very_many(storage: Storage, *, together: bool) -> None:
    thread = ThreadRecord("t", ThreadStatus.IDLE, '{"owner": "ada"}', 1, 1)
    await storage.write(lambda tx: tx.insert_thread(thread))
    many = [Access(metadata=json.dumps({"owner": f"team {n}"})) for n in range(1500)]
    choices = ((*many, ADAS),) if not together else tuple((each, ADAS) for each in many)
    which = ThreadFilter(access=Access(choices=choices))
    assert await storage.read(lambda db: db.count_threads(which)) == 1
    nobody = ThreadFilter(access=Access(choices=(tuple(many), *choices)))
    assert await storage.read(lambda db: db.count_threads(nobody)) == 0


async def test_a_thread_belongs_to_whom_it_was_made_for(storage: Storage) -> None:
    thread = ThreadRecord("t", ThreadStatus.IDLE, '{"a": 1}', 1, 1, owner="ada")
    await storage.write(lambda tx: tx.insert_thread(thread))
    found = await storage.read(lambda db: db.belonging(thread_id="t"))
    assert found == Belonging("t", "ada", '{"a": 1}')
    for name in ("thread_id", "run_id", "pause_id"):
        nothing = {name: "nothing"}
        assert await storage.read(lambda db, n=nothing: db.belonging(**n)) is None  # type: ignore[misc]
