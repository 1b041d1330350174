"""Contract: assistants and their versions are kept, found and deleted as the interface says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from graphwire_server.storage.interface import IntegrityError, Storage, Transaction
from graphwire_server.storage.records import (
    AssistantFilter,
    AssistantHead,
    AssistantOrder,
    AssistantPosition,
    AssistantRecord,
    ThreadStatus,
)

from .builders import a_thread, add, an_assistant

FULL = AssistantRecord(
    assistant_id="full",
    graph_id="agent",
    version=1,
    name="Zoë’s — 100 % \\ agent",
    create_time=1_700_000_000_000_001,
    update_time=1_700_000_000_000_002,
    description="What it\nis for",
    metadata='{"owner": {"n": 1.0}}',
    config='{"recursion_limit":5,"tags":["a"],"configurable":{"big":18446744073709551615}}',
    context='{"user": null}',
    breakpoints='[{"node":"b"}]',
)


async def keep(storage: Storage, *assistants: AssistantRecord) -> None:
    """Adds assistants; a version above 1 of one that is there as its next version."""

    def insert(tx: Transaction) -> None:
        for assistant in assistants:
            if tx.assistant_head(assistant.assistant_id) is None:
                tx.insert_assistant(assistant)
            else:
                tx.add_assistant_version(assistant)

    await storage.write(insert)


async def ids(
    storage: Storage,
    which: AssistantFilter | None = None,
    *,
    limit: int = 100,
    graphs: tuple[AssistantRecord, ...] = (),
    **how: Any,
) -> list[str]:
    """The ids of assistants that are listed; they are as many as are counted."""
    which = which or AssistantFilter()
    found = await storage.read(lambda r: r.assistants(which, limit=limit, graphs=graphs, **how))
    if limit == 100 and "after" not in how:
        counted = await storage.read(lambda r: r.count_assistants(which, graphs=graphs))
        assert counted == len(found)
    return [assistant.assistant_id for assistant in found]


@pytest.mark.parametrize("assistant", [an_assistant(), FULL], ids=["least", "full"])
async def test_an_assistant_comes_back_as_it_was_put(
    storage: Storage, assistant: AssistantRecord
) -> None:
    await keep(storage, assistant)
    name = assistant.assistant_id
    assert await storage.read(lambda r: r.assistant(name)) == assistant
    assert await storage.read(lambda r: r.assistant(name, 1)) == assistant
    assert await storage.read(lambda r: r.assistants(AssistantFilter(), limit=9)) == [assistant]
    head = AssistantHead(name, 1, 1, False, assistant.create_time)
    assert await storage.read(lambda r: r.assistant_head(name)) == head
    assert await storage.write(lambda tx: tx.assistant_head(name)) == head


@pytest.mark.parametrize("name", ["nobody", "a\0b"])
async def test_an_unknown_assistant_is_none(storage: Storage, name: str) -> None:
    assert await storage.read(lambda r: r.assistant(name)) is None
    assert await storage.read(lambda r: r.assistant(name, 1)) is None
    assert await storage.read(lambda r: r.assistant_head(name)) is None
    assert await storage.write(lambda tx: tx.assistant_head(name)) is None
    assert await storage.read(lambda r: r.assistant_versions("nobody", limit=9)) == []


async def test_an_assistant_id_must_be_new(storage: Storage) -> None:
    await keep(storage, an_assistant(name="first"))
    with pytest.raises(IntegrityError):
        await storage.write(lambda tx: tx.insert_assistant(an_assistant(name="second")))
    found = await storage.read(lambda r: r.assistant("mine"))
    assert found is not None
    assert found.name == "first"


async def test_each_version_stays_as_it_was_and_the_newest_is_the_one_for_new_runs(
    storage: Storage,
) -> None:
    first = an_assistant(create_time=7)
    second = replace(first, version=2, graph_id="other", update_time=2)
    third = replace(second, version=3, metadata='{"a":1}', update_time=3)
    await keep(storage, first, second, third)
    assert await storage.read(lambda r: r.assistant("mine")) == third
    versions = await storage.read(lambda r: r.assistant_versions("mine", limit=9))
    assert versions == [third, second, first]
    pages = await storage.read(lambda r: r.assistant_versions("mine", limit=1, below=3))
    assert pages == [second]
    with_a = await storage.read(lambda r: r.assistant_versions("mine", metadata='{"a":1}', limit=9))
    assert with_a == [third]
    head = AssistantHead("mine", 3, 3, False, 7)
    assert await storage.read(lambda r: r.assistant_head("mine")) == head


async def test_the_first_version_of_a_graph_of_the_file_is_the_last_in_the_list(
    storage: Storage,
) -> None:
    first = an_assistant("agent", metadata='{"a":1}', built_in=True)
    second = replace(first, version=2)
    third = replace(first, version=3, metadata="{}")
    await keep(storage, second, third)

    async def listed(**how: Any) -> list[AssistantRecord]:
        return await storage.read(lambda r: r.assistant_versions("agent", first=first, **how))

    assert await listed(limit=9) == [third, second, first]
    assert await listed(limit=1, below=2) == [first]
    assert await listed(limit=9, metadata='{"a":1}') == [second, first]
    assert await listed(limit=9, metadata='{"a":2}') == []


async def test_an_older_version_can_be_made_the_one_for_new_runs(storage: Storage) -> None:
    first = an_assistant()
    second = replace(first, version=2, name="second")
    await keep(storage, first, second)
    await storage.write(lambda tx: tx.set_assistant_version("mine", 1))
    assert await storage.read(lambda r: r.assistant("mine")) == first
    head = AssistantHead("mine", 1, 2, False, 1)
    assert await storage.read(lambda r: r.assistant_head("mine")) == head
    third = replace(first, version=3, name="third")
    await keep(storage, third)
    assert await storage.read(lambda r: r.assistant("mine")) == third


async def test_a_version_is_made_once(storage: Storage) -> None:
    await keep(storage, an_assistant(), an_assistant(version=2))
    with pytest.raises(IntegrityError):
        await storage.write(lambda tx: tx.add_assistant_version(an_assistant(version=2)))


async def test_an_assistant_goes_with_its_versions(storage: Storage) -> None:
    await keep(storage, an_assistant(), an_assistant(version=2), an_assistant("other"))
    assert await storage.write(lambda tx: tx.keep_assistant("mine"))
    assert await storage.write(lambda tx: tx.delete_assistant("mine"))
    assert await storage.read(lambda r: r.assistant("mine")) is None
    assert await storage.read(lambda r: r.assistant("mine", 2)) is None
    assert await storage.read(lambda r: r.assistant_versions("mine", limit=9)) == []
    assert await ids(storage) == ["other"]
    assert not await storage.write(lambda tx: tx.delete_assistant("mine"))
    assert not await storage.write(lambda tx: tx.keep_assistant("mine"))


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (AssistantOrder.NAME, ["c", "a", "d", "b"]),
        (AssistantOrder.ASSISTANT_ID, ["a", "b", "c", "d"]),
        (AssistantOrder.CREATE_TIME, ["d", "a", "c", "b"]),
        (AssistantOrder.UPDATE_TIME, ["b", "c", "d", "a"]),
        (AssistantOrder.GRAPH_ID, ["b", "d", "a", "c"]),
    ],
)
async def test_assistants_are_sorted_and_paged_both_ways(
    storage: Storage, order: AssistantOrder, expected: list[str]
) -> None:
    rows = [
        an_assistant("a", name="B", create_time=2, update_time=40, graph_id="y"),
        an_assistant("b", name="_b", create_time=3, update_time=10, graph_id="x"),
        an_assistant("c", name="A", create_time=2, update_time=20, graph_id="y"),
    ]
    # One of the graphs of the file, among those that are kept.
    graph = an_assistant("d", name="B", create_time=1, update_time=30, graph_id="x")
    await keep(storage, *rows)
    by_id = {row.assistant_id: row for row in (*rows, graph)}
    field = order.value.lower()
    for descending in (False, True):
        seen: list[str] = []
        after: AssistantPosition | None = None
        while page := await ids(
            storage, limit=1, order=order, descending=descending, after=after, graphs=(graph,)
        ):
            seen += page
            after = AssistantPosition(getattr(by_id[page[0]], field), page[0])
        assert seen == (expected[::-1] if descending else expected)


async def test_a_graph_of_the_file_is_listed_unless_a_version_of_it_is_kept(
    storage: Storage,
) -> None:
    graphs = (an_assistant("agent", built_in=True), an_assistant("other", built_in=True))
    assert await ids(storage, graphs=graphs) == ["agent", "other"]
    kept = an_assistant("agent", version=2, name="Agent", built_in=True)
    await keep(storage, kept)
    found = await storage.read(lambda r: r.assistants(AssistantFilter(), limit=9, graphs=graphs))
    assert found == [kept, graphs[1]]
    # Back at version 1, which is not kept, it is what the file says.
    await storage.write(lambda tx: tx.set_assistant_version("agent", 1))
    found = await storage.read(lambda r: r.assistants(AssistantFilter(), limit=9, graphs=graphs))
    assert found == list(graphs)
    assert await storage.read(lambda r: r.assistant("agent")) is None


async def test_all_that_is_given_in_a_filter_must_be_true(storage: Storage) -> None:
    await keep(
        storage,
        an_assistant("a", name="Straße 50%", metadata='{"a": 1, "b": {"c": [1], "d": 2}}'),
        an_assistant("b", name="50_percent", graph_id="other", metadata='{"a": 1}'),
        an_assistant("c", name="50 PERCENT!"),
    )
    graph = an_assistant("d", name="50_STRASSE", metadata='{"a": 2}')
    for expected, given in (
        (["a", "b", "c", "d"], AssistantFilter()),
        (["a", "c", "d"], AssistantFilter(graph_id="agent")),
        ([], AssistantFilter(graph_id="agen")),
        (["b", "c"], AssistantFilter(name="pErCent")),
        (["a"], AssistantFilter(name="50%")),
        (["b", "d"], AssistantFilter(name="0_")),
        (["c"], AssistantFilter(name="!")),
        (["a", "d"], AssistantFilter(name="STRASSE")),
        (["a", "b"], AssistantFilter(metadata='{"a": 1}')),
        (["a"], AssistantFilter(metadata='{"b": {"c": [1]}}')),
        (["d"], AssistantFilter(metadata='{"a": 2}')),
        (["a"], AssistantFilter(graph_id="agent", name="5", metadata='{"a": 1}')),
        ([], AssistantFilter(graph_id="other", name="5", metadata='{"a": 2}')),
        ([], AssistantFilter(name="a\0")),
        ([], AssistantFilter(graph_id="a\0")),
    ):
        found = await ids(storage, given, order=AssistantOrder.ASSISTANT_ID, graphs=(graph,))
        assert (given, found) == (given, expected)


@pytest.mark.parametrize("text", ["[]", "x"])
async def test_metadata_to_contain_must_be_an_object(storage: Storage, text: str) -> None:
    which = AssistantFilter(metadata=text)
    with pytest.raises(ValueError, match="must be a JSON object"):
        await storage.read(lambda r: r.assistants(which, limit=9))
    with pytest.raises(ValueError, match="must be a JSON object"):
        await storage.read(lambda r: r.count_assistants(which))
    with pytest.raises(ValueError, match="must be a JSON object"):
        await storage.read(lambda r: r.assistant_versions("mine", metadata=text, limit=9))


async def test_the_threads_of_an_assistant_are_found_stateless_ones_too(storage: Storage) -> None:
    await add(
        storage,
        a_thread("a", assistant_id="mine"),
        a_thread("b", assistant_id="mine", stateless=True),
        a_thread("c", assistant_id="other"),
        a_thread("d"),
    )
    assert sorted(await storage.read(lambda r: r.threads_of_assistant("mine"))) == ["a", "b"]
    assert await storage.read(lambda r: r.threads_of_assistant("nobody")) == []
    await storage.write(lambda tx: tx.update_thread("b", now=2, status=ThreadStatus.BUSY))
    working = (ThreadStatus.BUSY, ThreadStatus.INTERRUPTED)
    found = await storage.read(lambda r: r.threads_of_assistant("mine", statuses=working))
    assert found == ["b"]


async def test_a_thread_remembers_the_graph_of_its_state(storage: Storage) -> None:
    await add(storage, a_thread("a", assistant_id="mine", graph_id="agent"))
    found = await storage.read(lambda r: r.thread("a"))
    assert found is not None
    assert found.graph_id == "agent"
    await storage.write(lambda tx: tx.update_thread("a", now=2, graph_id="other"))
    found = await storage.read(lambda r: r.thread("a"))
    assert found is not None
    assert (found.graph_id, found.assistant_id) == ("other", "mine")
