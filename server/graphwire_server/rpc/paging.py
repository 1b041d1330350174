"""Pages of lists (AIP-158): sizes, and tokens that fit one method and filter only."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any

import orjson
from google.protobuf.message import Message
from graphwire import errors

from graphwire_server.storage.records import Position

#: The largest page, unless the server's settings say another; a larger page_size means this.
MAX_PAGE_SIZE = 1000
DEFAULT_PAGE_SIZE = 50


class Pages:
    """How large pages are."""

    def __init__(self, most: int = MAX_PAGE_SIZE) -> None:
        """Takes the size of the largest."""
        self._most = most

    def size(self, value: int, default: int = DEFAULT_PAGE_SIZE) -> int:
        """Returns the size of a page: 0 means the default, above the maximum the maximum."""
        if value < 0:
            raise errors.InvalidFieldError(
                f"is {value}; must be 0 for the server's default, or 1 to {self._most}",
                field="page_size",
            )
        return min(value or default, self._most)


class PageTokens:
    """The tokens of one method with one filter: everything in the request but the page."""

    def __init__(self, request: Message) -> None:
        """Takes the method and the filter from the request."""
        rest = type(request)()
        rest.CopyFrom(request)
        rest.ClearField("page_size")
        rest.ClearField("page_token")
        rest.DiscardUnknownFields()
        meaning = type(request).__name__.encode() + rest.SerializeToString(deterministic=True)
        self._digest = hashlib.sha256(meaning).hexdigest()[:16]

    def write(self, *place: str | int) -> str:
        """Returns the token for the page after a place in the list."""
        return base64.urlsafe_b64encode(orjson.dumps([self._digest, *place])).decode()

    def read(self, token: str, *kinds: type) -> list[Any] | None:
        """Returns the place that a token stands for, of values of these kinds; None for "".

        Raises:
            InvalidPageTokenError: It was not written for this method and filter.
        """
        if not token:
            return None
        try:
            place = orjson.loads(base64.b64decode(token, altchars=b"-_", validate=True))
        except (binascii.Error, ValueError):
            place = None
        if (
            not isinstance(place, list)
            or len(place) != len(kinds) + 1
            or place[0] != self._digest
            or not all(type(v) is kind for v, kind in zip(place[1:], kinds, strict=True))
            or not all(abs(v) < 2**63 for v in place[1:] if isinstance(v, int))
        ):
            raise errors.InvalidPageTokenError(
                "not a page token of this method with this filter; take next_page_token of the "
                "page before, and change nothing else but page_size",
                field="page_token",
            )
        return place[1:]

    def write_position(self, create_time: int, key: str) -> str:
        """Returns the token for the page after a row of a list that is sorted by time."""
        return self.write(create_time, key)

    def read_position(self, token: str) -> Position | None:
        """Returns the row that such a token stands for; None for ""."""
        place = self.read(token, int, str)
        return Position(*place) if place else None
