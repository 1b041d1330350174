"""What every call passes before its servicer sees it: who calls, and may he?"""

from __future__ import annotations

from typing import Any

import grpc

from graphwire_server.auth.identity import Authenticator, Credentials, Identity
from graphwire_server.rpc.authorization import Authorizer
from graphwire_server.rpc.peers import peer_identity
from graphwire_server.rpc.principal import set_callers


class Guard:
    """Finds out who calls, and lets pass what he may do."""

    def __init__(self, authenticator: Authenticator, authorizer: Authorizer) -> None:
        """Takes both."""
        self._authenticator = authenticator
        self._authorizer = authorizer

    async def identify(self, method: str, context: grpc.aio.ServicerContext[Any, Any]) -> Identity:
        """Returns who calls.

        Raises:
            UnauthenticatedError: That is not known.
        """
        metadata = [(key.lower(), value) for key, value in context.invocation_metadata() or ()]
        return await self._authenticator.authenticate(
            Credentials(
                method=method,
                metadata=metadata,
                peer=context.peer() or "",
                certificate=peer_identity(context),
            )
        )

    async def admit(self, method: str, request: Any, identity: Identity) -> None:
        """Lets a request pass, and says to everything that serves it who calls.

        Raises:
            GraphwireError: He may not do that; see `Authorizer.admit`.
        """
        set_callers(await self._authorizer.admit(method, request, identity))

    async def close(self) -> None:
        """Lets go of what the authenticator holds."""
        await self._authenticator.close()
