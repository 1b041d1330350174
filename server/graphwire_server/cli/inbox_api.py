"""The inbox, as the contract has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from graphwire import Client
from graphwire import _convert as convert
from graphwire._calls import call, pages
from graphwire._payload import encode_if_set
from graphwire.v1 import threads_pb2 as pb
from graphwire.values import Pause


def list_pauses(
    client: Client,
    *,
    thread_id: str = "",
    assistant_id: str = "",
    node: str = "",
    label: str = "",
    tool_name: str = "",
    thread_metadata: Mapping[str, Any] | None = None,
    oldest_first: bool = False,
    limit: int | None = None,
) -> Iterator[Pause]:
    request = pb.ListPausesRequest(
        filter=pb.PauseFilter(
            thread_id=thread_id,
            assistant_id=assistant_id,
            node=node,
            label=label,
            tool_name=tool_name,
            thread_metadata=encode_if_set(thread_metadata, "filter.thread_metadata"),
        ),
        direction=2 if oldest_first else 1,
    )
    first = pages(
        request,
        pb.ListPausesResponse,
        lambda page: map(convert.pause, page.pauses),
        limit=limit,
        page_size=0,
        timeout=None,
    )
    return client._transport.pages(first)


def get_pause(client: Client, pause_id: str) -> Pause:
    request = pb.GetPauseRequest(pause_id=pause_id)
    return client._transport.unary(
        call(request, pb.GetPauseResponse, lambda r: convert.pause(r.pause), timeout=None)
    )
