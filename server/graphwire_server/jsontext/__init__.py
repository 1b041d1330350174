"""JSON text, by the rules of `graphwire.v1.Payload`, which docs/payloads.md lists.

Going out, `dumps` writes any Python object and never fails; coming in, `loads` reads
what a caller sent and refuses whatever is in doubt. Nothing is lost in silence.
"""

from graphwire_server.jsontext.decode import JsonTextError, loads, path_text
from graphwire_server.jsontext.encode import (
    MAX_INT,
    MIN_INT,
    canonical,
    dumps,
    members,
    plain_integer,
)
from graphwire_server.jsontext.merge import merge_patch
from graphwire_server.jsontext.rules import to_plain

__all__ = [
    "MAX_INT",
    "MIN_INT",
    "JsonTextError",
    "canonical",
    "dumps",
    "loads",
    "members",
    "merge_patch",
    "path_text",
    "plain_integer",
    "to_plain",
]
