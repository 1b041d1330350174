"""The functions and operators of CEL's standard library: their types, and what they do.

`==`, `!=`, `in`, `[]`, `&&`, `||` and `?:` are not here: they take values of any types.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import inf, isfinite, nan, trunc
from typing import Any, TypeAlias

from graphwire_server.graphs.conditions import patterns, times
from graphwire_server.graphs.conditions.errors import Failure
from graphwire_server.graphs.conditions.frame import Frame
from graphwire_server.graphs.conditions.times import Duration, Timestamp
from graphwire_server.graphs.conditions.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    LIST,
    MAP,
    NUMERIC,
    STRING,
    TIMESTAMP,
    TYPE,
    UINT,
    Type,
)
from graphwire_server.graphs.conditions.values import (
    INT_MAX,
    INT_MIN,
    TYPE_NAMES,
    UINT_MAX,
    Entries,
    Items,
    Lazy,
    TypeName,
    UInt,
)

#: Takes the evaluation and the arguments; raises Failure, without a place.
Implementation: TypeAlias = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Overload:
    """One form of a function.

    Attributes:
        parameters: The types that it takes, the receiver's first.
        result: The type of what it returns.
        method: Whether it is written as `receiver.function(…)`.
    """

    parameters: tuple[Type, ...]
    result: Type
    method: bool


@dataclass(frozen=True, slots=True)
class Function:
    """A function or an operator with all its forms.

    Attributes:
        name: As it is written; unary operators end with `_`.
        overloads: Its forms.
        implementations: By whether it is a method and the Python types of the arguments.
        general: By whether it is a method and the number of arguments: for any types.
    """

    name: str
    overloads: list[Overload] = field(default_factory=list)
    implementations: dict[tuple[bool, tuple[type, ...]], Implementation] = field(
        default_factory=dict
    )
    general: dict[tuple[bool, int], Implementation] = field(default_factory=dict)


#: The names of the types of values, as the expression and the messages have them.
NAMES: Mapping[type, str] = {**TYPE_NAMES, Timestamp: "timestamp", Duration: "duration"}

#: The types that an expression may name, as `type(x)` gives them.
TYPES = {name: TypeName(name) for name in TYPE_NAMES.values()}

_PYTHON: dict[Type, tuple[type, ...]] = {
    Type(name): tuple(kind for kind, other in NAMES.items() if other == name)
    for name in set(NAMES.values())
}
_PYTHON |= {LIST: (list, tuple, Items), MAP: (dict, Entries, Lazy)}

FUNCTIONS: dict[str, Function] = {}


def _define(
    name: str,
    parameters: tuple[Type, ...],
    result: Type,
    implementation: Implementation,
    *,
    method: bool = False,
) -> None:
    function = FUNCTIONS.setdefault(name, Function(name))
    function.overloads.append(Overload(parameters, result, method))
    if DYN in parameters:
        function.general[method, len(parameters)] = implementation
        return
    signatures: list[tuple[type, ...]] = [()]
    for parameter in parameters:
        signatures = [(*so_far, kind) for so_far in signatures for kind in _PYTHON[parameter]]
    for signature in signatures:
        function.implementations[method, signature] = implementation


# Arithmetic. Numbers of different types do not mix: an int is converted in so many words.


def _int(number: int) -> int:
    if not INT_MIN <= number <= INT_MAX:
        raise Failure("an int overflows its 64 bits")
    return number


def _uint(number: int) -> UInt:
    if not 0 <= number <= UINT_MAX:
        raise Failure("a uint overflows: it is from 0 to 2^64-1")
    return UInt(number)


def _quotient(left: int, right: int) -> int:
    """Divides towards zero, as CEL does."""
    if right == 0:
        raise Failure("division by zero")
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _divide(frame: Frame, left: float, right: float) -> float:
    if right:
        return left / right
    if not left or left != left:
        return nan
    return inf if (left > 0) == (str(right)[0] != "-") else -inf


def _concatenate(frame: Frame, left: Any, right: Any) -> Any:
    frame.charge_text(len(left) + len(right))
    return left + right


def _concatenate_lists(frame: Frame, left: Any, right: Any) -> Items:
    frame.charge(10 + len(left) + len(right))
    return Items([*frame.items(left), *frame.items(right)])


def _arithmetic() -> None:
    whole: dict[str, Callable[[int, int], int]] = {
        "+": operator.add,
        "-": operator.sub,
        "*": operator.mul,
        "/": _quotient,
        "%": lambda left, right: left - right * _quotient(left, right),
    }
    for name, work in whole.items():
        _define(name, (INT, INT), INT, lambda _, a, b, work=work: _int(work(int(a), int(b))))
        _define(name, (UINT, UINT), UINT, lambda _, a, b, work=work: _uint(work(int(a), int(b))))
    for name in "+-*":
        work_double: Callable[[float, float], float] = getattr(
            operator, {"+": "add", "-": "sub", "*": "mul"}[name]
        )
        _define(name, (DOUBLE, DOUBLE), DOUBLE, lambda _, a, b, work=work_double: work(a, b))
    _define("/", (DOUBLE, DOUBLE), DOUBLE, _divide)
    _define("-_", (INT,), INT, lambda _, a: _int(-a))
    _define("-_", (DOUBLE,), DOUBLE, lambda _, a: -a)
    _define("!_", (BOOL,), BOOL, lambda _, a: not a)
    for text in (STRING, BYTES):
        _define("+", (text, text), text, _concatenate)
    _define("+", (LIST, LIST), LIST, _concatenate_lists)


def _time_arithmetic() -> None:
    def define(
        name: str, left: Type, right: Type, result: Type, make: Callable[[int], object]
    ) -> None:
        work = operator.add if name == "+" else operator.sub
        _define(
            name,
            (left, right),
            result,
            lambda _, a, b: make(work(a.nanoseconds, b.nanoseconds)),
        )

    define("+", TIMESTAMP, DURATION, TIMESTAMP, times.timestamp)
    define("+", DURATION, TIMESTAMP, TIMESTAMP, times.timestamp)
    define("+", DURATION, DURATION, DURATION, times.duration)
    define("-", TIMESTAMP, DURATION, TIMESTAMP, times.timestamp)
    define("-", TIMESTAMP, TIMESTAMP, DURATION, times.duration)
    define("-", DURATION, DURATION, DURATION, times.duration)


def _order() -> None:
    pairs = [(left, right) for left in NUMERIC for right in NUMERIC]
    pairs += [(kind, kind) for kind in (BOOL, STRING, BYTES, TIMESTAMP, DURATION)]
    for name, work in {
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
    }.items():
        for pair in pairs:
            _define(name, pair, BOOL, lambda frame, a, b, work=work: work(a, b))
        for text in (STRING, BYTES):
            _define(name, (text, text), BOOL, lambda f, a, b, work=work: _ordered(f, work, a, b))


def _ordered(frame: Frame, work: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    frame.charge_text(min(len(left), len(right)))
    return work(left, right)


# Texts.


def _searching(work: Callable[[str, str], bool]) -> Implementation:
    def search(frame: Frame, text: str, part: str) -> bool:
        frame.charge_text(len(text) + len(part))
        return work(text, part)

    return search


def _matches(frame: Frame, text: str, pattern: str) -> bool:
    # It is compiled each time, unless re2 has it yet.
    frame.charge(500 + 10 * len(pattern))
    return patterns.found(frame, patterns.compiled(pattern), text)


def _texts() -> None:
    for kind in (STRING, BYTES, LIST, MAP):
        for method in (False, True):
            _define("size", (kind,), INT, lambda frame, a: frame.size(a), method=method)
    searches: dict[str, Callable[[str, str], bool]] = {
        "contains": operator.contains,
        "startsWith": str.startswith,
        "endsWith": str.endswith,
    }
    for name, work in searches.items():
        _define(name, (STRING, STRING), BOOL, _searching(work), method=True)
    for method in (False, True):
        _define("matches", (STRING, STRING), BOOL, _matches, method=method)


# Conversions.

_DIGITS = re.compile(r"[+-]?[0-9]{1,40}")
_DOUBLE = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?:NaN|Infinity)")
_BOOLS = dict.fromkeys(("1", "t", "true", "TRUE", "True"), True) | dict.fromkeys(
    ("0", "f", "false", "FALSE", "False"), False
)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:39]}…")


def _whole(number: float) -> int:
    if not isfinite(number):
        raise Failure(f"{number} is no whole number")
    return trunc(number)


def _digits(text: str, kind: str) -> int:
    if not _DIGITS.fullmatch(text):
        raise Failure(f"{_shown(text)} is no {kind}")
    return int(text)


def _double_of(frame: Frame, text: str) -> float:
    if len(text) > 400 or not _DOUBLE.fullmatch(text):
        raise Failure(f"{_shown(text)} is no double")
    return float(text)


def _bool_of(frame: Frame, text: str) -> bool:
    if text not in _BOOLS:
        raise Failure(f"{_shown(text)} is no bool")
    return _BOOLS[text]


def _timestamp_of(frame: Frame, text: str) -> Timestamp:
    frame.charge(20)
    return times.parse_timestamp(text)


def _duration_of(frame: Frame, text: str) -> Duration:
    frame.charge(20)
    frame.charge_text(len(text))
    return times.parse_duration(text)


def _double_text(frame: Frame, number: float) -> str:
    return repr(number).removesuffix(".0")


def _bytes_of(frame: Frame, text: str) -> bytes:
    frame.charge_text(len(text))
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Failure("the string has a lone surrogate, which is no character") from None


def _text_of(frame: Frame, data: bytes) -> str:
    frame.charge_text(len(data))
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Failure("these bytes are no string in UTF-8") from None


def _conversions() -> None:
    same: Implementation = lambda _, a: a  # noqa: E731  # one line in the table below
    rows: list[tuple[str, Type, Implementation]] = [
        ("int", INT, same),
        ("int", UINT, lambda _, a: _int(int(a))),
        ("int", DOUBLE, lambda _, a: _int(_whole(a))),
        ("int", STRING, lambda _, a: _int(_digits(a, "int"))),
        ("int", TIMESTAMP, lambda _, a: a.nanoseconds // 10**9),
        ("uint", UINT, same),
        ("uint", INT, lambda _, a: _uint(a)),
        ("uint", DOUBLE, lambda _, a: _uint(_whole(a))),
        ("uint", STRING, lambda _, a: _uint(_digits(a, "uint"))),
        ("double", DOUBLE, same),
        ("double", INT, lambda _, a: float(a)),
        ("double", UINT, lambda _, a: float(a)),
        ("double", STRING, _double_of),
        ("bool", BOOL, same),
        ("bool", STRING, _bool_of),
        ("bytes", BYTES, same),
        ("bytes", STRING, _bytes_of),
        ("string", STRING, same),
        ("string", INT, lambda _, a: str(int(a))),
        ("string", UINT, lambda _, a: str(int(a))),
        ("string", DOUBLE, _double_text),
        ("string", BOOL, lambda _, a: "true" if a else "false"),
        ("string", BYTES, _text_of),
        ("string", TIMESTAMP, lambda _, a: times.timestamp_text(a)),
        ("string", DURATION, lambda _, a: times.duration_text(a)),
        ("timestamp", TIMESTAMP, same),
        ("timestamp", STRING, _timestamp_of),
        ("timestamp", INT, lambda _, a: times.timestamp(a * 10**9)),
        ("duration", DURATION, same),
        ("duration", STRING, _duration_of),
        ("dyn", DYN, same),
        ("type", DYN, lambda _, a: TypeName(NAMES[type(a)])),
    ]
    results = {"timestamp": TIMESTAMP, "duration": DURATION, "dyn": DYN, "type": TYPE}
    for name, parameter, work in rows:
        _define(name, (parameter,), results.get(name) or Type(name), work)


# Parts of times. Those of timestamps take a time zone, and UTC without one.

_PARTS: dict[str, Callable[[datetime], int]] = {
    "getFullYear": lambda t: t.year,
    "getMonth": lambda t: t.month - 1,
    "getDate": lambda t: t.day,
    "getDayOfMonth": lambda t: t.day - 1,
    "getDayOfWeek": lambda t: t.isoweekday() % 7,
    "getDayOfYear": lambda t: t.timetuple().tm_yday - 1,
    "getHours": lambda t: t.hour,
    "getMinutes": lambda t: t.minute,
    "getSeconds": lambda t: t.second,
    "getMilliseconds": lambda t: t.microsecond // 1000,
}
_LENGTHS: dict[str, Callable[[int], int]] = {
    "getHours": lambda n: _quotient(n, 3600 * 10**9),
    "getMinutes": lambda n: _quotient(n, 60 * 10**9),
    "getSeconds": lambda n: _quotient(n, 10**9),
    "getMilliseconds": lambda n: _quotient(n, 10**6) - 1000 * _quotient(n, 10**9),
}


def _part(work: Callable[[datetime], int]) -> Implementation:
    def get(frame: Frame, moment: Timestamp, zone: str = "UTC") -> int:
        frame.charge(10)
        return work(times.local(moment, zone))

    return get


def _time_parts() -> None:
    for name, work in _PARTS.items():
        for parameters in ((TIMESTAMP,), (TIMESTAMP, STRING)):
            _define(name, parameters, INT, _part(work), method=True)
    for name, get in _LENGTHS.items():
        _define(name, (DURATION,), INT, lambda _, a, get=get: get(a.nanoseconds), method=True)


_arithmetic()
_time_arithmetic()
_order()
_texts()
_conversions()
_time_parts()
