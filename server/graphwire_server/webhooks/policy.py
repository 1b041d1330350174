"""Where webhooks may be sent: what a URL must be, and what is shown of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address
from urllib.parse import urlsplit

from graphwire_server.graphs.webhook_config import WebhookConfig
from graphwire_server.webhooks.addresses import Address, Network, read_address, why_refused

_PORTS = {"https": 443, "http": 80}
_PRINTABLE = re.compile(r"[\x21-\x7e]+")
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*")
#: What some resolvers take for a number of an address: 127.1, 0x7f000001, 2130706433.
_NUMBER = re.compile(r"(0[xX][0-9a-fA-F]*|[0-9]+)")
_MAX_HOST = 253


class UrlRefusedError(Exception):
    """No webhook may be sent to a URL: the text says why, without the URL itself."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that webhooks may be sent to, in its parts.

    Attributes:
        scheme: http or https.
        host: The name or address, in lower case; an IPv6 one without brackets.
        port: The port.
        path: The path with the query.
        address: The address, where the URL has no name.
    """

    scheme: str
    host: str
    port: int
    path: str
    address: Address | None

    @property
    def authority(self) -> str:
        """What the header Host says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UrlPolicy:
    """What a URL must be.

    Attributes:
        allow_http: Whether http is allowed beside https.
        domains: Lists of domains, of each of which the host must be in one: names, and "*.name"
            for all below one. Where there are some, no address may stand for a name, unless it
            is in a list as it is.
        ports: Lists of ports, in each of which the port must be.
        networks: Networks that are allowed although they are not public.
        max_length: The longest URL, in characters.
        why_https: What of the configuration would have to change for http to be allowed, in words.
        why_public: What of it would for an address that is not public.
    """

    allow_http: bool = False
    domains: tuple[tuple[str, ...], ...] = ()
    ports: tuple[tuple[int, ...], ...] = ()
    networks: tuple[Network, ...] = ()
    max_length: int = 2048
    why_https: str = "the server's setting GRAPHWIRE_WEBHOOK_ALLOW_HTTP would allow http"
    why_public: str = "the server's setting GRAPHWIRE_WEBHOOK_ALLOWED_NETWORKS would allow it"

    def narrowed(self, config: WebhookConfig) -> UrlPolicy:
        """Returns what a project allows of it."""
        return UrlPolicy(
            allow_http=self.allow_http and not config.require_https,
            domains=(*self.domains, *_given(config.allowed_domains)),
            ports=(*self.ports, *_given(config.allowed_ports)),
            networks=() if config.public_only else self.networks,
            max_length=min(self.max_length, config.max_url_length or self.max_length),
            why_https=_asked_for("require_https") if config.require_https else self.why_https,
            why_public=_asked_for("disable_private_ips") if config.public_only else self.why_public,
        )

    def check(self, url: str) -> Target:
        """Returns the parts of a URL that webhooks may be sent to, as far as it says itself.

        Raises:
            UrlRefusedError: None may.
        """
        if len(url) > self.max_length:
            raise UrlRefusedError(f"must have at most {self.max_length} characters")
        if not _PRINTABLE.fullmatch(url) or "\\" in url:
            raise UrlRefusedError(
                "must be printable ASCII without blanks and \\; encode other characters with %, "
                "and names with xn--"
            )
        target = self._parts(url)
        if target.scheme == "http" and not self.allow_http:
            raise UrlRefusedError(f"must be https; {self.why_https}")
        for domains in self.domains:
            if not _is_in(target.host, domains):
                raise UrlRefusedError("its host is none of the domains that this server allows")
        for ports in self.ports:
            if target.port not in ports:
                allowed = ", ".join(map(str, ports))
                raise UrlRefusedError(f"its port must be one of those allowed: {allowed}")
        if target.host == "localhost" or target.host.endswith(".localhost"):
            address = read_address("127.0.0.1")
        else:
            address = target.address
        if address is not None:
            self.check_address(address)
        return target

    def check_address(self, address: Address) -> None:
        """Refuses an address that is neither public nor in a network that is allowed.

        Raises:
            UrlRefusedError: It is refused.
        """
        refused = why_refused(address, self.networks)
        if refused:
            raise UrlRefusedError(
                f"must lead to a public address; its host's is {refused}; {self.why_public}"
            )

    def _parts(self, url: str) -> Target:
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError:
            raise UrlRefusedError("must be a URL such as https://example.com/hook") from None
        if parts.scheme not in _PORTS or not host:
            raise UrlRefusedError("must be a URL such as https://example.com/hook")
        if "@" in parts.netloc:
            raise UrlRefusedError("must have no user and no password; a secret belongs in a header")
        if "#" in url:
            raise UrlRefusedError("must have no fragment (#…): it is never sent")
        if port == 0:
            raise UrlRefusedError("must have a port from 1 to 65535")
        if parts.netloc.startswith("["):
            address = read_address(host)
            if not isinstance(address, IPv6Address):
                raise UrlRefusedError("has no IPv6 address between its brackets")
        else:
            address = read_address(host)
            numeric = _NUMBER.fullmatch(host.rpartition(".")[2])
            if len(host) > _MAX_HOST or not _HOST.fullmatch(host) or (numeric and not address):
                raise UrlRefusedError("its host is neither a name nor an address")
        path = parts.path or "/"
        if "?" in url:
            path = f"{path}?{parts.query}"
        return Target(parts.scheme, host, port or _PORTS[parts.scheme], path, address)


def host_of(url: str) -> str:
    """Returns the host of a URL; empty where there is none."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def masked(url: str) -> str:
    """Returns a URL as it may be shown: without its query, which may hold a secret."""
    before, question, _ = url.partition("?")
    return f"{before}?…" if question else url


def _is_in(host: str, domains: Iterable[str]) -> bool:
    lower = [domain.lower() for domain in domains]
    below = [domain[1:] for domain in lower if domain.startswith("*.")]
    return host in lower or any(host.endswith(end) and host != end[1:] for end in below)


def _asked_for(key: str) -> str:
    return f"webhooks.url.{key} of the project's langgraph.json asks for that"


def _given(values: tuple[str, ...] | tuple[int, ...] | None) -> tuple:  # type: ignore[type-arg]
    return () if values is None else (values,)
