"""Opens what finds out who calls, as settings and langgraph.json ask for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from graphwire_server.auth.chain import Chain
from graphwire_server.auth.identity import Authenticator
from graphwire_server.auth.service_tokens import ServiceTokens
from graphwire_server.auth.setup_errors import AuthSetupError
from graphwire_server.graphs.load_errors import GraphLoadError, NotAGraphError, load_error
from graphwire_server.graphs.loader import load_object
from graphwire_server.graphs.project import Project
from graphwire_server.settings import Settings

# Tokens and a project's rules need libraries that take a while to import: only where asked for.
if TYPE_CHECKING:
    from graphwire_server.auth.json_web_tokens import JsonWebTokens
    from graphwire_server.auth.project_rules import ProjectRules
    from graphwire_server.graphs.auth_entry import AuthEntry

_log = structlog.get_logger("graphwire.auth")


@dataclass(frozen=True, slots=True)
class Authentication:
    """How this server finds out who calls.

    Attributes:
        authenticator: Finds it out.
        rules: The project's own rules, which stand in place of ownership; None: it has none.
    """

    authenticator: Authenticator
    rules: ProjectRules | None = None

    async def close(self) -> None:
        """Lets go of what it holds."""
        await self.authenticator.close()


async def open_authentication(settings: Settings, project: Project) -> Authentication | None:
    """Returns how callers are known; None if nothing is set up: everybody is anonymous.

    The project has to be prepared, since its `auth` is imported as its graphs are.

    Raises:
        AuthSetupError: A setting, or a file that one names, can't be used.
        GraphLoadError: The project's `auth` can't be loaded.
    """
    asked_for = _sources(settings)
    if project.auth is not None:
        if asked_for:
            raise AuthSetupError(
                f"{asked_for[0]} and `auth` in {project.file} are both set: choose one, since "
                "each alone would decide who calls"
            )
        return _open_project(project, project.auth)
    if not asked_for:
        return None
    if settings.auth_certificates and not settings.tls_client_ca_file:
        raise AuthSetupError(
            "auth_certificates is set, but not tls_client_ca_file: name the authorities of the "
            "clients' certificates"
        )
    # What can be wrong for good comes first: nothing is fetched in vain.
    service_tokens = None
    if settings.auth_tokens:
        service_tokens = ServiceTokens(Path(settings.auth_tokens))
    json_web_tokens = await _open_tokens(settings) if settings.jwt_keys else None
    _log.info("authentication", by=asked_for)
    return Authentication(
        Chain(
            service_tokens=service_tokens,
            json_web_tokens=json_web_tokens,
            certificates=settings.auth_certificates,
        )
    )


def _sources(settings: Settings) -> list[str]:
    if not settings.jwt_keys:
        for name in ("jwt_issuer", "jwt_audience"):
            if getattr(settings, name):
                raise AuthSetupError(
                    f"{name} is set, but not jwt_keys: name the issuer's keys, or tokens are not "
                    "looked at"
                )
    else:
        for name, about in (
            ("jwt_issuer", "the `iss` of its tokens"),
            ("jwt_audience", "the `aud` of tokens that are meant for this server"),
            ("jwt_principal_claim", "the claim that names the caller"),
        ):
            if not getattr(settings, name):
                raise AuthSetupError(f"{name} is missing, which jwt_keys needs: {about}")
    return [
        name for name in ("auth_tokens", "jwt_keys", "auth_certificates") if getattr(settings, name)
    ]


async def _open_tokens(settings: Settings) -> JsonWebTokens:
    from graphwire_server.auth.json_web_tokens import JsonWebTokens, TokenRules
    from graphwire_server.auth.key_sets import KeyAddress, KeyFile, KeySource, check_address

    keys: KeySource
    where = settings.jwt_keys
    if "://" in where:
        if not where.lower().startswith(("https://", "http://")):
            raise AuthSetupError("jwt_keys: has to be a file, or an https:// address")
        check_address(where)
        keys = address = KeyAddress(where)
        await address.open()
    else:
        keys = KeyFile(Path(where))
    rules = TokenRules(
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        principal_claim=settings.jwt_principal_claim,
        owner_claim=settings.jwt_owner_claim,
        permissions_claim=settings.jwt_permissions_claim,
        leeway=settings.jwt_leeway_seconds,
    )
    return JsonWebTokens(keys, rules)


def _open_project(project: Project, entry: AuthEntry) -> Authentication:
    from langgraph_sdk import Auth

    from graphwire_server.auth.project_auth import ProjectAuthenticator
    from graphwire_server.auth.project_rules import ProjectRules

    auth: Any = load_object(project, entry.place)

    def wrong(reason: str) -> GraphLoadError:
        return load_error(project, entry.place, NotAGraphError(reason))

    if not isinstance(auth, Auth):
        raise wrong(f"is {type(auth).__name__}, not a langgraph_sdk.Auth")
    if auth._authenticate_handler is None:
        raise wrong("has no `authenticate` handler: register one with `@auth.authenticate`")
    try:
        authenticator = ProjectAuthenticator(auth._authenticate_handler, entry.cache)
    except TypeError as error:
        raise wrong(f"its `authenticate` can't be called: {error}") from None
    rules = ProjectRules(auth)
    _log.info("authentication", by=["auth"], file=str(project.file))
    rules.warn()
    return Authentication(authenticator, rules)
