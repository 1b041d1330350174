"""One evaluation: what it may read, and what it may cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphwire_server import jsontext
from graphwire_server.graphs.conditions.errors import ExhaustedError, Failure
from graphwire_server.graphs.conditions.values import (
    INT_MAX,
    INT_MIN,
    LISTS,
    MAPS,
    MISSING,
    NUMBERS,
    UINT_MAX,
    Entries,
    Items,
    Lazy,
    UInt,
    key_of,
    keys_of,
)

#: What one evaluation may cost, in steps. A step is an operation of the expression, so some
#: 100 to 200 ns; operations that take longer count for more.
BUDGET = 100_000
#: What the conditions of one step of a run may cost together. The gate decides on all of its
#: tasks before it lets the event loop go: at the limit some 50 to 150 ms.
TOGETHER = 10 * BUDGET
#: How much more they may for each task, so that cheap ones are asked for any number of tasks:
#: some 150 µs, less than what LangGraph itself takes for a task.
FOR_TASK = 1000
#: What it costs to ask, beside what the expression does.
_ASKING = 20

#: What it costs to have an object that is no JSON value made into one, in steps: some
#: microseconds for a message.
_CONVERSION = 40
#: How many characters are compared, copied or searched in a step.
_CHARACTERS = 200
#: How deep values are compared.
_MAX_COMPARED = 100


@dataclass(slots=True)
class Purse:
    """What the conditions of one step of a run may cost yet, in steps."""

    left: int = TOGETHER

    def add_task(self) -> None:
        """Adds what they may cost for another task."""
        self.left = min(TOGETHER, self.left + FOR_TASK)

    def take(self, steps: int) -> None:
        """Takes off what one of them has cost."""
        self.left -= steps + _ASKING


@dataclass(frozen=True, slots=True, kw_only=True)
class Variables:
    """What a condition is asked about.

    The callables are called only if the condition names what they give, and once at the most.
    Of mappings only those keys are read that the condition reads. Values may be any objects: a
    condition sees what `jsontext` makes of them, object by object as it reaches them.

    Attributes:
        node: The name of the node.
        step: The number of the step.
        task_id: The id of the task.
        task_input: Gives what the node gets.
        state: Gives the state, by key.
        metadata: Gives the run's metadata.
    """

    node: str
    step: int
    task_id: str
    task_input: Callable[[], object]
    state: Callable[[], Mapping[str, object]]
    metadata: Callable[[], Mapping[str, object]]


#: What JSON has as it is, whatever the value.
_AS_IT_IS = frozenset({type(None), bool, str, list, tuple, dict})
_KEYS = frozenset({str, bool, *NUMBERS})


class Frame:
    """One evaluation.

    Attributes:
        variables: What it is about.
        steps: How much it may cost yet.
        slots: The variables of comprehensions.
    """

    __slots__ = ("_converted", "_named", "_roots", "slots", "steps", "variables")

    def __init__(self, variables: Variables, slots: int, budget: int = BUDGET) -> None:
        """Starts with all of the budget, and room for so many variables."""
        self.variables = variables
        self.steps = budget
        self.slots: list[Any] = [None] * slots
        # By id; each is kept with the object itself, so that the id stays its own.
        self._converted: dict[int, tuple[object, Any]] = {}
        self._named: dict[int, tuple[object, dict[str, Any]]] = {}
        self._roots: dict[str, Any] = {}

    def charge(self, steps: int) -> None:
        """Takes steps off the budget. Raises ExhaustedError if there are not so many."""
        self.steps -= steps
        if self.steps < 0:
            raise ExhaustedError

    def charge_text(self, length: int) -> None:
        """Takes off what working through so many characters costs."""
        if length > _CHARACTERS:
            self.charge(length // _CHARACTERS)

    def root(self, name: str) -> Any:
        """Returns what `state`, `metadata` or `task_input` of the variables gives."""
        value = self._roots.get(name, MISSING)
        if value is MISSING:
            given: object = getattr(self.variables, name)()
            if name != "task_input" and isinstance(given, Mapping) and type(given) is not dict:
                value = Lazy(given)
            else:
                value = self.plain(given)
            self._roots[name] = value
        return value

    # Values.

    def plain(self, value: object) -> Any:
        """Returns the value that JSON has for an object; its members are left as they are."""
        kind = type(value)
        if kind in _AS_IT_IS:
            return value
        if kind is int or kind is float:
            return _number(value)
        kept = self._converted.get(id(value))
        if kept is None:
            made: object = value
            # An object may become another one that is not plain, but not for ever.
            for _ in range(100):
                self.charge(_CONVERSION)
                made = jsontext.to_plain(made)
                if type(made) in _AS_IT_IS or type(made) in NUMBERS:
                    break
            else:
                raise Failure("an object that never becomes JSON")
            kept = self._converted[id(value)] = (value, self.plain(made))
        return kept[1]

    def items(self, value: Any) -> Iterator[Any]:
        """Yields the members of a list or the keys of a map. Raises Failure for others."""
        kind = type(value)
        if kind is Items:
            yield from value
        elif kind in LISTS:
            plain = self.plain
            for item in value:
                yield item if type(item) is str or type(item) is dict else plain(item)
        elif kind is Entries:
            yield from keys_of(value)
        elif kind is Lazy:
            yield from value.mapping
        elif kind is dict:
            yield from self.named(value)
        else:
            raise Failure("only lists and maps have members")

    def get(self, value: Any, key: Any) -> Any:
        """Returns a member of a map, by its key; MISSING if there is none."""
        kind = type(value)
        if kind is Entries:
            # 1, 1u and 1.0 are one key, as they are one in Python.
            return value.get(key_of(key), MISSING) if type(key) in _KEYS else MISSING
        if type(key) is not str:
            return MISSING
        if kind is Lazy:
            try:
                return self.plain(value.mapping[key])
            except KeyError:
                return MISSING
        found = value.get(key, MISSING)
        if found is MISSING:
            found = self.named(value).get(key, MISSING)
        return found if found is MISSING else self.plain(found)

    def has(self, value: Any, key: Any) -> bool:
        """Says whether a map has a key; nothing is made of the value."""
        if type(value) is Lazy:
            return type(key) is str and key in value.mapping
        if type(value) is Entries:
            return type(key) in _KEYS and key_of(key) in value
        return type(key) is str and (key in value or key in self.named(value))

    def named(self, value: dict[Any, Any]) -> dict[str, Any]:
        """Returns a dict with the names that its keys have in JSON, which are all strings."""
        kept = self._named.get(id(value))
        if kept is None:
            self.charge(len(value) // 10)
            if not all(type(key) is str for key in value):
                self.charge(len(value) * 5)
                kept = (value, dict(jsontext.members(value)))
            else:
                kept = (value, value)
            self._named[id(value)] = kept
        return kept[1]

    def size(self, value: Any) -> int:
        """Returns how many members a list or a map has."""
        return len(value.mapping) if type(value) is Lazy else len(value)

    def equal(self, left: Any, right: Any, depth: int = 0) -> bool:
        """Says whether two values are equal, as CEL has it: 1 and 1.0 are, 1 and true are not."""
        kind, other = type(left), type(right)
        if kind is str and other is str:
            if len(left) == len(right):
                self.charge_text(len(left))
            return bool(left == right)
        if kind in NUMBERS:
            return other in NUMBERS and bool(left == right)
        if kind in LISTS:
            return other in LISTS and self._equal_lists(left, right, depth)
        if kind in MAPS:
            return other in MAPS and self._equal_maps(left, right, depth)
        if kind is bytes and other is bytes:
            self.charge_text(len(left))
        return kind is other and bool(left == right)

    def _equal_lists(self, left: Any, right: Any, depth: int) -> bool:
        if len(left) != len(right):
            return False
        pairs = zip(self.items(left), self.items(right), strict=True)
        return all(self._equal_within(a, b, depth) for a, b in pairs)

    def _equal_maps(self, left: Any, right: Any, depth: int) -> bool:
        if self.size(left) != self.size(right):
            return False
        for key in self.items(left):
            other = self.get(right, key)
            if other is MISSING or not self._equal_within(self.get(left, key), other, depth):
                return False
        return True

    def _equal_within(self, left: Any, right: Any, depth: int) -> bool:
        if depth == _MAX_COMPARED:
            raise Failure(f"values nested deeper than {_MAX_COMPARED} levels are not compared")
        self.charge(8)
        return self.equal(left, right, depth + 1)


def _number(value: Any) -> Any:
    """Returns a number, or the text by which JSON has one that no number of JSON's is."""
    if type(value) is float:
        if value - value == 0:
            return value
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    if INT_MIN <= value <= INT_MAX:
        return value
    if INT_MAX < value <= UINT_MAX:
        return UInt(value)
    return jsontext.plain_integer(value)
