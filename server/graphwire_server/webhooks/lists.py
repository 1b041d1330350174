"""Settings of webhooks that are lists, as texts with commas."""

from __future__ import annotations

import base64
import binascii
import ipaddress

from graphwire_server.graphs.webhook_config import is_domain
from graphwire_server.webhooks.addresses import Network

_PREFIX = "whsec_"
_FEWEST_BYTES, _MOST_BYTES = 24, 64


def read_secrets(text: str) -> tuple[str, ...]:
    """Returns secrets. Raises ValueError, without showing them, if one is none."""
    secrets = _items(text)
    for number, secret in enumerate(secrets, start=1):
        try:
            size = len(base64.b64decode(secret.removeprefix(_PREFIX), validate=True))
        except (binascii.Error, ValueError):
            size = 0
        if not secret.startswith(_PREFIX) or not _FEWEST_BYTES <= size <= _MOST_BYTES:
            raise ValueError(
                f"{_PREFIX} and {_FEWEST_BYTES} to {_MOST_BYTES} bytes in base64, which secret "
                f"{number} of {len(secrets)} is not"
            )
    return secrets


def read_domains(text: str) -> tuple[str, ...]:
    """Returns domains. Raises ValueError if one is none."""
    for item in _items(text):
        if not is_domain(item):
            raise ValueError(f"names such as example.com or *.example.com, which {item!r} is not")
    return _items(text)


def read_ports(text: str) -> tuple[int, ...]:
    """Returns ports. Raises ValueError if one is none."""
    for item in _items(text):
        if not (item.isascii() and item.isdigit() and len(item) < 6 and 0 < int(item) < 65536):
            raise ValueError(f"ports from 1 to 65535, which {item!r} is not")
    return tuple(map(int, _items(text)))


def read_networks(text: str) -> tuple[Network, ...]:
    """Returns networks. Raises ValueError if one is none."""
    found = []
    for item in _items(text):
        try:
            found.append(ipaddress.ip_network(item))
        except ValueError as error:
            raise ValueError(f"networks such as 10.1.0.0/16: {error}") from None
    return tuple(found)


def _items(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())
