"""Who may call, and what every call has to pass."""

from __future__ import annotations

import structlog

from graphwire_server.auth.opening import Authentication, open_authentication
from graphwire_server.auth.policies import Ownership, ProjectPolicy
from graphwire_server.graphs.project import Project
from graphwire_server.graphs.registry import GraphRegistry
from graphwire_server.rpc.authorization import Authorizer
from graphwire_server.rpc.guard import Guard
from graphwire_server.rpc.payloads import PayloadCodec
from graphwire_server.rpc.transport import Transport
from graphwire_server.settings import Settings
from graphwire_server.storage.interface import Storage

_log = structlog.get_logger("graphwire.server")


async def authentication_of(
    settings: Settings, project: Project, transport: Transport
) -> Authentication | None:
    """Opens what finds out who calls; None, and a warning where others can connect: nobody asks.

    Raises:
        GraphLoadError: The project's `auth` can't be loaded.
        AuthSetupError: Who calls can't be found out as the settings say.
    """
    authentication = await open_authentication(settings, project)
    if authentication is None and not transport.listen.is_local and not settings.tls_client_ca_file:
        _log.warning(
            "open_to_everybody",
            listen=str(transport.listen),
            why="no authentication is set up: whoever can connect sees and does everything",
        )
    return authentication


def make_guard(
    authentication: Authentication | None,
    storage: Storage,
    registry: GraphRegistry,
    codec: PayloadCodec,
) -> Guard | None:
    """Returns what every call has to pass; None: everybody may do everything."""
    if authentication is None:
        return None
    rules = authentication.rules
    policy = Ownership() if rules is None else ProjectPolicy(rules.ask)
    registry.assistants_are_listed = rules is None
    return Guard(authentication.authenticator, Authorizer(policy, storage, registry, codec))
