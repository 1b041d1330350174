"""Turns a checked expression into Python functions that evaluate it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, assert_never

from graphwire_server.graphs.conditions import patterns
from graphwire_server.graphs.conditions.errors import ExhaustedError, Failure
from graphwire_server.graphs.conditions.frame import Frame
from graphwire_server.graphs.conditions.functions import FUNCTIONS, NAMES, TYPES
from graphwire_server.graphs.conditions.syntax import (
    Call,
    Comprehension,
    Conditional,
    Constant,
    Index,
    Junction,
    ListOf,
    MapOf,
    Name,
    Node,
    Select,
)
from graphwire_server.graphs.conditions.values import (
    LISTS,
    MAPS,
    MISSING,
    Entries,
    Items,
    UInt,
    an,
    key_of,
)

#: Returns the value of an expression. Raises Failure, with the place, if it has none.
Code: TypeAlias = Callable[[Frame], Any]

#: What a failure costs that is absorbed, in steps.
_FAILURE = 10


class Builder:
    """Builds one expression.

    What stands outside comprehensions is bounded by the length of the text and costs nothing.
    A turn of a comprehension costs what stands in its body, whether all of it is evaluated or
    not: so the budget is looked at once a turn, not at each operation.

    Attributes:
        slots: How many variables its comprehensions have.
    """

    def __init__(self) -> None:
        """Starts with nothing."""
        self.slots = 0
        self._scope: dict[str, list[int]] = {}
        self._weight = 0

    def build(self, node: Node) -> Code:
        """Returns what evaluates an expression that has been checked."""
        self._weight += 1
        match node:
            case Constant():
                return _constant(node.value)
            case Name():
                return self._name(node)
            case Select():
                return self._select(node)
            case Index():
                return _index(self.build(node.operand), self.build(node.index), node.at)
            case Call():
                return self._call(node)
            case Junction():
                operands = [(self.build(operand), operand.at) for operand in node.operands]
                return _junction(operands, node.operator)
            case Conditional():
                return _conditional(
                    self.build(node.test),
                    self.build(node.then),
                    self.build(node.other),
                    node.test.at,
                )
            case ListOf():
                return _list([self.build(item) for item in node.items])
            case MapOf():
                entries = [
                    (self.build(key), self.build(value), key.at) for key, value in node.entries
                ]
                return _map(entries)
            case Comprehension():
                return self._comprehension(node)
        assert_never(node)

    def _name(self, node: Name) -> Code:
        name = node.name
        if slots := self._scope.get(name):
            slot = slots[-1]
            return lambda frame: frame.slots[slot]
        if name in TYPES:
            return _constant(TYPES[name])
        if name == "node":
            return lambda frame: frame.variables.node
        if name == "step":
            return lambda frame: frame.variables.step
        return _root(name, node.at)

    def _select(self, node: Select) -> Code:
        operand = node.operand
        if isinstance(operand, Name) and operand.name == "task" and not self._scope.get("task"):
            if node.test:
                return _constant(True)
            if node.field == "id":
                return lambda frame: frame.variables.task_id
            return _root("task_input", node.at)
        return _select(self.build(operand), node.field, node.at, test=node.test)

    def _call(self, node: Call) -> Code:
        parts = node.args if node.receiver is None else (node.receiver, *node.args)
        args = [self.build(part) for part in parts]
        match node.function:
            case "==":
                return _equality(*args, at=node.at)
            case "!=":
                equal = _equality(*args, at=node.at)
                return lambda frame: not equal(frame)
            case "in":
                return _in(*args, at=node.at)
        last = parts[-1]
        if node.function == "matches" and isinstance(last, Constant):
            return _matches(args[0], patterns.compiled(str(last.value)), node.at)
        method = node.receiver is not None
        if len(args) == 2:
            return _binary(node.function, method, *args, at=node.at)
        return _function(node.function, method, args, node.at)

    def _comprehension(self, node: Comprehension) -> Code:
        over = self.build(node.over)
        slot = self.slots
        self.slots += 1
        outside, self._weight = self._weight, 1
        self._scope.setdefault(node.variable, []).append(slot)
        where = self.build(node.where) if node.where is not None else None
        body = self.build(node.body)
        self._scope[node.variable].pop()
        weight, self._weight = self._weight, outside
        match node.loop:
            case "all" | "exists":
                return _quantifier(
                    over, slot, body, weight, (node.at, node.body.at), wanted=node.loop == "exists"
                )
            case "exists_one":
                chosen = _filter(over, slot, body, weight, (node.at, node.body.at))
                return lambda frame: len(chosen(frame)) == 1
            case "filter":
                return _filter(over, slot, body, weight, (node.at, node.body.at))
            case "map":
                at = (node.at, node.where.at if node.where is not None else node.at)
                return _mapping(over, slot, where, body, weight, at)
        assert_never(node.loop)


# Each of these returns a function; the values that it needs are bound here, once.


def _constant(value: object) -> Code:
    return lambda frame: value


def _root(name: str, at: int) -> Code:
    def root(frame: Frame) -> Any:
        try:
            return frame.root(name)
        except Failure as failure:
            raise _placed(failure, at) from None

    return root


def _placed(failure: Failure, at: int) -> Failure:
    """Returns a failure with the place where it came to be."""
    if failure.at is None:
        failure.at = at
    return failure


def _kept(failure: Failure) -> Failure:
    """Returns a failure to be kept in a local variable: its traceback would hold the state."""
    return failure.with_traceback(None)


def _kind(value: object) -> str:
    return an(NAMES[type(value)])


def _select(operand: Code, field: str, at: int, *, test: bool) -> Code:
    def get(frame: Frame) -> Any:
        value = operand(frame)
        if type(value) not in MAPS:
            raise Failure(f"{_kind(value)} has no field {field!r}", at)
        try:
            found = frame.get(value, field)
        except Failure as failure:
            raise _placed(failure, at) from None
        if found is MISSING:
            raise Failure(f"there is no {field!r} here", at)
        return found

    def has(frame: Frame) -> bool:
        value = operand(frame)
        if type(value) not in MAPS:
            raise Failure(f"{_kind(value)} has no fields", at)
        return frame.has(value, field)

    return has if test else get


def _index(operand: Code, index: Code, at: int) -> Code:
    def get(frame: Frame) -> Any:
        value, key = operand(frame), index(frame)
        kind = type(value)
        try:
            if kind in LISTS:
                place = _place(value, key)
                return value[place] if kind is Items else frame.plain(value[place])
            if kind not in MAPS:
                raise Failure(f"{_kind(value)} has no members")
            found = frame.get(value, key)
            if found is MISSING:
                raise Failure(f"there is no {_shown(key)} here")
            return found
        except Failure as failure:
            raise _placed(failure, at) from None

    return get


def _place(value: Any, key: Any) -> int:
    """Returns where an index leads in a list: -1 is the last, as an extension of CEL."""
    kind = type(key)
    if kind is not int and kind is not UInt and not (kind is float and key.is_integer()):
        raise Failure(f"a list's index is an int, and this is {_kind(key)}")
    size = len(value)
    if not -size <= key < size:
        raise Failure(f"there is no [{int(key)}] in a list of {size}")
    return int(key)


def _shown(key: Any) -> str:
    text = repr(key) if type(key) in (str, int, UInt, float) else _kind(key)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _equality(left: Code, right: Code, *, at: int) -> Code:
    def equal(frame: Frame) -> bool:
        try:
            return frame.equal(left(frame), right(frame))
        except Failure as failure:
            raise _placed(failure, at) from None

    return equal


def _in(item: Code, place: Code, *, at: int) -> Code:
    def contains(frame: Frame) -> bool:
        wanted, value = item(frame), place(frame)
        kind = type(value)
        try:
            if kind in MAPS:
                return frame.has(value, wanted)
            if kind not in LISTS:
                raise Failure(f"'in' looks into a list or a map, and this is {_kind(value)}")
            for member in frame.items(value):
                frame.charge(2)
                if frame.equal(member, wanted):
                    return True
        except Failure as failure:
            raise _placed(failure, at) from None
        return False

    return contains


def _matches(text: Code, pattern: Any, at: int) -> Code:
    def match(frame: Frame) -> bool:
        value = text(frame)
        if type(value) is not str:
            raise Failure(f"matches() takes a string, and this is {_kind(value)}", at)
        return patterns.found(frame, pattern, value)

    return match


def _binary(name: str, method: bool, left: Code, right: Code, *, at: int) -> Code:
    """The same as `_function`, for two arguments, which most have."""
    table = {
        kinds: work
        for (is_method, kinds), work in FUNCTIONS[name].implementations.items()
        if is_method is method and len(kinds) == 2
    }

    def call(frame: Frame) -> Any:
        a, b = left(frame), right(frame)
        work = table.get((type(a), type(b)))
        if work is None:
            raise Failure(_no_overload(name, method, [a, b]), at)
        try:
            return work(frame, a, b)
        except Failure as failure:
            raise _placed(failure, at) from None

    return call


def _function(name: str, method: bool, args: list[Code], at: int) -> Code:
    function = FUNCTIONS[name]
    general = function.general.get((method, len(args)))
    table = {
        kinds: work
        for (is_method, kinds), work in function.implementations.items()
        if is_method is method and len(kinds) == len(args)
    }

    def call(frame: Frame) -> Any:
        values = [arg(frame) for arg in args]
        work = general or table.get(tuple(map(type, values)))
        if work is None:
            raise Failure(_no_overload(name, method, values), at)
        try:
            return work(frame, *values)
        except Failure as failure:
            raise _placed(failure, at) from None

    return call


def _no_overload(name: str, method: bool, values: list[Any]) -> str:
    kinds = [NAMES[type(value)] for value in values]
    if name[0].isalpha():
        if method:
            return f"there is no {kinds[0]}.{name}({', '.join(kinds[1:])})"
        return f"there is no {name}({', '.join(kinds)})"
    if len(kinds) == 1:
        return f"there is no {name[0]} for {an(kinds[0])}"
    hint = ""
    if set(kinds) <= {"int", "uint", "double"}:
        hint = "; convert one side, as in double(…)"
    return f"there is no {kinds[0]} {name} {kinds[1]}{hint}"


def _junction(operands: list[tuple[Code, int]], operator: str) -> Code:
    """`&&` is false if any operand is, and `||` true, whatever the others are or raise."""
    decisive = operator == "||"

    def junction(frame: Frame) -> bool:
        failed: Failure | None = None
        for operand, at in operands:
            try:
                value = operand(frame)
            except Failure as failure:
                frame.charge(_FAILURE)
                failed = failed or _kept(failure)
                continue
            if value is decisive:
                return value is True
            if type(value) is not bool:
                text = f"{operator} takes bools, and this is {_kind(value)}"
                failed = failed or Failure(text, at)
        if failed:
            raise Failure(failed.message, failed.at)
        return not decisive

    return junction


def _conditional(test: Code, then: Code, other: Code, at: int) -> Code:
    def conditional(frame: Frame) -> Any:
        value = test(frame)
        if value is True:
            return then(frame)
        if value is False:
            return other(frame)
        raise Failure(f"what stands before ? is a bool, and this is {_kind(value)}", at)

    return conditional


def _list(items: list[Code]) -> Code:
    return lambda frame: Items([item(frame) for item in items])


def _map(entries: list[tuple[Code, Code, int]]) -> Code:
    def make(frame: Frame) -> Entries:
        made = Entries()
        for key_code, value_code, at in entries:
            key = key_code(frame)
            if type(key) not in (str, int, UInt, bool):
                raise Failure(
                    f"a map's key is a string, an int, a uint or a bool; this is {_kind(key)}", at
                )
            if key_of(key) in made:
                raise Failure(f"the key {_shown(key)} occurs twice", at)
            made[key_of(key)] = value_code(frame)
        return made

    return make


def _items(frame: Frame, over: Code, slot: int, weight: int, at: int) -> Any:
    """Goes through what a comprehension is over, and has its variable be each in turn."""
    value = over(frame)
    slots = frame.slots
    try:
        for item in frame.items(value):
            slots[slot] = item
            frame.steps -= weight
            if frame.steps < 0:
                raise ExhaustedError
            yield item
    except Failure as failure:
        raise _placed(failure, at) from None


def _quantifier(
    over: Code, slot: int, body: Code, weight: int, at: tuple[int, int], *, wanted: bool
) -> Code:
    """`exists` looks for a true, `all` for a false; what fails counts only if there is none."""

    def quantifier(frame: Frame) -> bool:
        failed: Failure | None = None
        for _ in _items(frame, over, slot, weight, at[0]):
            try:
                value = body(frame)
            except Failure as failure:
                frame.charge(_FAILURE)
                failed = failed or _kept(failure)
                continue
            if value is wanted:
                return value is True
            if type(value) is not bool and failed is None:
                failed = Failure(f"a bool should be here, and this is {_kind(value)}", at[1])
        if failed:
            raise Failure(failed.message, failed.at)
        return not wanted

    return quantifier


def _filter(over: Code, slot: int, body: Code, weight: int, at: tuple[int, int]) -> Code:
    def keep(frame: Frame) -> Items:
        kept = Items()
        for item in _items(frame, over, slot, weight, at[0]):
            if _true(body(frame), at[1]):
                kept.append(item)
        return kept

    return keep


def _mapping(
    over: Code, slot: int, where: Code | None, body: Code, weight: int, at: tuple[int, int]
) -> Code:
    def transform(frame: Frame) -> Items:
        made = Items()
        for _ in _items(frame, over, slot, weight, at[0]):
            if where is None or _true(where(frame), at[1]):
                made.append(body(frame))
        return made

    return transform


def _true(value: object, at: int) -> bool:
    if type(value) is not bool:
        raise Failure(f"a bool should be here, and this is {_kind(value)}", at)
    return value
