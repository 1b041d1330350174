"""What the schemas of graphs declare, found out once for each: many graphs may have the same."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, get_type_hints
from weakref import WeakKeyDictionary

_KNOWN: WeakKeyDictionary[Any, Mapping[str, Any]] = WeakKeyDictionary()


def schema_hints(schema: Any) -> Mapping[str, Any]:
    """Returns the types of a schema's keys, with what Annotated adds to them.

    Raises what `typing.get_type_hints` raises, each time: what is not known now may be later.
    """
    # A schema that has no hash, or that can't be referred to weakly, is read each time.
    with suppress(KeyError, TypeError):
        return _KNOWN[schema]
    hints = get_type_hints(schema, include_extras=True)
    with suppress(TypeError):
        _KNOWN[schema] = hints
    return hints
