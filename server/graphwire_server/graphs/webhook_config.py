"""What a langgraph.json says about webhooks: headers to send, and where none may go."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_KEY = "webhooks"
_ENV_PREFIX = "LG_WEBHOOK_"
_TEMPLATE = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_VARIABLE = re.compile(r"env\.([A-Za-z_][A-Za-z0-9_]*)")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_PLAIN = re.compile(r"[\x20-\x7e]*")
#: What a webhook is sent with says what it is: nobody else decides that.
_RESERVED = re.compile(
    r"webhook-.*|graphwire-.*|host|content-.*|transfer-encoding|connection|keep-alive|upgrade|te"
    r"|trailer|expect|proxy-.*"
)
_DOMAIN = re.compile(r"(\*\.)?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")

#: Makes the exception for a key and what is wrong with it.
MakeError = Callable[[str, str], Exception]


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    """The `webhooks` of a langgraph.json. Where it says nothing, the settings decide.

    Attributes:
        headers: Sent with each webhook; what the environment has is put in.
        from_environment: The names of those headers in which something of the environment is.
        require_https: Whether only https is allowed.
        allowed_domains: Names, and "*.name" for all below one; None: any.
        allowed_ports: Ports; None: any.
        max_url_length: The longest URL, in characters; None: the settings' own.
        public_only: Whether no private address is allowed, whatever the settings say.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    from_environment: tuple[str, ...] = ()
    require_https: bool = False
    allowed_domains: tuple[str, ...] | None = None
    allowed_ports: tuple[int, ...] | None = None
    max_url_length: int | None = None
    public_only: bool = False


def read_webhooks(
    value: object, environment: Mapping[str, str], error: MakeError
) -> tuple[WebhookConfig, list[str]]:
    """Reads `webhooks` of a langgraph.json.

    Args:
        value: What stands there.
        environment: Where the variables are that headers name.
        error: Makes the exception for a key and what is wrong with it.

    Returns what it says, and the keys that mean nothing to this server.
    """
    if not isinstance(value, dict):
        raise error(_KEY, "has to be an object")
    value = {key: each for key, each in value.items() if each is not None}
    prefix = value.get("env_prefix", _ENV_PREFIX)
    if not isinstance(prefix, str) or not prefix:
        raise error(f"{_KEY}.env_prefix", f'has to be text, such as "{_ENV_PREFIX}"')
    policy = value.get("url", {})
    if not isinstance(policy, dict):
        raise error(f"{_KEY}.url", "has to be an object")
    policy = {key: each for key, each in policy.items() if each is not None}
    unhonoured = [f"{_KEY}.{key}" for key in value if key not in ("env_prefix", "url", "headers")]
    flags = {}
    for key in ("require_https", "disable_loopback", "disable_private_ips"):
        flags[key] = policy.pop(key, None)
        if not isinstance(flags[key], bool | None):
            raise error(f"{_KEY}.url.{key}", "has to be true or false")
        if flags[key] is False:
            # It would allow what only a setting of the server does.
            unhonoured.append(f"{_KEY}.url.{key}")
    given = value.get("headers", {})
    config = WebhookConfig(
        headers=_headers(given, prefix, environment, error),
        from_environment=tuple(name for name, text in given.items() if _TEMPLATE.search(text)),
        require_https=bool(flags["require_https"]),
        allowed_domains=_domains(policy.pop("allowed_domains", None), error),
        allowed_ports=_ports(policy.pop("allowed_ports", None), error),
        max_url_length=_length(policy.pop("max_url_length", None), error),
        public_only=bool(flags["disable_private_ips"]),
    )
    return config, [*unhonoured, *(f"{_KEY}.url.{key}" for key in policy)]


def is_domain(text: str) -> bool:
    """Returns whether a text can be one of the allowed domains: a name, or "*.name"."""
    return _DOMAIN.fullmatch(text) is not None


def _headers(
    value: object, prefix: str, environment: Mapping[str, str], error: MakeError
) -> dict[str, str]:
    path = f"{_KEY}.headers"
    if not isinstance(value, dict):
        raise error(path, "has to be an object of texts")
    found: dict[str, str] = {}
    for name, text in value.items():
        key = f"{path}.{name}"
        if not _HEADER.fullmatch(name):
            raise error(key, "is no name of an HTTP header")
        if _RESERVED.fullmatch(name.lower()):
            raise error(key, "is a header that the server sets itself; take another name")
        if name.lower() in {other.lower() for other in found}:
            raise error(key, "stands twice, in upper and lower case; keep one")
        if not isinstance(text, str):
            raise error(key, "has to be text")
        found[name] = _filled(text, key, prefix, environment, error)
    return found


def _filled(
    text: str, key: str, prefix: str, environment: Mapping[str, str], error: MakeError
) -> str:
    def fill(template: re.Match[str]) -> str:
        variable = _VARIABLE.fullmatch(template[1])
        if variable is None:
            raise error(key, f"{template[0]} is no template; write ${{{{ env.{prefix}NAME }}}}")
        name = variable[1]
        if not name.startswith(prefix):
            raise error(key, f"{name} may not be sent: its name does not begin with {prefix}")
        if name not in environment:
            raise error(key, f"{name} is not in the environment")
        return environment[name]

    filled = _TEMPLATE.sub(fill, text)
    if not _PLAIN.fullmatch(filled):
        # Without the value, which may be a secret.
        raise error(key, "the value has characters that a header can't have")
    return filled


def _domains(value: object, error: MakeError) -> tuple[str, ...] | None:
    if value is None:
        return None
    items = _list("allowed_domains", value, error)
    for index, item in enumerate(items):
        if not isinstance(item, str) or not is_domain(item):
            what = 'has to be a name such as "example.com", or "*.example.com"'
            raise error(f"{_KEY}.url.allowed_domains[{index}]", what)
    return tuple(items)


def _ports(value: object, error: MakeError) -> tuple[int, ...] | None:
    if value is None:
        return None
    items = _list("allowed_ports", value, error)
    for index, item in enumerate(items):
        if isinstance(item, bool) or not isinstance(item, int) or not 0 < item < 65536:
            raise error(f"{_KEY}.url.allowed_ports[{index}]", "has to be a port: 1 to 65535")
    return tuple(items)


def _list(key: str, value: object, error: MakeError) -> list[Any]:
    if not isinstance(value, list):
        raise error(f"{_KEY}.url.{key}", "has to be a list")
    return value


def _length(value: object, error: MakeError) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise error(f"{_KEY}.url.max_url_length", "has to be a number of characters, at least 1")
    return value
