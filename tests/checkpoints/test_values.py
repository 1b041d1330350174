"""Values are written as differences where that is shorter, and read as they were."""

from __future__ import annotations

import random

import ormsgpack
import pytest
from graphwire_server.storage.checkpoints import deltas, values
from graphwire_server.storage.checkpoints.deltas import Kept
from graphwire_server.storage.checkpoints.records import ChannelValueRecord
from graphwire_server.storage.checkpoints.serde import MSGPACK
from graphwire_server.storage.checkpoints.values import Encoded, Known
from graphwire_server.storage.interface import StorageError
from hypothesis import given
from hypothesis import strategies as st

ANY_BYTES = st.binary(max_size=40)


#: Few letters, so that things are found in several places.
REPETITIVE = st.text(alphabet="ab", max_size=200).map(str.encode)


@given(st.one_of(ANY_BYTES, REPETITIVE), st.one_of(ANY_BYTES, REPETITIVE))
def test_what_is_kept_and_what_is_new_make_the_new_one(old: bytes, new: bytes) -> None:
    kept = deltas.kept(old, new)
    buffer = bytearray(old)
    deltas.apply(buffer, kept, new[kept.first : len(new) - kept.last])
    assert buffer == new


@given(ANY_BYTES, ANY_BYTES, ANY_BYTES)
def test_as_much_is_kept_as_can_be(start: bytes, middle: bytes, end: bytes) -> None:
    kept = deltas.kept(start + end, start + middle + end)
    assert kept.first + kept.last >= min(len(start + end), len(start + middle + end) // 2)


@given(REPETITIVE, REPETITIVE, REPETITIVE)
def test_two_differences_make_one(old: bytes, middle: bytes, new: bytes) -> None:
    kept = deltas.both(deltas.kept(old, middle), deltas.kept(middle, new))
    buffer = bytearray(old)
    deltas.apply(buffer, kept, new[kept.first : len(new) - kept.last])
    assert buffer == new


def test_a_difference_to_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="keeps more than it has"):
        deltas.apply(bytearray(b"12345"), Kept(0, 3, 4), b"")


class Channel:
    """A channel's records, as the storage would keep them."""

    def __init__(self) -> None:
        self.records: dict[str, ChannelValueRecord] = {}
        self.known: Known | None = None

    def write(self, version: int, value: object) -> ChannelValueRecord:
        encoded = Encoded.of(MSGPACK, ormsgpack.packb(value))
        base, body, self.known = values.write(str(version), encoded, self.known)
        record = ChannelValueRecord("t", "", "c", str(version), base, body)
        self.records[record.version] = record
        return record

    def read(self, version: int) -> object:
        known = values.read(self.records, str(version))
        assert known is not None
        return ormsgpack.unpackb(known.value.data)

    def way(self, version: int) -> list[ChannelValueRecord]:
        """Returns the records that are read for a version."""
        found = [self.records[str(version)]]
        while found[-1].base_version:
            found.append(self.records[found[-1].base_version])
        return found


A_MESSAGE = "message " * 40


def grown(steps: int) -> tuple[Channel, list[list[str]]]:
    """Returns a channel whose list grew by one element a step, and its value at each."""
    channel = Channel()
    history = [[f"{n} {A_MESSAGE}" for n in range(step)] for step in range(steps)]
    for version, value in enumerate(history):
        channel.write(version, value)
    return channel, history


def test_a_list_that_grows_costs_what_is_new() -> None:
    channel, history = grown(500)
    sizes = [len(record.body) for record in channel.records.values()]
    assert sum(sizes[50:150]) / 100 == pytest.approx(2 * len(A_MESSAGE), rel=0.1)
    assert sum(sizes[400:500]) / 100 == pytest.approx(2 * len(A_MESSAGE), rel=0.1)
    assert [channel.read(version) for version in range(500)] == history


def test_a_list_that_grew_is_read_in_few_rows() -> None:
    channel, history = grown(3000)
    way = channel.way(2999)
    assert len(way) <= 3000 / 32 + 32
    assert sum(len(record.body) for record in way) < 1.1 * len(ormsgpack.packb(history[-1]))


def test_small_elements_are_not_read_one_by_one() -> None:
    channel = Channel()
    for step in range(3000):
        channel.write(step, list(range(step)))
    assert channel.read(2999) == list(range(2999))
    assert len(channel.way(2999)) < 100
    total = sum(len(record.body) for record in channel.records.values())
    assert total < 3000 * 200


@pytest.mark.parametrize(
    "change",
    [
        lambda items: items[1:],
        lambda items: items[:-1],
        lambda items: ["new", *items],
        lambda items: [*items[:50], "new", *items[51:]],
        lambda items: [*items[5:], "new"],
    ],
    ids=["first gone", "last gone", "before", "changed", "window"],
)
def test_other_small_changes_cost_little_too(change: object) -> None:
    channel, history = grown(101)
    value = change(history[-1])  # type: ignore[operator]
    record = channel.write(101, value)
    assert record.base_version == "100"
    assert len(record.body) < 2 * len(A_MESSAGE)
    assert channel.read(101) == value


def test_what_has_nothing_in_common_is_written_whole() -> None:
    channel, _ = grown(101)
    assert channel.write(101, [f"{A_MESSAGE} {n}" for n in range(100)]).base_version == ""


def test_what_changes_all_the_time_is_read_in_twice_its_size() -> None:
    channel = Channel()
    value = [A_MESSAGE] * 20
    for step in range(500):
        value[step % 20] = f"{A_MESSAGE} {step}"
        channel.write(step, value)
        read = sum(len(record.body) for record in channel.way(step))
        assert read < 2.2 * len(ormsgpack.packb(value))
        assert channel.read(step) == value


A_LIST = st.lists(st.text(alphabet="ab", max_size=40).map(lambda text: text * 5), max_size=30)


def test_a_window_over_a_list_costs_what_is_new() -> None:
    channel = Channel()
    items = [f"{n} {A_MESSAGE}" for n in range(600)]
    for step in range(500):
        channel.write(step, items[step : step + 50])
    total = sum(len(record.body) for record in channel.records.values())
    assert total < 500 * 3.5 * len(A_MESSAGE)
    assert [channel.read(step) for step in (0, 31, 250, 499)] == [
        items[step : step + 50] for step in (0, 31, 250, 499)
    ]


@given(st.lists(A_LIST, max_size=80), st.integers(2, 9), st.randoms(use_true_random=False))
def test_any_values_are_read_as_they_were(
    history: list[list[str]], stride: int, rng: random.Random
) -> None:
    channel = Channel()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(values, "_STRIDE", stride)
        write_with_forks(channel, history, rng)
    assert [channel.read(version) for version in range(len(history))] == history


def write_with_forks(channel: Channel, history: list[list[str]], rng: random.Random) -> None:
    for version, value in enumerate(history):
        if version and rng.random() < 0.1:
            # From another version, read from its records alone: a fork, or a new start.
            channel.known = values.read(channel.records, str(rng.randrange(version)))
        channel.write(version, value)


@given(st.integers(1, 200))
def test_a_new_start_changes_nothing(length: int) -> None:
    """What is known after a read is what was known after the write."""
    channel, _ = grown(length)
    assert values.read(channel.records, str(length - 1)) == channel.known


def test_a_version_that_is_not_there_is_none() -> None:
    assert values.read({}, "1") is None


def test_a_missing_base_is_damage_and_not_an_empty_value() -> None:
    channel, _ = grown(40)
    del channel.records["20"]
    with pytest.raises(StorageError, match=r"version 21 of channel 'c' goes back to 20"):
        channel.read(21)


def test_a_base_that_does_not_fit_is_damage() -> None:
    channel, _ = grown(40)
    body = ormsgpack.packb((b"\x90",))
    channel.records["20"] = ChannelValueRecord("t", "", "c", "20", "", body)
    with pytest.raises(StorageError, match=r"version 21 of channel 'c' keeps more than it has"):
        channel.read(21)


def test_values_of_other_kinds_keep_their_tag() -> None:
    big = bytes(500)
    base, body, known = values.write("1", Encoded.of("bytes", big), None)
    record = ChannelValueRecord("t", "", "c", "1", base, body)
    assert values.read({"1": record}, "1") == known
    assert known.value == ("bytes", b"", big)
    # Another kind with the same bytes is no difference of it.
    assert values.write("2", Encoded.of(MSGPACK, ormsgpack.packb(big)), known)[0] == ""
