"""The types that a graph's checkpoints may be read into: those that its schemas reach, and those
of the project's own modules."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from enum import Enum
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints
from weakref import WeakKeyDictionary

from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel
from typing_extensions import is_typeddict

from graphwire_server.storage.checkpoints.serde import TypeName

AnyPregel = Pregel[Any, Any, Any, Any]

#: What the serializer looks for in an object to write it as a type and its fields.
_FIELDS = ("model_dump", "get_secret_value", "dict", "_asdict")

#: The annotations of types and functions that were looked at: many graphs may have the same.
_KNOWN: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()


def reachable_types(graph: AnyPregel) -> frozenset[TypeName]:
    """Returns the (module, name) of each type that a graph or a subgraph of it declares.

    They are found in the annotations of states, inputs, outputs, contexts and channels, and in
    those of the fields of what is found. LangGraph has a list of its own like this one, which it
    makes only under LANGGRAPH_STRICT_MSGPACK, and which leaves out named tuples and whatever
    stands in a Sequence or a Mapping. A graph that a node calls, and doesn't hold as a variable,
    is not known here.
    """
    found: set[TypeName] = set()
    seen: dict[int, Any] = {}  # by identity: not all of them can be hashed
    pending = [_plain(annotation) for annotation in _annotations(graph)]
    while pending:
        annotation = pending.pop()
        if id(annotation) in seen:
            continue
        seen[id(annotation)] = annotation
        if _is_kept_by_fields(annotation):
            found.add((annotation.__module__, annotation.__name__))
        pending += [_plain(part) for part in _parts(annotation)]
    return frozenset(found)


class OwnTypes:
    """The types with fields that the modules of a project define, whatever names them.

    A state often has objects of which no annotation tells: in a dict, as the result of a task,
    or in what is sent to a node. They are the project's own code, which runs in this process
    anyway. Nothing is imported for them: what counts is what is there when it is asked for.
    """

    def __init__(self, is_own: Callable[[str], bool]) -> None:
        """Takes what says of a module's file whether it is the project's own."""
        self._is_own = is_own
        self._seen: set[str] = set()
        self._types: set[TypeName] = set()

    def known(self) -> frozenset[TypeName]:
        """Returns the (module, name) of each of them that there is now."""
        for name in sys.modules.keys() - self._seen:
            module = sys.modules.get(name)
            if getattr(getattr(module, "__spec__", None), "_initializing", False):
                continue  # it is being imported: there may be more in a moment
            self._seen.add(name)
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and self._is_own(file):
                self._types.update(
                    (name, key)
                    for key, value in list(vars(module).items())
                    if _is_kept_by_fields(value)
                    and (value.__module__, value.__name__) == (name, key)
                )
        return frozenset(self._types)


def _annotations(graph: AnyPregel) -> Iterator[Any]:
    for each in (graph, *(child for _, child in graph.get_subgraphs(recurse=True))):
        if not isinstance(each, Pregel):
            continue
        yield each.context_schema
        if isinstance(each, CompiledStateGraph):
            yield from each.builder.schemas
        else:
            # The functional API takes its channels' types from a function, as they are written
            # there: under `from __future__ import annotations` they are text.
            for node in each.nodes.values():
                function = getattr(node.bound, "func", None) or getattr(node.bound, "afunc", None)
                yield from _hints(function, getattr(function, "__globals__", None)).values()
        for channel in each.channels.values():
            yield getattr(channel, "ValueType", None)
            yield getattr(channel, "UpdateType", None)


def _plain(annotation: Any) -> Any:
    """Returns what a NewType or a type alias stands for."""
    while (meant := getattr(annotation, "__supertype__", None)) is not None:
        annotation = meant
    return annotation if get_origin(annotation) else getattr(annotation, "__value__", annotation)


def _is_kept_by_fields(annotation: Any) -> bool:
    if not isinstance(annotation, type):
        return False
    return (
        issubclass(annotation, Enum)
        or dataclasses.is_dataclass(annotation)
        or any(hasattr(annotation, name) for name in _FIELDS)
    )


def _parts(annotation: Any) -> Iterable[Any]:
    """Returns the annotations that one is made of."""
    origin = get_origin(annotation)
    if origin is Literal:
        return [type(value) for value in get_args(annotation)]
    if origin is not None:
        return [origin, *get_args(annotation)]
    if isinstance(annotation, TypeVar):
        return [annotation.__bound__, *annotation.__constraints__]
    if _is_kept_by_fields(annotation) or is_typeddict(annotation):
        return _field_types(annotation)
    return ()


def _field_types(owner: type) -> Iterable[Any]:
    names = _field_names(owner)
    if not names:
        return ()
    module = sys.modules.get(owner.__module__)
    hints = _hints(owner, getattr(module, "__dict__", None), dict(vars(owner)))
    return [hints[name] for name in names if name in hints]


def _field_names(owner: type) -> Collection[str]:
    """Returns the fields of a type: its other annotations tell of what its makers do inside."""
    if dataclasses.is_dataclass(owner):
        return [field.name for field in dataclasses.fields(owner)]
    if is_typeddict(owner):
        return owner.__annotations__
    # Of pydantic's models, those of its first version, and named tuples.
    for attribute in ("model_fields", "__fields__", "_fields"):
        if names := getattr(owner, attribute, None):
            return cast("Collection[str]", names)
    return ()


def _hints(
    owner: Any, names: dict[str, Any] | None, own_names: dict[str, Any] | None = None
) -> dict[str, Any]:
    # One that has no hash is read each time.
    with suppress(KeyError, TypeError):
        return _KNOWN[owner]
    try:
        hints = get_type_hints(owner, names, own_names)
    except Exception:  # noqa: BLE001 (a name that can't be resolved must not hide the others)
        return dict(getattr(owner, "__annotations__", {}))
    with suppress(TypeError):
        _KNOWN[owner] = hints
    return hints
