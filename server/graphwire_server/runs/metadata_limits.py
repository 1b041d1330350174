"""How large the metadata of a thread, a run or an assistant may be."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass

from graphwire import errors


@dataclass(frozen=True, slots=True)
class MetadataLimits:
    """How large it may be.

    Attributes:
        bytes: Its JSON text, in bytes.
        keys: How many keys it may have at its top level.
    """

    bytes: int = 64 * 1024
    keys: int = 128


def check_metadata(
    value: Sized, text: str, limits: MetadataLimits, field: str = "metadata"
) -> None:
    """Refuses metadata that is too large.

    Args:
        value: The object.
        text: Its JSON text.
        limits: What is allowed.
        field: What to name in the error: the field that brings it, or that is merged into it.

    Raises:
        InvalidPayloadError: It is too large.
    """
    if len(value) > limits.keys:
        raise errors.InvalidPayloadError(
            f"has {len(value)} keys; metadata may have {limits.keys} (max_metadata_keys)",
            field=field,
        )
    size = len(text.encode())
    if size > limits.bytes:
        raise errors.InvalidPayloadError(
            f"has {size} bytes of JSON text; metadata may have {limits.bytes} (max_metadata_bytes)",
            field=field,
        )
