"""The types that an expression is checked for before it is evaluated."""

from __future__ import annotations

from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Type:
    """A type, by CEL's name for it: `int`, `list(string)`; `dyn` is any.

    Attributes:
        name: Its name.
        of: The types of its members.
        nullable: Whether a value may be null all the same, since the type was only declared.
    """

    name: str
    of: tuple[Type, ...] = ()
    nullable: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        if not self.of or all(inner == DYN for inner in self.of):
            return self.name
        return f"{self.name}({', '.join(map(str, self.of))})"


DYN = Type("dyn")
NULL, BOOL, STRING, BYTES = Type("null_type"), Type("bool"), Type("string"), Type("bytes")
INT, UINT, DOUBLE = Type("int"), Type("uint"), Type("double")
TIMESTAMP, DURATION = Type("timestamp"), Type("duration")
TYPE = Type("type")
LIST = Type("list", (DYN,))
MAP = Type("map", (DYN, DYN))
NUMERIC = (INT, UINT, DOUBLE)
#: One of these; of what is only declared it is not known which.
NUMBER = Type("number")


def list_of(item: Type) -> Type:
    """Returns the type of lists of a type."""
    return Type("list", (item,))


def map_of(key: Type, value: Type) -> Type:
    """Returns the type of maps from one type to another."""
    return Type("map", (key, value))


def fits(value: Type, wanted: Type) -> bool:
    """Says whether a value of a type may be of another: `dyn` may be, and may be had, of any."""
    if DYN in (value, wanted) or (value == NUMBER and wanted in NUMERIC):
        return True
    return value.name == wanted.name and all(map(fits, value.of, wanted.of))


def comparable(left: Type, right: Type) -> bool:
    """Says whether values of two types may be equal: numbers may be, whatever their types."""
    if DYN in (left, right) or (_is_number(left) and _is_number(right)):
        return True
    if NULL in (left, right) and (left.nullable or right.nullable):
        return True
    return left.name == right.name and all(map(comparable, left.of, right.of))


def _is_number(kind: Type) -> bool:
    return kind == NUMBER or kind in NUMERIC


def joined(types: list[Type]) -> Type:
    """Returns the type that values of all these types have."""
    first = types[0] if types else DYN
    if all(other == first for other in types):
        return replace(first, nullable=any(other.nullable for other in types))
    if all(other.name == first.name and len(other.of) == len(first.of) for other in types):
        return Type(
            first.name, tuple(joined([t.of[i] for t in types]) for i in range(len(first.of)))
        )
    return DYN
