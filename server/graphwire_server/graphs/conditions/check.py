"""Checks an expression before anything is evaluated: names, functions, types."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import assert_never

from graphwire_server.graphs.conditions import patterns, times
from graphwire_server.graphs.conditions.errors import Failure, Refusal
from graphwire_server.graphs.conditions.functions import FUNCTIONS, TYPES, Overload
from graphwire_server.graphs.conditions.syntax import (
    LOOPS,
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
from graphwire_server.graphs.conditions.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DYN,
    INT,
    NULL,
    NUMBER,
    NUMERIC,
    STRING,
    TYPE,
    UINT,
    Type,
    comparable,
    fits,
    joined,
    list_of,
    map_of,
)
from graphwire_server.graphs.conditions.values import TYPE_NAMES, an

#: The variables of a condition. `task` is no value, only its fields are.
VARIABLES: Mapping[str, Type] = {
    "state": map_of(STRING, DYN),
    "node": STRING,
    "step": INT,
    "metadata": map_of(STRING, DYN),
    "task": Type("task"),
}
TASK_FIELDS: Mapping[str, Type] = {"id": STRING, "input": DYN}

_LITERALS: Mapping[str, Type] = {
    kind.name: kind for kind in (NULL, BOOL, INT, UINT, DOUBLE, STRING, BYTES)
}
_KEYS = (BOOL, INT, UINT, STRING, NUMBER)
#: Numbers that JSON has as text: those that it has no number for, and those too large for CEL.
_NUMBER_TEXT = re.compile(r"NaN|-?Infinity|-?\d+")
#: How many names a message lists.
_LISTED = 20


class Checker:
    """Checks one expression.

    Attributes:
        reads: The keys of the state that it reads; None if it reads the state as a whole.
        names: The variables that it names, those of its comprehensions left out.
    """

    def __init__(self, state_keys: Mapping[str, Type] | None) -> None:
        """Takes the keys that the state may have, with their types, if they are known."""
        self._state_keys = state_keys
        self._scope: dict[str, list[Type]] = {}
        self.reads: set[str] | None = set()
        self.names: set[str] = set()

    def condition(self, node: Node, start: int) -> None:
        """Checks a whole condition, whose first character is at `start`.

        Raises:
            Refusal: It has an error, or can't be true or false.
        """
        kind = self._type(node)
        if not fits(kind, BOOL):
            raise Refusal(f"a condition is true or false, and this is {an(str(kind))}", start)

    def _type(self, node: Node) -> Type:
        match node:
            case Constant():
                return _LITERALS[TYPE_NAMES[type(node.value)]]
            case Name():
                return self._name(node)
            case Select():
                return self._select(node)
            case Index():
                return self._index(node)
            case Call():
                return self._call(node)
            case Junction():
                for operand in node.operands:
                    self._bool(operand, f"{node.operator} takes bools")
                return BOOL
            case Conditional():
                self._bool(node.test, "what stands before ? is a bool")
                return joined([self._type(node.then), self._type(node.other)])
            case ListOf():
                return list_of(joined([self._type(item) for item in node.items]))
            case MapOf():
                return self._map(node)
            case Comprehension():
                return self._comprehension(node)
        assert_never(node)

    def _bool(self, node: Node, rule: str) -> None:
        kind = self._type(node)
        if not fits(kind, BOOL):
            raise Refusal(f"{rule}, and this is {an(str(kind))}", node.at)

    # Names and members.

    def _name(self, node: Name) -> Type:
        if kinds := self._scope.get(node.name):
            return kinds[-1]
        if node.name in TYPES:
            return TYPE
        if node.name not in VARIABLES:
            known = [*VARIABLES, *self._scope]
            raise Refusal(
                f"there is no variable {node.name!r}"
                + _instead(node.name, known, f"there are: {', '.join(known)}"),
                node.at,
            )
        if node.name == "task":
            raise Refusal("'task' is no value by itself: use task.input or task.id", node.at)
        self.names.add(node.name)
        if node.name == "state":
            self.reads = None
            # Of a state whose keys are not known it is not known either that it is an object.
            return VARIABLES["state"] if self._state_keys is not None else DYN
        return VARIABLES[node.name]

    def _is(self, node: Node, variable: str) -> bool:
        return isinstance(node, Name) and node.name == variable and not self._scope.get(variable)

    def _reads(self, key: str, at: int) -> Type:
        """Notes that a key of the state is read."""
        if self._state_keys is not None and key not in self._state_keys:
            raise Refusal(
                f"the state has no {key!r}"
                + _instead(key, self._state_keys, f"it has: {_list(sorted(self._state_keys))}"),
                at,
            )
        self.names.add("state")
        if self.reads is not None:
            self.reads.add(key)
        return DYN if self._state_keys is None else self._state_keys[key]

    def _select(self, node: Select) -> Type:
        if self._is(node.operand, "task"):
            if node.field not in TASK_FIELDS:
                raise Refusal(
                    f"task has no {node.field!r}; it has: {', '.join(TASK_FIELDS)}", node.at
                )
            self.names.add("task")
            kind = TASK_FIELDS[node.field]
        elif self._is(node.operand, "state"):
            kind = self._reads(node.field, node.at)
        else:
            operand = self._type(node.operand)
            if operand != DYN and operand.name != "map":
                raise Refusal(f"{an(str(operand))} has no field {node.field!r}", node.at)
            kind = operand.of[-1] if operand.of else DYN
        return BOOL if node.test else kind

    def _index(self, node: Index) -> Type:
        key = _text(node.index)
        if key is not None and self._is(node.operand, "state"):
            return self._reads(key, node.index.at)
        operand, index = self._type(node.operand), self._type(node.index)
        if operand == DYN:
            return DYN
        if operand.name not in ("list", "map"):
            raise Refusal(f"{an(str(operand))} has no members", node.at)
        wanted = INT if operand.name == "list" else operand.of[0]
        if not comparable(index, wanted):
            what = "a list's index" if operand.name == "list" else "this map's key"
            raise Refusal(f"{what} is {an(str(wanted))}, and this is {an(str(index))}", node.at)
        return operand.of[-1]

    def _map(self, node: MapOf) -> Type:
        keys = []
        for key, _ in node.entries:
            kind = self._type(key)
            if kind != DYN and kind not in _KEYS:
                raise Refusal(
                    f"a map's key is a string, a number or a bool; this is {an(str(kind))}", key.at
                )
            keys.append(kind)
        return map_of(joined(keys), joined([self._type(value) for _, value in node.entries]))

    # Functions and operators.

    def _call(self, node: Call) -> Type:
        if node.function == "in":
            return self._in(node)
        if node.function in ("==", "!="):
            left, right = map(self._type, node.args)
            if not comparable(left, right) and not _may_be_text(node.args, (left, right)):
                raise Refusal(f"{an(str(left))} is never equal to {an(str(right))}", node.at)
            return BOOL
        function = FUNCTIONS.get(node.function)
        if function is None:
            raise Refusal(_unknown_function(node), node.at)
        args = node.args if node.receiver is None else (node.receiver, *node.args)
        types = [self._type(arg) for arg in args]
        method = node.receiver is not None
        fitting = [
            overload
            for overload in function.overloads
            if overload.method is method
            and len(overload.parameters) == len(types)
            and all(map(fits, types, overload.parameters))
        ]
        if not fitting:
            raise Refusal(_no_overload(node, function.overloads, types), node.at)
        _check_constants(node, args)
        results = {overload.result for overload in fitting}
        return results.pop() if len(results) == 1 else DYN

    def _in(self, node: Call) -> Type:
        item, place = node.args
        key = _text(item)
        if key is not None and self._is(place, "state"):
            self._reads(key, item.at)
            return BOOL
        kind, container = self._type(item), self._type(place)
        if container != DYN:
            if container.name not in ("list", "map"):
                raise Refusal(
                    f"'in' looks into a list or a map, and this is {an(str(container))}", place.at
                )
            if not comparable(kind, container.of[0]):
                raise Refusal(f"{an(str(kind))} is never in {an(str(container))}", node.at)
        return BOOL

    def _comprehension(self, node: Comprehension) -> Type:
        over = self._type(node.over)
        if over != DYN and over.name not in ("list", "map"):
            raise Refusal(
                f"{node.loop}() goes through a list or a map, and this is {an(str(over))}", node.at
            )
        item = over.of[0] if over.of else DYN
        self._scope.setdefault(node.variable, []).append(item)
        try:
            if node.where is not None:
                self._bool(node.where, "map() with three arguments takes a bool second")
            if node.loop == "map":
                return list_of(self._type(node.body))
            self._bool(node.body, f"{node.loop}() takes a bool")
        finally:
            self._scope[node.variable].pop()
            if not self._scope[node.variable]:
                del self._scope[node.variable]
        return list_of(item) if node.loop == "filter" else BOOL


def _may_be_text(nodes: Sequence[Node], types: Sequence[Type]) -> bool:
    """Says whether a declared number is compared with what may be its text."""
    if {kind.name for kind in types} != {NUMBER.name, STRING.name}:
        return False
    text = _text(nodes[types.index(STRING)])
    return text is None or _NUMBER_TEXT.fullmatch(text) is not None


def _text(node: Node) -> str | None:
    """Returns a string that is written out; None for anything else."""
    return node.value if isinstance(node, Constant) and isinstance(node.value, str) else None


def _check_constants(node: Call, args: Iterable[Node]) -> None:
    """Refuses what is written out and can't be read."""
    readers: dict[str, Callable[[str], object]] = {
        "matches": patterns.compiled,
        "timestamp": times.parse_timestamp,
        "duration": times.parse_duration,
    }
    *_, last = args
    text = _text(last)
    if node.function in readers and text is not None:
        try:
            readers[node.function](text)
        except Failure as failure:
            raise Refusal(failure.message, last.at) from None


def _unknown_function(node: Call) -> str:
    name = node.function
    if name in LOOPS:
        return f"{name}() goes through a list, as in state.messages.{name}(x, …)"
    known = [known for known in (*FUNCTIONS, *LOOPS, "has") if known.isalpha() or "_o" in known]
    return f"there is no function {name}(){_hint(name, known)}"


def _no_overload(node: Call, overloads: list[Overload], types: list[Type]) -> str:
    name = node.function
    if not name[0].isalpha():
        if len(types) == 1:
            return f"there is no {name[0]} for {an(str(types[0]))}"
        left, right = types
        hint = ""
        if left in NUMERIC and right in NUMERIC:
            hint = "; convert one side, as in double(…)"
        elif STRING in types and name == "+":
            hint = "; convert the other side, as in string(…)"
        return f"there is no {left} {name} {right}{hint}"
    method = node.receiver is not None
    forms = [overload for overload in overloads if overload.method is method]
    if not forms:
        return f"{name}() is written {f'{name}(x)' if method else f'x.{name}(…)'}"
    shown = [
        f"{overload.parameters[0]}.{name}({', '.join(map(str, overload.parameters[1:]))})"
        if method
        else f"{name}({', '.join(map(str, overload.parameters))})"
        for overload in forms
    ]
    given = ", ".join(map(str, types[method:]))
    call = f"{types[0]}.{name}({given})" if method else f"{name}({given})"
    return f"there is no {call}; there is: {', '.join(shown)}"


def _hint(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _instead(name: str, known: Iterable[str], there_is: str) -> str:
    """Continues what says that there is no such name."""
    hint = _hint(name, known)
    return f"{hint} {there_is[0].upper()}{there_is[1:]}" if hint else f"; {there_is}"


def _list(names: list[str]) -> str:
    shown = ", ".join(names[:_LISTED])
    return f"{shown}, …" if len(names) > _LISTED else shown or "nothing"
