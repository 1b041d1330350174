"""Who calls, as far as runs and threads are concerned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphwire_server.storage.access import ALL, Access


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and what he may do with this call.

    Attributes:
        principal: His name; empty: the server itself.
        owner: To whom the threads belong that he makes.
        access: Which threads and assistants he may name.
        user: What the graph is told of him: a JSON object; empty: nothing.
        sees: Which threads he finds, where he calls for something else, of which an error may name
            some; None: none.
        thread_metadata: What is put on the threads that he makes, as the rules of a project say.
        goes_on_as: The assistant of which the rules of a project were told, where a run is to go
            on as the one of its thread; empty: there was none; None: they were not asked.
    """

    principal: str = ""
    owner: str = ""
    access: Access = ALL
    sees: Access | None = ALL
    user: Mapping[str, Any] = field(default_factory=dict)
    thread_metadata: Mapping[str, Any] = field(default_factory=dict)
    goes_on_as: str | None = None


#: The server itself, as where a pause has expired.
SERVER = Caller()
