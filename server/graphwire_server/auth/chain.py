"""Finds out who calls by all sources that are configured: tokens first, then certificates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphwire.errors import UnauthenticatedError

from graphwire_server.auth.certificates import identity_of_certificate
from graphwire_server.auth.identity import Credentials, Identity
from graphwire_server.auth.service_tokens import ServiceTokens

if TYPE_CHECKING:
    from graphwire_server.auth.json_web_tokens import JsonWebTokens

#: The longest token, in characters: metadata of 8 KiB is what gRPC takes by default.
_MAX_TOKEN = 16 * 1024
_FORM = "`authorization: Bearer <token>`"


def authorization_of(credentials: Credentials) -> str | None:
    """Returns the call's `authorization`; None if it has none.

    Raises:
        UnauthenticatedError: It has several, of which one could hide behind another.
    """
    found = [v for k, v in credentials.metadata if k == "authorization" and isinstance(v, str)]
    if len(found) > 1:
        raise UnauthenticatedError("the call's metadata has more than one `authorization`")
    return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Chain:
    """The sources. A bearer token decides alone: where it does not hold, nothing else is asked.

    Attributes:
        service_tokens: The callers of a token file.
        json_web_tokens: Those whose tokens an issuer has signed.
        certificates: Whether a certificate is enough, for a call without token.
    """

    service_tokens: ServiceTokens | None = None
    json_web_tokens: JsonWebTokens | None = None
    certificates: bool = False

    async def authenticate(self, credentials: Credentials) -> Identity:
        """Returns who calls.

        Raises:
            UnauthenticatedError: That is not known; the text says why, and what would be right.
            KeysUnavailableError: The keys are not to be had now that would tell.
        """
        authorization = authorization_of(credentials)
        if authorization is None:
            if self.certificates and (named := identity_of_certificate(credentials)) is not None:
                return await self._described(named)
            raise UnauthenticatedError(f"the call does not say who makes it: {self._wanted()}")
        if self.service_tokens is None and self.json_web_tokens is None:
            raise UnauthenticatedError(
                "this server takes no tokens: send no `authorization`, and connect with a "
                "client certificate that names the caller"
            )
        scheme, _, token = authorization.strip().partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or " " in token:
            raise UnauthenticatedError(f"the call's `authorization` has to be {_FORM}")
        if len(token) > _MAX_TOKEN:
            raise UnauthenticatedError(f"the token is longer than {_MAX_TOKEN} characters")
        return await self._of_token(token)

    async def _described(self, named: Identity) -> Identity:
        """Returns whom a certificate names, with what the token file says of him."""
        if self.service_tokens is None:
            return named
        return await self.service_tokens.named(named.principal) or named

    async def _of_token(self, token: str) -> Identity:
        if self.service_tokens is not None:
            found = await self.service_tokens.find(token)
            if found is not None:
                return found
            if self.json_web_tokens is None:
                raise UnauthenticatedError("the token is not known to this server")
        assert self.json_web_tokens is not None
        if self.service_tokens is not None and token.count(".") != 2:
            raise UnauthenticatedError(
                "the token is neither a service token of this server nor a JSON Web Token"
            )
        return await self.json_web_tokens.authenticate(token)

    def _wanted(self) -> str:
        tokens = self.service_tokens is not None or self.json_web_tokens is not None
        wanted = f"send the metadata {_FORM}" if tokens else ""
        if self.certificates:
            joined = ", or connect" if wanted else "connect"
            wanted += f"{joined} with a client certificate that names the caller"
        return wanted

    async def close(self) -> None:
        """Lets go of the keys."""
        if self.json_web_tokens is not None:
            await self.json_web_tokens.close()
