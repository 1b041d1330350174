"""Which addresses of the network a webhook may be sent to.

What is allowed is what is known to be public, not what is not known to be private: an address
of a kind that nobody has thought of is refused.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# By the registries of special-purpose addresses of the IANA.
_V4 = tuple(
    (ipaddress.IPv4Network(network), kind)
    for network, kind in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared (carrier-grade NAT)"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved for protocols"),
        ("192.0.2.0/24", "reserved for documentation"),
        ("192.88.99.0/24", "reserved for relays"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "reserved for benchmarks"),
        ("198.51.100.0/24", "reserved for documentation"),
        ("203.0.113.0/24", "reserved for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_V6 = tuple(
    (ipaddress.IPv6Network(network), kind)
    for network, kind in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("fc00::/7", "unique local"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
        ("2001::/23", "reserved for protocols"),
        ("2001:db8::/32", "reserved for documentation"),
        ("3fff::/20", "reserved for documentation"),
    )
)
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
#: Where an IPv4 address is inside an IPv6 one, and how far from its right end, in bits. Whoever
#: takes such an address may pass it on to the one inside.
_TRANSLATED = (
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),
    (ipaddress.IPv6Network("2002::/16"), 80),
)


def read_address(text: str) -> Address | None:
    """Returns the address that a text is; None if it is none, or one within a zone."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    zoned = isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None
    return None if zoned else address


def why_refused(address: Address, allowed: Sequence[Network]) -> str:
    """Returns why a webhook may not be sent to an address, in words; empty if it may.

    Args:
        address: The address.
        allowed: Networks that are allowed although they are not public.
    """
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        # It is the other one: systems connect to that.
        return why_refused(address.ipv4_mapped, allowed)
    if any(address.version == net.version and address in net for net in allowed):
        return ""
    if isinstance(address, ipaddress.IPv4Address):
        found = next((kind for net, kind in _V4 if address in net), "")
        return found or ("" if address.is_global else "not public")
    found = next((kind for net, kind in _V6 if address in net), "")
    if found:
        return found
    for net, shift in _TRANSLATED:
        if address in net:
            inner = ipaddress.IPv4Address(int(address) >> shift & 0xFFFFFFFF)
            refused = why_refused(inner, ())
            return f"one for {inner}, which is {refused}" if refused else ""
    return "" if address in _GLOBAL_V6 and address.is_global else "not public"
