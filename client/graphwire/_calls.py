"""Calls as values: what to send and how to read the answer, whoever does the sending.

The operations (`_threads`, `_runs`, `_assistants`, `_server`) return these; the two
clients carry them out.
"""

from __future__ import annotations

import copy
import functools
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from graphwire.v1.assistants_pb2 import (
    ListAssistantsRequest,
    ListAssistantsResponse,
    ListAssistantVersionsRequest,
    ListAssistantVersionsResponse,
)
from graphwire.v1.runs_pb2 import ListRunsRequest, ListRunsResponse
from graphwire.v1.threads_pb2 import (
    ListThreadHistoryRequest,
    ListThreadHistoryResponse,
    ListThreadsRequest,
    ListThreadsResponse,
)

T = TypeVar("T")
U = TypeVar("U")
Response = TypeVar("Response", bound=Message)
ListRequest = (
    ListThreadsRequest
    | ListThreadHistoryRequest
    | ListRunsRequest
    | ListAssistantsRequest
    | ListAssistantVersionsRequest
)
ListResponse = TypeVar(
    "ListResponse",
    bound=ListThreadsResponse
    | ListThreadHistoryResponse
    | ListRunsResponse
    | ListAssistantsResponse
    | ListAssistantVersionsResponse,
)


@dataclass(frozen=True, slots=True)
class Method:
    """An RPC.

    Attributes:
        path: Its path, such as `/graphwire.v1.Threads/GetThread`.
        serialize: Writes its request.
        deserialize: Reads its response.
    """

    path: str
    serialize: Callable[[Any], bytes]
    deserialize: Callable[[bytes], Any]


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A unary call.

    Attributes:
        method: The RPC.
        request: Its request.
        read: Makes the result from the response.
        repeatable: Whether sending it twice does no more than sending it once.
        timeout: Its limit in seconds; None: the client's default.
        waits: Whether it takes as long as a run does: no default limit, and as patient
            as a stream when the connection is lost.
    """

    method: Method
    request: Any
    read: Callable[[Any], T]
    repeatable: bool = True
    timeout: float | None = None
    waits: bool = False

    def then(self, follow: Callable[[T], Call[U]]) -> Call[Call[U]]:
        """Returns a call whose result is the next call to make."""
        read = self.read
        return Call(
            self.method,
            self.request,
            lambda response: follow(read(response)),
            self.repeatable,
            self.timeout,
            self.waits,
        )


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list.

    Attributes:
        items: What is in it.
        following: Gets the next one; None after the last.
    """

    items: list[T]
    following: Call[Page[T]] | None


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream of a run's events.

    Attributes:
        method: StreamRun or JoinRun.
        request: Its request.
        run_id: The run; empty if the call starts it.
        after_sequence: The event after which it begins.
        timeout: The limit for the whole stream in seconds; None: no limit.
        rejoin_timeout: For how long to try to rejoin; None: the client's default.
    """

    method: Method
    request: Any
    run_id: str
    after_sequence: int
    timeout: float | None
    rejoin_timeout: float | None


def method_of(request: Message, response: type[Message]) -> Method:
    """Returns the RPC that takes this request; in the contract there is just one."""
    return Method(_path(request.DESCRIPTOR), type(request).SerializeToString, response.FromString)


def call(
    request: Message,
    response: type[Response],
    read: Callable[[Response], T],
    *,
    repeatable: bool = True,
    timeout: float | None,
    waits: bool = False,
) -> Call[T]:
    """Makes the call of the RPC that takes this request."""
    return Call(method_of(request, response), request, read, repeatable, timeout, waits)


def pages(
    request: ListRequest,
    response: type[ListResponse],
    items: Callable[[ListResponse], Iterable[T]],
    *,
    limit: int | None,
    page_size: int,
    timeout: float | None,
) -> Call[Page[T]]:
    """Makes the call for the first page of a list.

    Args:
        request: A request with `page_size` and `page_token`.
        response: The class of its response.
        items: Reads what is on a page.
        limit: How many items at the most, over all pages, from 1; None: all.
        page_size: How many on a page; 0: the server's default.
        timeout: The limit for each page in seconds; None: the client's default.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}: it must be 1 or more, or None for all")
    request.page_size = page_size if limit is None else min(page_size or limit, limit)

    def read(page: ListResponse) -> Page[T]:
        found = list(items(page))[:limit]
        left = None if limit is None else limit - len(found)
        if not page.next_page_token or left == 0:
            return Page(found, None)
        following = copy.deepcopy(request)
        following.page_token = page.next_page_token
        rest = pages(following, response, items, limit=left, page_size=page_size, timeout=timeout)
        return Page(found, rest)

    return call(request, response, read, timeout=timeout)


def new_request_id(given: str | None) -> str:
    """Returns the caller's request id, or a new one, which makes the call repeatable."""
    return given or uuid.uuid4().hex


@functools.cache
def _path(request: Descriptor) -> str:
    for service in request.file.services_by_name.values():
        for method in service.methods:
            if method.input_type.full_name == request.full_name:
                return f"/{service.full_name}/{method.name}"
    raise LookupError(f"no RPC takes a {request.full_name}")
