"""How a checkpoint is kept without the values of its channels: `CheckpointRecord.body`.

A checkpoint names the version of each of its channels, and the versions that each node has
seen: a few distinct texts, again and again. Here each stands once, and is meant by its place.

Values that are no larger than what names their version are kept right here. Most of them are
the None by which LangGraph starts a node; a row of its own for each would be most of the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ormsgpack

#: The longest text, in characters, that is kept with the checkpoint itself.
_SHORT = 16

_FORMAT = 1
_OPTIONS = ormsgpack.OPT_REPLACE_SURROGATES

Version = str | int | float


def is_small(value: object) -> bool:
    """Returns whether a channel's value is kept with each checkpoint that holds it."""
    if value is None:
        return True
    kind = type(value)
    if kind is str:
        return len(value) <= _SHORT  # type: ignore[arg-type]
    if kind is int:
        return -(1 << 63) <= value < 1 << 64  # type: ignore[operator]
    return kind is bool or kind is float


def pack(checkpoint: Mapping[str, Any]) -> bytes:
    """Returns the body of a LangGraph `Checkpoint`. Large values of channels are left out."""
    places: dict[Version, int] = {}
    versions = _to_places(checkpoint["channel_versions"], places)
    seen = {node: _to_places(of, places) for node, of in checkpoint["versions_seen"].items()}
    values = checkpoint["channel_values"]
    body = (
        _FORMAT,
        checkpoint["v"],
        checkpoint["ts"],
        list(places),
        versions,
        seen,
        checkpoint.get("updated_channels"),
        {channel: value for channel, value in values.items() if is_small(value)},
    )
    return ormsgpack.packb(body, option=_OPTIONS)


def unpack(checkpoint_id: str, body: bytes) -> dict[str, Any]:
    """Returns the `Checkpoint` of a body, with the small ones of its values."""
    format_, v, ts, distinct, versions, seen, updated, values = ormsgpack.unpackb(body)
    if format_ != _FORMAT:
        raise ValueError(f"checkpoint {checkpoint_id} is kept in format {format_}, unknown here")
    return {
        "v": v,
        "id": checkpoint_id,
        "ts": ts,
        "channel_values": values,
        "channel_versions": _from_places(versions, distinct),
        "versions_seen": {node: _from_places(of, distinct) for node, of in seen.items()},
        "updated_channels": updated,
    }


def _to_places(versions: Mapping[str, Version], places: dict[Version, int]) -> dict[str, int]:
    return {name: places.setdefault(version, len(places)) for name, version in versions.items()}


def _from_places(versions: Mapping[str, int], distinct: list[Version]) -> dict[str, Version]:
    return {name: distinct[place] for name, place in versions.items()}
