"""Which fields of a message a caller wants to have."""

from __future__ import annotations

from google.protobuf.descriptor import Descriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from graphwire import errors


def read_mask(mask: FieldMask, kind: Descriptor, *, field: str = "read_mask") -> frozenset[str]:
    """Returns the fields of a message that a mask names; none if it is empty.

    Raises:
        InvalidFieldError: It names one that is not there; fields of fields are not told apart.
    """
    for name in mask.paths:
        if name not in kind.fields_by_name:
            raise errors.InvalidFieldError(
                f"{kind.name} has no field {name!r}; it has: {', '.join(kind.fields_by_name)}",
                field=field,
            )
    return frozenset(mask.paths)


def keep_only(message: Message, names: frozenset[str]) -> None:
    """Clears all fields but those; none of them if there are no names."""
    if names:
        for field, _ in message.ListFields():
            if field.name not in names:
                message.ClearField(field.name)
