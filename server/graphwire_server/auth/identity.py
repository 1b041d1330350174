"""Who calls, as an authenticator has found out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

#: Of others' threads as of one's own: to see, answer, change and delete them.
THREADS_ALL = "threads:all"
#: To make, change and delete assistants.
ASSISTANTS_WRITE = "assistants:write"
PERMISSIONS = frozenset({THREADS_ALL, ASSISTANTS_WRITE})


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a call brings with it.

    Attributes:
        method: The full name of the RPC: `/graphwire.v1.Runs/StreamRun`.
        metadata: The call's metadata, keys in lower case; those that end in `-bin` have bytes.
        peer: The address of the caller, as gRPC writes it: `ipv4:127.0.0.1:4711`.
        certificate: Whom the caller's verified certificate names; empty without one.
    """

    method: str
    metadata: Sequence[tuple[str, str | bytes]]
    peer: str = ""
    certificate: str = ""

    def get(self, key: str) -> str:
        """Returns the text of a key of the metadata; empty if it is not there."""
        return next((v for k, v in self.metadata if k == key and isinstance(v, str)), "")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls.

    Attributes:
        principal: His name, which runs and answers keep.
        owner: To whom the threads belong that he makes, and whose threads he sees; his own name,
            or that of a group.
        permissions: What he may do beyond that: `PERMISSIONS`, or, with the rules of a project,
            whatever these know.
        user: What the graph is told of him: a JSON object.
        source: What the project's own `authenticate` returned, for the project's own handlers.
    """

    principal: str
    owner: str
    permissions: frozenset[str] = frozenset()
    user: Mapping[str, Any] = field(default_factory=dict, repr=False)
    source: Any = field(default=None, repr=False)


class Authenticator(Protocol):
    """Finds out who calls."""

    async def authenticate(self, credentials: Credentials) -> Identity:
        """Returns who calls.

        Raises:
            UnauthenticatedError: That is not known.
            PermissionDeniedError: It is, and he may not call at all.
        """
        ...

    async def close(self) -> None:
        """Lets go of what it holds."""
        ...
