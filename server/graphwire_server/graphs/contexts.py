"""Whether a context fits the context schema of a graph.

LangGraph makes a pydantic model or a dataclass of it, of which only the first looks at types,
and hands it on as it is where the schema is a TypedDict: there, what is wrong shows in a node.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired, Required, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.dataclasses import is_pydantic_dataclass
from typing_extensions import ReadOnly, is_typeddict

from graphwire_server import jsontext
from graphwire_server.graphs.failures import describe
from graphwire_server.graphs.schema_hints import schema_hints
from graphwire_server.graphs.schemas import readable

_QUALIFIERS = (Required, NotRequired, ReadOnly)


@dataclass(frozen=True, slots=True)
class _Keys:
    """The keys that a context may have.

    Attributes:
        types: What tells whether a value fits, by key; None where nothing does.
        required: Those that it must have.
        closed: Whether it may have no others.
    """

    types: Mapping[str, TypeAdapter[Any] | None]
    required: frozenset[str]
    closed: bool


def context_misfit(schema: Any, context: Mapping[str, Any]) -> str:
    """Returns why a context (a JSON object) does not fit a context schema; "" if it fits.

    Types are looked at as JSON has them: a date is a string, a set a list; but "1" is no integer
    where nobody makes one of it. What can't be found out is left to the graph.
    """
    if is_typeddict(schema):
        return _misfit(_typed_dict_keys, schema, context)
    if not isinstance(schema, type):
        return ""
    if dataclasses.is_dataclass(schema) and not is_pydantic_dataclass(schema):
        problem = _misfit(_dataclass_keys, schema, context)
        if problem:
            return problem
    elif not (issubclass(schema, BaseModel) or is_pydantic_dataclass(schema)):
        return ""
    try:
        schema(**context)  # as LangGraph does
    except ValidationError as error:
        return _first_of(error)
    except Exception as error:  # noqa: BLE001  # validators and __post_init__ are the user's code
        return describe(error)
    return ""


def _misfit(keys_of: Any, schema: Any, context: Mapping[str, Any]) -> str:
    try:
        keys: _Keys = keys_of(schema)
    except Exception:  # noqa: BLE001  # a name in the user's annotations that means nothing here
        return ""
    for key in context:
        if keys.closed and key not in keys.types:
            return f"{key}: there is no such key; it has: {', '.join(keys.types) or '(none)'}"
    for key, adapter in keys.types.items():
        if key not in context:
            if key in keys.required:
                return f"{key}: Field required"
        elif adapter is not None:
            problem = _value_misfit(adapter, key, context[key])
            if problem:
                return problem
    return ""


def _value_misfit(adapter: TypeAdapter[Any], key: str, value: Any) -> str:
    try:
        adapter.validate_json(jsontext.dumps(value), strict=True)
    except ValidationError as error:
        # Some types say only of Python's objects whether they fit.
        told = [each["type"] != "needs_python_object" for each in error.errors()]
        return _first_of(error, key) if all(told) else ""
    except Exception:  # noqa: BLE001  # validators are the user's code, and not for this
        return ""
    return ""


def _first_of(error: ValidationError, *above: str) -> str:
    problem = error.errors(include_url=False, include_context=False)[0]
    path = ".".join([*above, *(str(part) for part in problem["loc"])])
    return f"{path}: {problem['msg']}" if path else problem["msg"]


@functools.lru_cache(maxsize=200)
def _typed_dict_keys(schema: Any) -> _Keys:
    types: dict[str, TypeAdapter[Any] | None] = {}
    required = set(schema.__required_keys__)
    for key, hint in schema_hints(schema).items():
        kind, qualifiers = _unqualified(hint)
        types[key] = _adapter(kind)
        # What annotations that are text say is not in `__required_keys__`.
        if NotRequired in qualifiers:
            required.discard(key)
        elif Required in qualifiers:
            required.add(key)
    config = getattr(schema, "__pydantic_config__", {})
    closed = getattr(schema, "__closed__", None) is True or config.get("extra") == "forbid"
    return _Keys(types, frozenset(required), closed)


@functools.lru_cache(maxsize=200)
def _dataclass_keys(schema: Any) -> _Keys:
    parameters = inspect.signature(schema).parameters.values()
    taken = {
        each.name: each
        for each in parameters
        if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
    }
    types: dict[str, TypeAdapter[Any] | None] = dict.fromkeys(taken)
    hints = schema_hints(schema)
    for field in dataclasses.fields(schema):
        # An __init__ of its own may take something else than what the field is.
        if field.name in taken and taken[field.name].annotation == field.type:
            types[field.name] = _adapter(hints[field.name])
    required = frozenset(name for name, each in taken.items() if each.default is each.empty)
    return _Keys(types, required, closed=all(p.kind is not p.VAR_KEYWORD for p in parameters))


def _unqualified(hint: Any) -> tuple[Any, set[Any]]:
    """Returns the type of a key, and what a TypedDict says of the key besides."""
    qualifiers: set[Any] = set()
    while (origin := get_origin(hint)) in _QUALIFIERS or origin is Annotated:
        if origin is Annotated:
            kind, found = _unqualified(get_args(hint)[0])
            return (Annotated[(kind, *hint.__metadata__)] if found else hint), qualifiers | found
        qualifiers.add(origin)
        (hint,) = get_args(hint)
    return hint, qualifiers


def _adapter(kind: Any) -> TypeAdapter[Any] | None:
    try:
        return TypeAdapter(readable(kind))
    except Exception:  # noqa: BLE001  # types of the user's of which pydantic knows nothing
        return None
