"""Puts the sending of webhooks together from the settings and the project."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import structlog

from graphwire_server.graphs.webhook_config import WebhookConfig
from graphwire_server.storage.interface import Storage
from graphwire_server.storage.webhooks import WEBHOOKS
from graphwire_server.webhooks.lists import read_domains, read_networks, read_ports, read_secrets
from graphwire_server.webhooks.policy import UrlPolicy

if TYPE_CHECKING:
    from graphwire_server.settings import Settings
    from graphwire_server.webhooks.delivery import Deliverer
    from graphwire_server.webhooks.sender import Resolver

_log = structlog.get_logger("graphwire.webhooks")


class WebhookSetupError(Exception):
    """Webhooks can't be sent as the settings and the project say; the text says what would do."""


class Webhooks:
    """The sending of webhooks.

    Attributes:
        policy: Where they may be sent to.
    """

    def __init__(self, policy: UrlPolicy, deliverer: Deliverer, resolver: Resolver) -> None:
        """Takes its parts; `make` makes them."""
        self.policy = policy
        self._deliverer = deliverer
        self._resolver = resolver

    @classmethod
    def make(
        cls,
        settings: Settings,
        config: WebhookConfig,
        storage: Storage,
        on_delivered: Callable[[str], None] = lambda outcome: None,
    ) -> Webhooks:
        """Makes it; `start` sets it going.

        Args:
            settings: The server's settings.
            config: The project's.
            storage: Where webhooks are.
            on_delivered: Called after each attempt with its outcome: "delivered", "retry" or
                "failed".

        Raises:
            WebhookSetupError: Secrets of the environment would go to whatever host a caller names.
            OSError: `webhook_ca_file` can't be read, or has no certificates.
        """
        # Late, as they take a while: only servers that send webhooks need them.
        from graphwire_server.webhooks.delivery import Deliverer, Schedule
        from graphwire_server.webhooks.sender import Resolver, Sender, tls_context

        policy = policy_of(settings).narrowed(config)
        _check_headers(config, policy)
        secrets = read_secrets(settings.webhook_secrets)
        if not secrets:
            _log.warning("webhooks_unsigned")
        try:
            context = tls_context(settings.webhook_ca_file)
        except OSError as error:
            raise OSError(
                f"GRAPHWIRE_WEBHOOK_CA_FILE: {settings.webhook_ca_file} is no file of certificates "
                f"in PEM: {error}"
            ) from error
        resolver = Resolver(settings.webhook_concurrency)
        sender = Sender(
            policy,
            secrets=secrets,
            headers=config.headers,
            timeout_seconds=settings.webhook_timeout_seconds,
            context=context,
            resolve=resolver,
            agent=f"graphwire/{importlib.metadata.version('graphwire')}",
        )
        deliverer = Deliverer(
            storage,
            sender,
            Schedule(
                attempts=settings.webhook_max_attempts,
                first_seconds=settings.webhook_retry_seconds,
                longest_seconds=settings.webhook_max_retry_seconds,
                age_seconds=settings.webhook_max_age_seconds,
            ),
            timeout_seconds=settings.webhook_timeout_seconds,
            concurrency=settings.webhook_concurrency,
            on_delivered=on_delivered,
        )
        return cls(policy, deliverer, resolver)

    def start(self) -> None:
        """Begins to send."""
        self._deliverer.start()

    def on_announced(self, topics: Sequence[str]) -> None:
        """Looks for webhooks, if that is announced, or something may have been missed."""
        if not topics or WEBHOOKS in topics:
            self._deliverer.wake()

    async def stop(self, grace_seconds: float) -> None:
        """Stops; attempts under way get some time to end."""
        await self._deliverer.stop(grace_seconds)
        self._resolver.close()


def _check_headers(config: WebhookConfig, policy: UrlPolicy) -> None:
    """Refuses to send what the environment has to hosts that callers choose freely.

    LangGraph's server does so; whoever may start a run would read the secret on a host of his own.
    """
    if config.from_environment and not policy.domains:
        raise WebhookSetupError(
            f"langgraph.json sends the header {', '.join(config.from_environment)} of its "
            "webhooks.headers, with a value from the environment, to every URL that a caller "
            "names, who could read it there: say where webhooks may go, with "
            "webhooks.url.allowed_domains in langgraph.json or with "
            "GRAPHWIRE_WEBHOOK_ALLOWED_DOMAINS"
        )


def policy_of(settings: Settings) -> UrlPolicy:
    """Returns where the settings let webhooks go."""
    domains = read_domains(settings.webhook_allowed_domains)
    ports = read_ports(settings.webhook_allowed_ports)
    return UrlPolicy(
        allow_http=settings.webhook_allow_http,
        domains=(domains,) if domains else (),
        ports=(ports,) if ports else (),
        networks=read_networks(settings.webhook_allowed_networks),
        max_length=settings.webhook_max_url_length,
    )
