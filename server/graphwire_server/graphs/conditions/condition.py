"""A condition as a whole: compiled from its text, and asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from graphwire_server.graphs.conditions.build import Builder, Code
from graphwire_server.graphs.conditions.check import Checker
from graphwire_server.graphs.conditions.errors import (
    ConditionError,
    ConditionFailed,
    ExhaustedError,
    Failure,
    Position,
    Refusal,
)
from graphwire_server.graphs.conditions.frame import (
    BUDGET,
    TOGETHER,
    Frame,
    Purse,
    Variables,
)
from graphwire_server.graphs.conditions.functions import NAMES
from graphwire_server.graphs.conditions.syntax import parse
from graphwire_server.graphs.conditions.types import Type
from graphwire_server.graphs.conditions.values import an

#: The longest condition, in characters.
MAX_LENGTH = 4096
#: How many conditions are remembered, and how long they may be, in characters: at worst a
#: condition takes some hundred bytes for each.
_REMEMBERED, _LONGEST_REMEMBERED = 256, 1024


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """A condition that has been checked. It holds nothing of an evaluation.

    Attributes:
        text: As it was given.
        names: Which of `state`, `node`, `step`, `metadata` and `task` it names.
        reads: The keys of the state that it may read; None if it reads the state as a whole.
    """

    text: str
    names: frozenset[str]
    reads: frozenset[str] | None
    _code: Code
    _slots: int

    def holds(self, variables: Variables, purse: Purse | None = None) -> bool:
        """Says whether the condition is true of something.

        With a `purse` it may cost no more than what is in that.

        The time is bounded, but for what the variables' own code takes: that of their
        callables, and of objects that make JSON of themselves.

        Raises:
            ConditionFailed: It is neither true nor false (a key is not there, a value is of
                the wrong type, …), or costs more than `BUDGET`, or than there is in the purse.
        """
        budget = BUDGET if purse is None else max(min(BUDGET, purse.left), 0)
        frame = Frame(variables, self._slots, budget)
        try:
            if not budget:
                raise ExhaustedError
            value = self._code(frame)
        except Failure as failure:
            place = f"{Position.of(self.text, failure.at)}: " if failure.at is not None else ""
            raise ConditionFailed(place + failure.message) from None
        except ExhaustedError:
            if budget < BUDGET:
                raise ConditionFailed(
                    f"the conditions of this step cost more than {TOGETHER} steps together"
                ) from None
            raise ConditionFailed(f"costs more than {BUDGET} steps") from None
        except Exception as error:
            # What the state's own objects raise, or a state that a node is just changing.
            raise ConditionFailed(f"can't be evaluated: {type(error).__name__}") from error
        finally:
            if purse is not None:
                purse.take(budget - max(frame.steps, 0))
        if type(value) is not bool:
            raise ConditionFailed(f"is {an(NAMES[type(value)])}, not true or false")
        return value


def compile_condition(text: str, state: Mapping[str, Type] | None) -> Condition:
    """Returns the condition that a text is.

    `state` has the keys that the state may have, each with its type as far as that is known;
    None if they are not known.

    The same condition of the same graph is compiled once, as far as it is remembered: each run
    brings it again. A pattern takes up to a megabyte once it has been used, so conditions with
    patterns are not.

    Raises:
        ConditionError: The text is too long, is no expression, names what there is not, or
            has a type that is wrong.
    """
    # The marks of types count for this as well, though they make no other type of one.
    known = None if state is None else tuple((k, t, t.nullable) for k, t in state.items())
    if len(text) > _LONGEST_REMEMBERED or "matches" in text:
        return _compiled(text, known)
    return _remembered(text, known)


def _compiled(text: str, state: tuple[tuple[str, Type, bool], ...] | None) -> Condition:
    try:
        if len(text) > MAX_LENGTH:
            raise Refusal(f"has {len(text)} characters, and {MAX_LENGTH} are allowed", MAX_LENGTH)
        tree = parse(text)
        checker = Checker(None if state is None else {key: kind for key, kind, _ in state})
        checker.condition(tree, len(text) - len(text.lstrip()))
        builder = Builder()
        code = builder.build(tree)
    except Refusal as refusal:
        raise ConditionError(refusal.message, Position.of(text, refusal.at)) from None
    reads = None if checker.reads is None else frozenset(checker.reads)
    return Condition(text, frozenset(checker.names), reads, code, builder.slots)


_remembered = lru_cache(_REMEMBERED)(_compiled)
