"""Which types of the project's own checkpoints may be read into: langgraph.json's word."""

from __future__ import annotations

from collections.abc import Callable

TypeName = tuple[str, ...]

_KEY = "checkpointer"
_TYPES = "allowed_msgpack_modules"
_FORM = 'a list of [module, name] pairs, such as [["my_package.models", "Order"]]'


def read_checkpoint_types(
    value: object, error: Callable[[str, str], Exception]
) -> tuple[frozenset[TypeName], list[str]]:
    """Reads `checkpointer` of a langgraph.json.

    Args:
        value: What stands there.
        error: Makes the exception for a key and what is wrong with it.

    Returns the types that `serde.allowed_msgpack_modules` names, and the keys that mean nothing
    to this server.
    """
    if not isinstance(value, dict):
        raise error(_KEY, "must be an object")
    unhonoured = [f"{_KEY}.{key}" for key in value if key != "serde"]
    serde = value.get("serde", {})
    if not isinstance(serde, dict):
        raise error(f"{_KEY}.serde", "must be an object")
    unhonoured += [f"{_KEY}.serde.{key}" for key in serde if key != _TYPES]
    if serde.get("pickle_fallback"):
        raise error(
            f"{_KEY}.serde.pickle_fallback",
            "checkpoints are never read with pickle, which can run any code; name the types in "
            f"{_TYPES}",
        )
    return frozenset(_types(serde.get(_TYPES, []), error)), unhonoured


def _types(value: object, error: Callable[[str, str], Exception]) -> list[TypeName]:
    path = f"{_KEY}.serde.{_TYPES}"
    if not isinstance(value, list):
        raise error(path, f"must be {_FORM}")
    for index, entry in enumerate(value):
        if not isinstance(entry, list) or len(entry) < 2 or not all(map(_is_text, entry)):
            raise error(f"{path}[{index}]", f"must be one of {_FORM}")
    return [tuple(entry) for entry in value]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)
