"""The grammar of CEL: from a text to a tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from graphwire_server.graphs.conditions.errors import Refusal
from graphwire_server.graphs.conditions.lexer import RESERVED, Token, tokens
from graphwire_server.graphs.conditions.values import INT_MAX

#: How deep a tree may be, and how many brackets may be open: the parser uses up to seven Python
#: calls for each level, the rest less. Chains of && and of || are one level.
MAX_NESTING = 40


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal."""

    at: int
    depth: int
    value: object


@dataclass(frozen=True, slots=True)
class Name:
    """A variable, or a type."""

    at: int
    depth: int
    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """`operand.field`, or whether there is one: `has(operand.field)`. `at` is the field's."""

    at: int
    depth: int
    operand: Node
    field: str
    test: bool = False


@dataclass(frozen=True, slots=True)
class Index:
    """`operand[index]`."""

    at: int
    depth: int
    operand: Node
    index: Node


@dataclass(frozen=True, slots=True)
class Call:
    """A function, or an operator but `&&`, `||` and `?:`; unary ones are `-_` and `!_`."""

    at: int
    depth: int
    function: str
    receiver: Node | None
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Junction:
    """`a && b && …`, or the same with `||`."""

    at: int
    depth: int
    operator: str
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Conditional:
    """`test ? then : other`."""

    at: int
    depth: int
    test: Node
    then: Node
    other: Node


@dataclass(frozen=True, slots=True)
class ListOf:
    """`[item, …]`."""

    at: int
    depth: int
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class MapOf:
    """`{key: value, …}`."""

    at: int
    depth: int
    entries: tuple[tuple[Node, Node], ...]


Loop: TypeAlias = Literal["all", "exists", "exists_one", "map", "filter"]


@dataclass(frozen=True, slots=True)
class Comprehension:
    """`over.loop(variable, [where,] body)`; only `map` may have a `where`."""

    at: int
    depth: int
    loop: Loop
    over: Node
    variable: str
    where: Node | None
    body: Node


Node: TypeAlias = (
    Constant
    | Name
    | Select
    | Index
    | Call
    | Junction
    | Conditional
    | ListOf
    | MapOf
    | Comprehension
)

#: How many arguments each may have, the variable included.
LOOPS: dict[str, tuple[Loop, tuple[int, ...]]] = {
    "all": ("all", (2,)),
    "exists": ("exists", (2,)),
    "exists_one": ("exists_one", (2,)),
    "map": ("map", (2, 3)),
    "filter": ("filter", (2,)),
}

_POWERS = {"||": 1, "&&": 2, "in": 3, "+": 4, "-": 4, "*": 5, "/": 5, "%": 5} | dict.fromkeys(
    ("==", "!=", "<", "<=", ">", ">="), 3
)
_CONSTANTS = {"true": True, "false": False, "null": None}


def parse(text: str) -> Node:
    """Returns the tree of an expression.

    Raises:
        Refusal: It does not follow the grammar, or is nested too deep.
    """
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(tokens(text))
        self._next = 0
        self._open = 0

    def parse(self) -> Node:
        if self._peek().kind == "end":
            raise Refusal("there is no expression", self._peek().at)
        node = self._expression()
        if self._peek().kind != "end":
            raise self._unexpected("an operator or the end")
        return node

    # Levels of the grammar, the loosest first.

    def _expression(self) -> Node:
        self._open += 1
        if self._open > MAX_NESTING:
            raise _too_deep(self._peek().at)
        node = self._binary(1)
        if mark := self._accept("?"):
            then = self._binary(1)
            self._expect(":")
            other = self._expression()
            depth = _depth(mark.at, node, then, other)
            node = Conditional(mark.at, depth, node, then, other)
        self._open -= 1
        return node

    def _binary(self, least: int) -> Node:
        left = self._unary()
        while (power := self._power()) >= least:
            operator = self._take()
            right = self._binary(power + 1)
            if operator.text in ("&&", "||"):
                left = _junction(operator, left, right)
            else:
                depth = _depth(operator.at, left, right)
                left = Call(operator.at, depth, operator.text, None, (left, right))
        return left

    def _power(self) -> int:
        token = self._peek()
        return _POWERS.get(token.text, 0) if token.kind in ("mark", "name") else 0

    def _unary(self) -> Node:
        marks: list[Token] = []
        while mark := self._accept("!", "-"):
            marks.append(mark)
        node = self._member(minus=marks.pop() if self._negates(marks) else None)
        for mark in reversed(marks):
            node = Call(mark.at, _depth(mark.at, node), f"{mark.text}_", None, (node,))
        return node

    def _negates(self, marks: Sequence[Token]) -> bool:
        """Says whether a minus is part of the number that follows it."""
        token = self._peek()
        number = token.kind == "negatable" or type(token.value) is float
        return number and bool(marks) and marks[-1].text == "-"

    def _member(self, minus: Token | None) -> Node:
        node = self._number(minus) if minus else self._primary()
        while mark := self._accept(".", "[", "{"):
            if mark.text == "{":
                raise Refusal("values of message types can't be made in a condition", mark.at)
            if mark.text == "[":
                index = self._expression()
                self._expect("]")
                node = Index(mark.at, _depth(mark.at, node, index), node, index)
            else:
                node = self._field(node)
        return node

    def _field(self, operand: Node) -> Node:
        token = self._peek()
        if token.kind not in ("name", "quoted") or token.text in (*_CONSTANTS, "in"):
            raise self._unexpected("the name of a field")
        self._take()
        if token.kind == "name" and self._accept("("):
            return self._method(token, operand)
        return Select(token.at, _depth(token.at, operand), operand, token.text)

    def _method(self, name: Token, receiver: Node) -> Node:
        args = self._until(")")
        if name.text not in LOOPS:
            depth = _depth(name.at, receiver, *args)
            return Call(name.at, depth, name.text, receiver, tuple(args))
        loop, counts = LOOPS[name.text]
        if len(args) not in counts:
            raise Refusal(f"{loop}() takes a variable and an expression: {loop}(x, …)", name.at)
        variable = args[0]
        if not isinstance(variable, Name):
            raise Refusal(f"{loop}() takes a variable's name first: {loop}(x, …)", variable.at)
        return Comprehension(
            name.at,
            _depth(name.at, receiver, *args),
            loop,
            receiver,
            variable.name,
            args[1] if len(args) == 3 else None,
            args[-1],
        )

    def _number(self, minus: Token) -> Node:
        token = self._take()
        value = token.value
        assert isinstance(value, (int, float))
        return Constant(minus.at, 1, -value)

    def _primary(self) -> Node:
        token = self._peek()
        if token.kind in ("value", "negatable"):
            self._take()
            if token.kind == "negatable" and token.value == INT_MAX + 1:
                raise Refusal(f"{token.text} is more than the largest int, {INT_MAX}", token.at)
            return Constant(token.at, 1, token.value)
        if self._accept("("):
            node = self._expression()
            self._expect(")")
            return node
        if self._accept("["):
            items = self._until("]", trailing=True)
            return ListOf(token.at, _depth(token.at, *items), tuple(items))
        if self._accept("{"):
            return self._map(token)
        self._accept(".")  # From the root, where all names are.
        return self._name()

    def _name(self) -> Node:
        token = self._peek()
        if token.kind != "name" or token.text == "in":
            raise self._unexpected("a value")
        self._take()
        if token.text in _CONSTANTS:
            return Constant(token.at, 1, _CONSTANTS[token.text])
        if token.text in RESERVED:
            raise Refusal(f"{token.text!r} is reserved: no variable is called so", token.at)
        if not self._accept("("):
            return Name(token.at, 1, token.text)
        args = self._until(")")
        if token.text != "has":
            return Call(token.at, _depth(token.at, *args), token.text, None, tuple(args))
        field = args[0] if len(args) == 1 else None
        if not isinstance(field, Select) or field.test:
            raise Refusal(
                'has() takes one field, as in has(state.user); or: "user" in state', token.at
            )
        return Select(field.at, field.depth, field.operand, field.field, test=True)

    def _map(self, opening: Token) -> Node:
        entries: list[tuple[Node, Node]] = []
        while not self._accept("}"):
            key = self._expression()
            self._expect(":")
            entries.append((key, self._expression()))
            if not self._accept(","):
                self._expect("}")
                break
        parts = [part for entry in entries for part in entry]
        return MapOf(opening.at, _depth(opening.at, *parts), tuple(entries))

    def _until(self, closing: str, *, trailing: bool = False) -> list[Node]:
        nodes: list[Node] = []
        if self._accept(closing):
            return nodes
        while True:
            nodes.append(self._expression())
            if not self._accept(","):
                self._expect(closing)
                return nodes
            if trailing and self._accept(closing):
                return nodes

    # Words.

    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._tokens[self._next]
        self._next += 1
        return token

    def _accept(self, *marks: str) -> Token | None:
        token = self._peek()
        return self._take() if token.kind == "mark" and token.text in marks else None

    def _expect(self, mark: str) -> None:
        if not self._accept(mark):
            raise self._unexpected(repr(mark))

    def _unexpected(self, wanted: str) -> Refusal:
        token = self._peek()
        found = "the condition ends here" if token.kind == "end" else f"found {token.text!r}"
        return Refusal(f"{found}, where {wanted} should be", token.at)


def _junction(operator: Token, left: Node, right: Node) -> Node:
    operands: list[Node] = []
    for side in (left, right):
        if isinstance(side, Junction) and side.operator == operator.text:
            operands += side.operands
        else:
            operands.append(side)
    depth = _depth(operator.at, *operands)
    return Junction(operator.at, depth, operator.text, tuple(operands))


def _depth(at: int, *inside: Node) -> int:
    depth = 1 + max((node.depth for node in inside), default=0)
    if depth > MAX_NESTING:
        raise _too_deep(at)
    return depth


def _too_deep(at: int) -> Refusal:
    return Refusal(f"is nested deeper than {MAX_NESTING} levels", at)
