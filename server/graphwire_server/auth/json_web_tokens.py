"""JSON Web Tokens: who an issuer says that the caller is."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt
from graphwire.errors import UnauthenticatedError

from graphwire_server.auth.identity import PERMISSIONS, Identity
from graphwire_server.auth.key_sets import KeySource
from graphwire_server.auth.keys import KeySet, VerificationKey
from graphwire_server.auth.names import described, wrong_name

#: How a permission is written in a token: others may have scopes of the same name.
PERMISSION_PREFIX = "graphwire:"
#: How many tokens that hold are remembered, so that their signature is not checked again.
_REMEMBERED = 2048
#: How much of a text of a token goes into an error, in characters.
_SHOWN = 100


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a token has to say.

    Attributes:
        issuer: Its `iss`.
        audience: Its `aud`, or one of them.
        principal_claim: Which claim names the caller.
        owner_claim: Which claim names the owner of his threads; empty: the caller himself.
        permissions_claim: Which claim lists permissions: a text with blanks, or a list.
        leeway: By how much clocks may differ, in seconds.
    """

    issuer: str
    audience: str
    principal_claim: str = "sub"
    owner_claim: str = ""
    permissions_claim: str = "scope"
    leeway: float = 30


@dataclass(frozen=True, slots=True)
class _Held:
    """A token that held: whose it is, and until when (Unix time, seconds)."""

    identity: Identity
    until: float


class JsonWebTokens:
    """Checks tokens against an issuer's keys."""

    def __init__(
        self, keys: KeySource, rules: TokenRules, *, now: Callable[[], float] = time.time
    ) -> None:
        """Takes the keys and the rules; `now` tells the Unix time, in seconds."""
        self._keys = keys
        self._rules = rules
        self._now = now
        self._held: dict[bytes, _Held] = {}
        self._generation = keys.generation

    async def authenticate(self, token: str) -> Identity:
        """Returns whose token it is.

        Raises:
            UnauthenticatedError: It does not hold; the text says why.
            KeysUnavailableError: The keys are not to be had now that would tell.
        """
        keys = await self._keys.keys()
        if self._generation != self._keys.generation:
            self._generation = self._keys.generation
            self._held.clear()
        name = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        held = self._held.get(name)
        if held is not None and self._now() < held.until:
            return held.identity
        algorithm, kid = _read_header(token)
        fitting = _fitting(keys, algorithm, kid)
        if fitting is None and await self._keys.look_again():
            keys = await self._keys.keys()
            fitting = _fitting(keys, algorithm, kid)
        if fitting is None:
            raise UnauthenticatedError(
                f"the token is signed with a key that this server does not know: kid {_shown(kid)}"
            )
        if not fitting:
            raise UnauthenticatedError(
                f"the token is signed with {_shown(algorithm)}, and its key is for "
                f"{', '.join(sorted(_named(keys, kid).algorithms)) or 'nothing'}"
            )
        claims = self._claims(token, algorithm, fitting)
        identity = self._identity(claims)
        # Keys may have changed while this call waited for them.
        if self._generation == self._keys.generation:
            self._remember(name, _Held(identity, float(claims["exp"]) + self._rules.leeway))
        return identity

    async def close(self) -> None:
        """Lets go of the keys."""
        await self._keys.close()

    def _claims(
        self, token: str, algorithm: str, keys: Iterable[VerificationKey]
    ) -> dict[str, Any]:
        for key in keys:
            try:
                return jwt.decode(
                    token,
                    key=key.key,
                    algorithms=[algorithm],
                    issuer=self._rules.issuer,
                    audience=self._rules.audience,
                    leeway=self._rules.leeway,
                    # Whether these are texts is looked at where they name the caller.
                    options={"require": ["exp"], "verify_sub": False, "verify_jti": False},
                )
            except (jwt.InvalidSignatureError, jwt.InvalidKeyError):
                continue
            except jwt.InvalidTokenError as error:
                # Its signature holds, or it can't be read: claims are looked at afterwards.
                raise self._refusal(token, error) from None
            except (ValueError, TypeError, OverflowError, RecursionError):
                raise UnauthenticatedError(_UNREADABLE) from None
        raise UnauthenticatedError("the token's signature does not hold")

    def _refusal(self, token: str, error: jwt.InvalidTokenError) -> UnauthenticatedError:
        """Returns what the caller is told of a token whose signature holds."""
        rules = self._rules
        if isinstance(error, jwt.MissingRequiredClaimError):
            return UnauthenticatedError(f"the token has no `{error.claim}`")
        try:
            claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
        except (jwt.InvalidTokenError, ValueError, TypeError, RecursionError):
            return UnauthenticatedError(_UNREADABLE)
        match error:
            case jwt.ExpiredSignatureError():
                text = f"the token has expired at {_time(claims['exp'])}"
            case jwt.ImmatureSignatureError():
                name = "nbf" if str(error).endswith("(nbf)") else "iat"
                text = f"the token does not hold before {_time(claims[name])} (`{name}`)"
            case jwt.InvalidAudienceError():
                text = (
                    f"the token is for {_shown(claims.get('aud'))}; the audience that is "
                    f"expected here is {_shown(rules.audience)}"
                )
            case jwt.InvalidIssuerError():
                text = (
                    f"the token is of the issuer {_shown(claims.get('iss'))}; the one that is "
                    f"expected here is {_shown(rules.issuer)}"
                )
            case _:
                text = "the token has a time (`exp`, `nbf`, `iat`) that is no number"
        return UnauthenticatedError(text)

    def _identity(self, claims: dict[str, Any]) -> Identity:
        rules = self._rules
        principal = _name(claims, rules.principal_claim)
        owner = _name(claims, rules.owner_claim) if rules.owner_claim else principal
        permissions = _permissions(_claim(claims, rules.permissions_claim))
        return Identity(
            principal=principal,
            owner=owner,
            permissions=permissions,
            user=described(principal, permissions),
        )

    def _remember(self, name: bytes, held: _Held) -> None:
        while len(self._held) >= _REMEMBERED:
            del self._held[next(iter(self._held))]
        self._held[name] = held


_UNREADABLE = "the token can't be read as a JSON Web Token"


def _read_header(token: str) -> tuple[str, str | None]:
    """Returns a token's algorithm, and the id of its key if it names one."""
    head, *rest = token.split(".")
    if len(rest) != 2:
        raise UnauthenticatedError(
            "the token is no JSON Web Token, which has three parts with dots between them"
        )
    try:
        header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (ValueError, RecursionError):
        raise UnauthenticatedError(_UNREADABLE) from None
    if not isinstance(header, dict):
        raise UnauthenticatedError(_UNREADABLE)
    if "crit" in header or "b64" in header:
        raise UnauthenticatedError("the token asks for extensions (crit) that are not known here")
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or not isinstance(kid, str | None):
        raise UnauthenticatedError("the token's header has to have an alg and a kid that are texts")
    return algorithm, kid


def _named(keys: KeySet, kid: str | None) -> KeySet:
    """Returns the keys that a token may mean: those of its kid, or, if there is none, without."""
    if kid is None:
        return keys
    named = tuple(key for key in keys.keys if key.kid == kid)
    return KeySet(named or tuple(key for key in keys.keys if not key.kid))


def _fitting(keys: KeySet, algorithm: str, kid: str | None) -> list[VerificationKey] | None:
    """Returns the keys that may be tried with an algorithm; None if none has the kid."""
    named = _named(keys, kid).keys
    if not named and kid is not None:
        return None
    return [key for key in named if algorithm in key.algorithms]


def _claim(claims: dict[str, Any], path: str) -> Any:
    """Returns a claim by its name, or by names with dots between them; None if it is not there."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _name(claims: dict[str, Any], claim: str) -> str:
    value = _claim(claims, claim)
    if value is None:
        raise UnauthenticatedError(f"the token has no `{claim}`, which would name the caller")
    if reason := wrong_name(value):
        raise UnauthenticatedError(f"the token's `{claim}` {reason}")
    return str(value)


def _permissions(value: Any) -> frozenset[str]:
    listed = value.split() if isinstance(value, str) else value if isinstance(value, list) else []
    found = {
        item.removeprefix(PERMISSION_PREFIX)
        for item in listed
        if isinstance(item, str) and item.startswith(PERMISSION_PREFIX)
    }
    return PERMISSIONS & found


def _time(value: Any) -> str:
    """Returns a claim's Unix time as ISO 8601."""
    try:
        return datetime.fromtimestamp(int(value), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, TypeError, OverflowError, OSError):
        return "a time that can't be written"


def _shown(value: Any) -> str:
    """Returns a value of a token as an error may show it."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return "something else"
    text = "".join(letter if letter.isprintable() else "�" for letter in text[: _SHOWN + 1])
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
