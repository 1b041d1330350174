"""Contract: pauses are listed across threads, by what is asked for, in both directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from graphwire_server.graphs.breakpoints import Breakpoint, Met, met_text
from graphwire_server.storage.interface import Storage
from graphwire_server.storage.records import PauseFilter, PauseKind, PausePosition, PauseStatus

from .builders import a_pause, a_run, a_thread, add

ANY = tuple(PauseStatus)


def labelled(*labels: str) -> str:
    return met_text([Met(Breakpoint("node", label=label)) for label in labels])


PAUSES: dict[str, dict[str, Any]] = {
    "plain": {"create_time": 1},
    "asks": {"create_time": 2, "kind": PauseKind.INTERRUPT, "node": "ask", "assistant_id": "other"},
    "labelled": {"create_time": 3, "breakpoints": labelled("money", 'say "no"')},
    "calls": {
        "create_time": 3,
        "tool_calls": '[{"id":"1","name":"refund","args":{"name":"search"}},'
        '{"id":"2","name":"look","args":{}}]',
        "expire_time": 50,
    },
    "elsewhere": {"create_time": 4, "thread_id": "stateless", "expire_time": 60},
    "resumed": {"create_time": 5, "status": PauseStatus.RESUMED},
    "superseded": {"create_time": 6, "status": PauseStatus.SUPERSEDED, "node": "ask"},
}
OPEN = ["elsewhere", "calls", "labelled", "asks", "plain"]


@pytest.fixture
async def inbox(storage: Storage) -> Storage:
    await add(
        storage,
        a_thread(metadata='{"team": {"id": 1, "name": "x"}}'),
        a_thread("stateless", stateless=True, metadata='{"team": {"id": 2}}'),
        *(a_pause(name, **fields) for name, fields in PAUSES.items()),
    )
    return storage


async def listed(storage: Storage, **which: Any) -> list[str]:
    found = await storage.read(lambda db: db.list_pauses(PauseFilter(**which), limit=99))
    return [pause.pause_id for _, pause in found]


@pytest.mark.parametrize(
    ("which", "names"),
    [
        ({}, OPEN),
        ({"statuses": ()}, ["superseded", "resumed", *OPEN]),
        ({"statuses": ANY}, ["superseded", "resumed", *OPEN]),
        ({"statuses": (PauseStatus.RESUMED,)}, ["resumed"]),
        ({"statuses": (PauseStatus.RESUMED, PauseStatus.OPEN)}, ["resumed", *OPEN]),
        ({"kinds": (PauseKind.INTERRUPT,)}, ["asks"]),
        ({"kinds": (PauseKind.INTERRUPT, PauseKind.BREAKPOINT_BEFORE)}, OPEN),
        ({"thread_id": "stateless"}, ["elsewhere"]),
        ({"thread_id": "nobody"}, []),
        ({"assistant_id": "other"}, ["asks"]),
        ({"node": "ask"}, ["asks"]),
        ({"node": "ask", "statuses": ANY}, ["superseded", "asks"]),
        ({"label": "money"}, ["labelled"]),
        ({"label": 'say "no"'}, ["labelled"]),
        ({"label": "mon"}, []),
        ({"tool_name": "refund"}, ["calls"]),
        ({"tool_name": "look"}, ["calls"]),
        # It is in the arguments of one, and no tool.
        ({"tool_name": "search"}, []),
        ({"thread_metadata": '{"team": {"id": 1}}'}, ["calls", "labelled", "asks", "plain"]),
        ({"thread_metadata": '{"team": {"id": 2}}'}, ["elsewhere"]),
        ({"expires_before": 51}, ["calls"]),
        ({"expires_before": 50}, []),
        ({"expires_before": 61}, ["elsewhere", "calls"]),
        ({"expires_before": 61, "thread_id": "stateless"}, ["elsewhere"]),
        ({"node": "a\0b"}, []),
        ({"label": "a\0b"}, []),
    ],
)
async def test_pauses_are_found_by_what_is_asked_for(
    inbox: Storage, which: dict[str, Any], names: Sequence[str]
) -> None:
    assert await listed(inbox, **which) == names


@pytest.mark.parametrize("ascending", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3])
async def test_pages_follow_each_other_in_both_directions(
    inbox: Storage, *, ascending: bool, size: int
) -> None:
    seen: list[str] = []
    after: PausePosition | None = None
    while True:
        page = await inbox.read(
            lambda db, after=after: db.list_pauses(  # type: ignore[misc]
                PauseFilter(statuses=ANY), limit=size, after=after, ascending=ascending
            )
        )
        if not page:
            break
        seen += [pause.pause_id for _, pause in page]
        after = page[-1][0]
    whole = ["superseded", "resumed", *OPEN]
    assert seen == (whole[::-1] if ascending else whole)


async def test_what_is_made_meanwhile_moves_nothing_on_later_pages(inbox: Storage) -> None:
    first = await inbox.read(lambda db: db.list_pauses(PauseFilter(), limit=2))
    await add(inbox, a_pause("new", create_time=9))
    rest = await inbox.read(lambda db: db.list_pauses(PauseFilter(), limit=9, after=first[-1][0]))
    assert [pause.pause_id for _, pause in (*first, *rest)] == OPEN


async def test_what_thread_metadata_is_to_contain_must_be_an_object(inbox: Storage) -> None:
    with pytest.raises(ValueError, match="thread_metadata must be a JSON object"):
        await listed(inbox, thread_metadata="[1]")


async def test_a_pause_is_found_as_it_was_called(storage: Storage) -> None:
    pauses = [
        a_pause("1", interrupt_id="i", status=PauseStatus.RESUMED, resolved_by_run_id="r"),
        a_pause("2", interrupt_id="i", kind=PauseKind.INTERRUPT),
        a_pause("3", "other", interrupt_id="j"),
    ]
    await add(storage, a_thread(), a_thread("other"), a_run(), *pauses)

    async def called(key: str) -> object:
        return await storage.read(lambda db: db.pause_called("thread", key))

    assert await called("1") == pauses[0]
    assert await called("i") == pauses[1]
    assert await called("3") is None
    assert await called("j") is None
    assert await called("a\0b") is None


async def test_what_a_run_went_on_from_is_found(storage: Storage) -> None:
    resumed = {"status": PauseStatus.RESUMED, "resolved_by_run_id": "r"}
    pauses = [
        a_pause("1", **resumed, kind=PauseKind.INTERRUPT),
        a_pause("2", **{**resumed, "status": PauseStatus.SUPERSEDED}),
        a_pause("3", **resumed),
        a_pause("4", **{**resumed, "resolved_by_run_id": "s"}),
    ]
    await add(storage, a_thread(), *pauses)
    found = await storage.read(lambda db: db.pauses_resumed_by("thread", "r"))
    assert found == [pauses[0], pauses[2]]
    assert await storage.read(lambda db: db.pauses_resumed_by("thread", "x")) == []
    assert await storage.read(lambda db: db.pauses_resumed_by("other", "r")) == []


async def test_the_pause_that_was_resolved_last_is_found(storage: Storage) -> None:
    pauses = [
        a_pause("1", status=PauseStatus.RESUMED, resolve_time=5),
        a_pause("2", status=PauseStatus.SUPERSEDED, resolve_time=7),
        a_pause("3", status=PauseStatus.CANCELLED, resolve_time=7),
        a_pause("4", status=PauseStatus.RESUMED, resolve_time=6),
        a_pause("5"),
        a_pause("6", "other"),
    ]
    await add(storage, a_thread(), a_thread("other"), *pauses)
    assert await storage.read(lambda db: db.last_resolved_pause("thread")) == pauses[2]
    assert await storage.read(lambda db: db.last_resolved_pause("other")) is None
