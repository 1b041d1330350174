"""`jsontext.dumps`: each rule for what JSON has no form for."""

from __future__ import annotations

import array
import base64
import collections
import dataclasses
import json
import math
import sys
import types
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum
from pathlib import Path, PureWindowsPath
from typing import Any, NamedTuple
from unittest.mock import MagicMock

import orjson
import pydantic
import pydantic.v1
import pytest
from graphwire_server import jsontext
from graphwire_server.jsontext import encode
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langgraph.types import Command, Interrupt, Overwrite, Send

INF = float("inf")


def out(obj: object) -> Any:
    """Returns what a strict parser reads from the text that `dumps` writes."""
    return orjson.loads(jsontext.dumps(obj))


def unserializable(kind: str, text: str) -> dict[str, str]:
    return {"__unserializable__": kind, "repr": text}


def marker_of(cls: type, text: str) -> dict[str, str]:
    return unserializable(f"{cls.__module__}.{cls.__qualname__}", text)


# What JSON has a form for.


def test_text_is_compact_and_keeps_the_order_of_keys() -> None:
    text = jsontext.dumps({"b": [1, 2.5, True], "a": {"c": None, "ü": "é\n"}})
    assert text == '{"b":[1,2.5,true],"a":{"c":null,"ü":"é\\n"}}'


def test_the_whole_range_of_64_bits_is_exact() -> None:
    assert jsontext.dumps([-(2**63), 2**64 - 1]) == "[-9223372036854775808,18446744073709551615]"


@pytest.mark.parametrize("number", [0.1, 1.0, -0.0, 1e300, 5e-324, 1.7976931348623157e308])
def test_a_float_is_read_back_as_the_same_float(number: float) -> None:
    back = out(number)
    assert type(back) is float
    assert (back, math.copysign(1, back)) == (number, math.copysign(1, number))


# Numbers.


def test_ordinary_state_is_written_in_one_pass_of_orjson(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "_ExactWriter", None)
    message = AIMessage("null ˋ ÿ", response_metadata={"p": [0.5, -1e300]}, id="1")
    assert out({"messages": [message], "none": None, "at": datetime(2026, 1, 2, tzinfo=UTC)})


@pytest.mark.parametrize(
    "number, text", [(math.nan, "NaN"), (INF, "Infinity"), (-INF, "-Infinity")]
)
def test_a_non_finite_number_is_its_name_wherever_it_stands(number: float, text: str) -> None:
    class Level(Enum):
        X = number

    @dataclasses.dataclass
    class Point:
        x: float

    class Model(pydantic.BaseModel):
        x: float

    class Float(float):
        pass

    assert out(number) == text
    assert out([number, None, 1.5]) == [text, None, 1.5]
    assert out({"a": {"b": (number,)}}) == {"a": {"b": [text]}}
    assert out({number: 1}) == {text: 1}
    assert out(frozenset([number])) == [text]
    assert out(Level.X) == text
    assert out(Point(number)) == {"x": text}
    assert out([Model(x=number)]) == [{"x": text}]
    assert out(Float(number)) == text
    message = AIMessage("hi", response_metadata={"logprob": number})
    assert out([message])[0]["response_metadata"] == {"logprob": text}


def test_a_negative_nan_is_nan() -> None:
    assert out([-math.nan, None]) == ["NaN", None]


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**100, -(10**5000)], ids=int.bit_length)
def test_an_integer_outside_64_bits_is_its_decimal_string(number: int) -> None:
    assert out([number, None]) == [f"{Decimal(number)}", None]
    assert out({"a": {number: 1}}) == {"a": {f"{Decimal(number)}": 1}}


def test_an_integer_of_very_many_digits_is_marked_and_not_converted_for_minutes() -> None:
    number = 1 << 10_000_000
    text = "<an integer of 10000001 bits>"
    assert out([number]) == [unserializable("builtins.int", text)]
    assert out({number: 1}) == {json.dumps(marker_of(int, text), separators=(",", ":")): 1}


def test_subclasses_of_plain_types_are_what_they_hold() -> None:
    class Text(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "something else"

    class Whole(int):
        pass

    class Real(float):
        pass

    class Items(list[Any]):
        pass

    assert out([Text("t"), Whole(5), Real(2.5), Items([1])]) == ["t", 5, 2.5, [1]]
    assert out({Text("t"): 1, "u": collections.UserString("x")}) == {"t": 1, "u": "x"}
    assert out(collections.OrderedDict(a=1)) == {"a": 1}
    assert out(collections.defaultdict(list, a=[1])) == {"a": [1]}
    assert out(collections.Counter("aab")) == {"a": 2, "b": 1}


# Text and bytes.


def test_a_lone_surrogate_becomes_the_replacement_character_in_values_and_keys() -> None:
    assert out("a\ud800b") == "a\ufffdb"
    assert out({"\udfff": ["\udc00\ud800"]}) == {"\ufffd": ["\ufffd\ufffd"]}


def test_two_surrogates_that_make_a_pair_become_their_character() -> None:
    assert out("\ud83d\ude00\ud83d") == "😀\ufffd"


def test_the_same_text_is_untouched_elsewhere() -> None:
    assert out(["\ud800", "\ufeff😀\x00\x7f"]) == ["\ufffd", "\ufeff😀\x00\x7f"]


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
def test_bytes_are_base64(make: Any) -> None:
    assert base64.b64decode(out(make(b"\x00\xff\x10"))) == b"\x00\xff\x10"


# Dates and times.


def test_dates_and_times_are_iso_8601() -> None:
    zone = timezone(timedelta(hours=5, minutes=30))
    assert out(datetime(2026, 1, 2, 3, 4, 5, 6, zone)) == "2026-01-02T03:04:05.000006+05:30"
    assert out(datetime(2026, 1, 2)) == "2026-01-02T00:00:00"  # noqa: DTZ001 - naive is meant
    assert out(date(1, 1, 1)) == "0001-01-01"
    assert out(time(3, 4, tzinfo=zone)) == "03:04:00+05:30"
    odd = timezone(timedelta(minutes=28, seconds=33))
    assert out(datetime(1900, 1, 1, tzinfo=odd)) == "1900-01-01T00:00:00+00:28:33"


def test_a_timedelta_is_seconds() -> None:
    assert jsontext.dumps([timedelta(days=1), timedelta(microseconds=-1)]) == "[86400.0,-1e-6]"


# Other scalars.


def test_uuids_paths_and_decimals_are_their_text() -> None:
    assert out(uuid.UUID(int=5)) == "00000000-0000-0000-0000-000000000005"
    assert out([Path("/a"), PureWindowsPath("a/b")]) == ["/a", "a\\b"]
    assert out([Decimal("1.10"), Decimal("NaN"), Decimal("1E+3")]) == ["1.10", "NaN", "1E+3"]


def test_an_enum_member_is_its_value_by_the_same_rules() -> None:
    class Plain(Enum):
        A = (1, frozenset([2]))
        B = b"x"

    class Number(IntEnum):
        A = 3

    class Text(StrEnum):
        A = "a"

    class Bits(Flag):
        A = 1
        B = 2

    class Odd(str, Enum):  # noqa: UP042 - its text differs from its value
        A = "value"

        def __new__(cls, value: str) -> Odd:
            member = str.__new__(cls, "content")
            member._value_ = value
            return member

    assert out([Plain.A, Plain.B]) == [[1, [2]], "eA=="]
    assert out([Number.A, Text.A, Bits.A | Bits.B, Odd.A]) == [3, "a", 3, "value"]
    assert out({Number.A: 1, Text.A: 2, Odd.A: 3}) == {"3": 1, "a": 2, "value": 3}


# Collections.


def test_tuples_deques_ranges_and_views_are_lists() -> None:
    values = [(1, (2,)), collections.deque([3]), range(2), {"k": 1}.keys(), {"k": 1}.values()]
    assert out(values) == [[1, [2]], [3], [0, 1], ["k"], [1]]
    assert out([{"k": 1}.items(), array.array("d", [0.5])]) == [[["k", 1]], [0.5]]


def test_sets_are_lists_sorted_if_they_can_be() -> None:
    assert out({"b", "c", "a"}) == ["a", "b", "c"]
    assert out(frozenset([3, 1])) == [1, 3]
    assert sorted(out({1, "a"}), key=str) == [1, "a"]


def test_other_mappings_are_objects() -> None:
    assert out(types.MappingProxyType({"a": (1,)})) == {"a": [1]}
    assert out(collections.ChainMap({"a": 1}, {"b": 2})) == {"a": 1, "b": 2}


def test_a_named_tuple_is_an_object() -> None:
    class Pair(NamedTuple):
        left: int
        right: object = None

    assert out([Pair(1, Pair(2))]) == [{"left": 1, "right": {"left": 2, "right": None}}]


def test_a_generator_is_not_consumed() -> None:
    generator = (x for x in [1, 2])
    assert out(generator)["__unserializable__"] == "builtins.generator"
    assert list(generator) == [1, 2]


# Objects.


def test_a_dataclass_is_an_object_by_its_fields() -> None:
    @dataclasses.dataclass
    class Node:
        name: str
        _private: int = 1
        child: object = None
        hidden: int = dataclasses.field(default=2, repr=False)

    node = Node("a", child=Node("b"))
    node.extra = "not a field"  # type: ignore[attr-defined]
    inner = {"name": "b", "_private": 1, "child": None, "hidden": 2}
    assert out(node) == {"name": "a", "_private": 1, "child": inner, "hidden": 2}


def test_a_dataclass_is_not_copied() -> None:
    class Uncopyable:
        def __deepcopy__(self, memo: object) -> object:
            raise AssertionError

        def __repr__(self) -> str:
            return "U"

    @dataclasses.dataclass(slots=True)
    class Holder:
        value: object
        unset: int = dataclasses.field(init=False)

    assert out(Holder(Uncopyable())) == {"value": marker_of(Uncopyable, "U")}


class Order(pydantic.BaseModel):
    item: object = None
    secret: str = pydantic.Field(default="s", exclude=True)

    @pydantic.field_serializer("item")
    def _item(self, item: object) -> object:
        return ("seen", item)


def test_a_pydantic_model_is_dumped_with_its_serializers_and_exclusions() -> None:
    assert out([Order(item={1, 2})]) == [{"item": ["seen", [1, 2]]}]


def test_a_pydantic_root_model_is_its_root() -> None:
    assert out([pydantic.RootModel[list[int]]([1, 2])]) == [[1, 2]]


def test_a_value_that_does_not_fit_a_models_field_is_kept_without_a_warning() -> None:
    class Strict(pydantic.BaseModel):
        n: int

    unchecked: Any = Strict.model_construct
    assert out(unchecked(n="text")) == {"n": "text"}


def test_urls_and_secrets_of_pydantic() -> None:
    class Account(pydantic.BaseModel):
        url: pydantic.HttpUrl
        key: pydantic.SecretStr

    account = Account.model_validate({"url": "http://a.b/", "key": "hush"})
    secret = unserializable("pydantic.types.SecretStr", "SecretStr('**********')")
    assert out(account) == {"url": "http://a.b/", "key": secret}


def test_a_model_of_pydantic_v1_is_its_dict() -> None:
    class Old(pydantic.v1.BaseModel):
        when: date = date(2026, 1, 2)

    assert out([Old()]) == [{"when": "2026-01-02"}]


def test_a_message_is_an_object() -> None:
    call = {"name": "search", "args": {"q": "x"}, "id": "c1", "type": "tool_call"}
    ai, tool = out(
        [AIMessage("hi", tool_calls=[call], id="1"), ToolMessage("ok", tool_call_id="c1")]
    )
    assert ai == {
        "content": "hi",
        "additional_kwargs": {},
        "response_metadata": {},
        "type": "ai",
        "name": None,
        "id": "1",
        "tool_calls": [call],
        "invalid_tool_calls": [],
        "usage_metadata": None,
    }
    assert (tool["type"], tool["tool_call_id"], tool["status"]) == ("tool", "c1", "success")
    assert out(AIMessageChunk(content="hi"))["type"] == "AIMessageChunk"


def test_a_message_in_a_model_keeps_what_its_own_class_adds() -> None:
    class State(pydantic.BaseModel):
        messages: list[BaseMessage]

    call = {"name": "search", "args": {}, "id": "c1", "type": "tool_call"}
    state = out(State(messages=[AIMessage("", tool_calls=[call])]))
    assert state["messages"][0]["tool_calls"] == [call]


def test_langgraphs_own_types_are_objects() -> None:
    assert out(Send("node", {"x": (1,)})) == {"node": "node", "arg": {"x": [1]}, "timeout": None}
    assert out(Interrupt(value="sure?", id="i1")) == {
        "value": "sure?",
        "id": "i1",
        "response_schema": None,
    }
    assert out(Command(goto="a", update={"x": 1})) == {
        "graph": None,
        "update": {"x": 1},
        "resume": None,
        "goto": "a",
    }
    assert out(Overwrite([1]))["value"] == [1]


def test_an_exception_is_its_class_and_text() -> None:
    assert out(KeyError("k")) == {"type": "KeyError", "message": "'k'"}


def test_arrays_and_their_scalars_are_lists_and_numbers() -> None:
    class Array:
        """Looks like NumPy's."""

        dtype = "float64"

        def __init__(self, content: object) -> None:
            self.content = content

        def tolist(self) -> object:
            return self.content

    assert out([Array([[1.5], [math.nan]]), Array(2)]) == [[[1.5], ["NaN"]], 2]


# Keys.


def test_a_key_that_is_no_string_is_its_json_text() -> None:
    keys = {7: 0, None: 1, True: 2, 1.5: 3, (1, "x"): 4, frozenset([2]): 5}
    assert out(keys) == {"7": 0, "null": 1, "true": 2, "1.5": 3, '[1,"x"]': 4, "[2]": 5}


def test_a_key_whose_json_text_is_a_string_is_that_string() -> None:
    assert out({date(2026, 1, 2): 0, b"x": 1, uuid.UUID(int=0): 2}) == {
        "2026-01-02": 0,
        "eA==": 1,
        "00000000-0000-0000-0000-000000000000": 2,
    }


def test_keys_that_would_be_the_same_are_numbered_and_strings_keep_theirs() -> None:
    assert out({1: "a", "1": "b", "1 (2)": "c"}) == {"1 (3)": "a", "1": "b", "1 (2)": "c"}
    broken = dict(zip(["\ud800", "\ud801", "\ufffd"], [1, 2, 3], strict=True))
    assert out(broken) == {"\ufffd (2)": 1, "\ufffd (3)": 2, "\ufffd": 3}


def test_many_keys_that_would_be_the_same_do_not_take_quadratic_time() -> None:
    keys = {chr(0xD800 + i) + chr(0xD800 + j): 0 for i in range(200) for j in range(200)}
    assert len(out(keys)) == 40_000


def test_an_object_as_a_key_is_the_text_of_its_object() -> None:
    @dataclasses.dataclass(frozen=True)
    class Key:
        n: int

    assert out({Key(1): 2}) == {'{"n":1}': 2}


# Anything else.


class Opaque:
    def __repr__(self) -> str:
        return "<opaque>"


class Failing:
    """All of whose own code raises."""

    def __repr__(self) -> str:
        raise RuntimeError("no")

    def model_dump(self, **_: object) -> object:
        raise RuntimeError("no")


def test_anything_else_says_what_it_was() -> None:
    assert out({"a": [Opaque()]}) == {"a": [marker_of(Opaque, "<opaque>")]}
    assert out(complex(1, 2)) == unserializable("builtins.complex", "(1+2j)")
    assert out(Opaque)["__unserializable__"] == "builtins.type"
    assert (
        out(Order)["__unserializable__"] == "pydantic._internal._model_construction.ModelMetaclass"
    )
    assert out(len)["repr"] == "<built-in function len>"


def test_a_long_repr_is_cut_at_1000_characters() -> None:
    class Long:
        def __repr__(self) -> str:
            return "x" * 5000

    assert out(Long())["repr"] == "x" * 999 + "…"


def test_a_repr_with_a_lone_surrogate_is_valid_text() -> None:
    class Broken:
        def __repr__(self) -> str:
            return "\ud800"

    assert out(Broken())["repr"] == "\ufffd"


def test_an_object_whose_own_code_fails_is_marked() -> None:
    assert out([Failing()]) == [marker_of(Failing, "<repr() raised RuntimeError>")]


def test_a_class_that_hides_its_name_is_marked() -> None:
    class Meta(type):
        def __getattribute__(cls, name: str) -> Any:
            raise RuntimeError(name)

    class Nameless(metaclass=Meta):
        def __repr__(self) -> str:
            return "R"

    assert out([Nameless()]) == [unserializable("an unnamed class", "R")]


@pytest.mark.parametrize("base", [Mapping, Sequence, Exception, pydantic.BaseModel])
def test_an_object_that_fails_while_it_is_read_is_marked(base: Any) -> None:
    def fail(*_: object, **__: object) -> Any:
        raise RuntimeError("no")

    names = ["__getitem__", "__iter__", "__len__", "__str__", "model_dump"]
    namespace = {**dict.fromkeys(names, fail), "__repr__": lambda _: "R"}
    kind = types.new_class("Bad", (base,), exec_body=lambda ns: ns.update(namespace))
    assert out([kind()]) == [unserializable(f"{kind.__module__}.Bad", "R")]


def test_a_model_dump_that_knows_no_options_is_used() -> None:
    class Dumping:
        def model_dump(self) -> object:
            return {"a": (1,)}

    assert out(Dumping()) == {"a": [1]}


def test_a_mock_is_marked_and_does_not_pass_for_what_it_mocks() -> None:
    assert out(MagicMock(spec=dict))["__unserializable__"] == "unittest.mock.MagicMock"


# Cycles and depth.


def circular(cls: type) -> dict[str, str]:
    return marker_of(cls, "<circular reference>")


def test_a_circular_reference_is_marked_where_it_closes() -> None:
    items: list[object] = [1]
    items.append({"back": items})
    assert out(items) == [1, {"back": circular(list)}]

    members: dict[object, object] = {}
    members["self"] = members
    assert out(members) == {"self": circular(dict)}

    @dataclasses.dataclass
    class Node:
        next: object = None

    node = Node()
    node.next = (node,)
    assert out(node) == {"next": [circular(Node)]}

    model = Order()
    model.item = [model]
    assert out(model)["item"][0] == "seen"


def test_the_same_object_in_two_places_is_written_twice() -> None:
    shared, day = [1, 2**70], date(2026, 1, 2)
    assert out([shared, {"a": shared}]) == [[1, str(2**70)], {"a": [1, str(2**70)]}]
    assert out([day, {"a": (day, 2**70)}]) == ["2026-01-02", {"a": ["2026-01-02", str(2**70)]}]


def test_a_circular_reference_by_way_of_a_key_ends() -> None:
    @dataclasses.dataclass(eq=False)
    class Node:
        inner: object = None

    node = Node()
    node.inner = {node: 1}
    text = jsontext.dumps(node)
    assert orjson.loads(text)
    assert len(text) < 2000


@pytest.mark.parametrize("depth", [254, 255, 1000, 100_000])
def test_no_depth_is_too_deep(depth: int) -> None:
    lists: object = math.nan
    for _ in range(depth):
        lists = [lists]
    assert jsontext.dumps(lists) == "[" * depth + '"NaN"' + "]" * depth


def test_a_long_chain_of_dataclasses_is_written() -> None:
    @dataclasses.dataclass
    class Link:
        next: object

    chain: object = None
    for _ in range(900):
        chain = Link(chain)
    assert jsontext.dumps(chain) == '{"next":' * 900 + "null" + "}" * 900


def test_an_object_without_end_is_cut_off_and_marked() -> None:
    class Endless(Sequence[Any]):
        def __getitem__(self, index: Any) -> Any:
            raise NotImplementedError

        def __iter__(self) -> Iterator[Any]:
            return iter([Endless()])

        def __len__(self) -> int:
            return 1

    marker = json.dumps(marker_of(Endless, "<nested too deep>"), separators=(",", ":"))
    assert jsontext.dumps(Endless()) == "[" * 1000 + marker + "]" * 1000


def test_a_fragment_goes_in_as_it_is_on_either_path() -> None:
    fragment = orjson.Fragment('{"a": 1}')
    assert jsontext.dumps([fragment]) == '[{"a": 1}]'
    assert jsontext.dumps([fragment, math.nan, None]) == '[{"a": 1},"NaN",null]'


def test_the_recursion_limit_is_left_alone() -> None:
    before = sys.getrecursionlimit()
    self_containing: list[object] = []
    self_containing.append(self_containing)
    jsontext.dumps(self_containing)
    assert sys.getrecursionlimit() == before
