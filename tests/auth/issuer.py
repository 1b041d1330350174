"""An issuer of tokens: its keys, the tokens that it signs, and where it publishes its keys."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from graphwire_server.auth.json_web_tokens import TokenRules
from graphwire_server.auth.keys import KeySet
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER = "https://issuer.example"
AUDIENCE = "graphwire"
RULES = TokenRules(issuer=ISSUER, audience=AUDIENCE)

_MAKERS: dict[str, Callable[[], Any]] = {
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "rsa2": lambda: rsa.generate_private_key(65537, 2048),
    "short": lambda: rsa.generate_private_key(65537, 1024),
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "p224": lambda: ec.generate_private_key(ec.SECP224R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ed448": ed448.Ed448PrivateKey.generate,
}


@cache
def private(name: str) -> Any:
    """A private key, the same each time."""
    return _MAKERS[name]()


def public_pem(name: str) -> bytes:
    """The public key as PEM."""
    found: bytes = (
        private(name).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return found


def private_pem(name: str) -> bytes:
    """The private key as PEM."""
    found: bytes = private(name).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return found


def jwk(name: str, **more: Any) -> dict[str, Any]:
    """The public key as JWK; its kid is its name."""
    key = private(name).public_key()
    if isinstance(key, rsa.RSAPublicKey):
        family: Any = RSAAlgorithm
    elif isinstance(key, ec.EllipticCurvePublicKey):
        family = ECAlgorithm
    else:
        family = OKPAlgorithm
    return {**json.loads(family.to_jwk(key)), "kid": name, **more}


def secret(length: int, **more: Any) -> dict[str, Any]:
    """A secret of so many bytes as JWK."""
    coded = base64.urlsafe_b64encode(b"s" * length).rstrip(b"=").decode()
    return {"kty": "oct", "k": coded, **more}


def jwks(*keys: dict[str, Any]) -> bytes:
    """A JWKS of these keys."""
    return json.dumps({"keys": keys}).encode()


def claims(**more: Any) -> dict[str, Any]:
    """The claims of a token that holds, with others in addition or in place; None: without."""
    base = {"iss": ISSUER, "aud": AUDIENCE, "sub": "anna", "exp": time.time() + 600}
    return {name: value for name, value in {**base, **more}.items() if value is not None}


def signed(
    name: str = "rsa",
    algorithm: str = "RS256",
    *,
    headers: dict[str, Any] | None = None,
    **more: Any,
) -> str:
    """A token with these claims."""
    return jwt.encode(claims(**more), private(name), algorithm=algorithm, headers=headers)


def forged(header: dict[str, Any], payload: Any, signature: bytes = b"") -> str:
    """A token that no library would write."""
    parts = [json.dumps(part).encode() for part in (header, payload)]
    return ".".join(
        base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (*parts, signature)
    )


@dataclass
class FixedKeys:
    """Keys that are there; what `look_again` brings is in `later`."""

    now: KeySet
    later: KeySet | None = None
    generation: int = 0
    looked: int = 0

    async def keys(self) -> KeySet:
        """Returns the keys."""
        return self.now

    async def look_again(self) -> bool:
        """Brings the later ones."""
        self.looked += 1
        if self.later is None:
            return False
        self.now, self.later = self.later, None
        self.generation += 1
        return True

    async def close(self) -> None:
        """Does nothing."""


@dataclass
class Clock:
    """A clock that stands still until it is put forward."""

    time: float = 1000.0

    def __call__(self) -> float:
        return self.time


@dataclass
class KeyServer:
    """An HTTP server of one page, on loopback.

    Attributes:
        body: The page.
        status: The status that it answers with.
        headers: Further headers.
        requests: The heads of the requests that it got.
        hold: While it is cleared no answer is sent.
    """

    body: bytes
    status: str = "200 OK"
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[bytes] = field(default_factory=list)
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    address: str = ""
    _came: asyncio.Condition = field(default_factory=asyncio.Condition)

    def __post_init__(self) -> None:
        self.hold.set()

    async def came(self, number: int) -> None:
        """Waits until so many requests have come."""
        async with self._came:
            await self._came.wait_for(lambda: len(self.requests) >= number)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the requests of a connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(head)
                async with self._came:
                    self._came.notify_all()
                await self.hold.wait()
                lines = [f"HTTP/1.1 {self.status}", f"content-length: {len(self.body)}"]
                lines += [f"{name}: {value}" for name, value in self.headers.items()]
                writer.write("\r\n".join([*lines, "", ""]).encode() + self.body)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def key_server(body: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[KeyServer]:
    """A server of a JWKS; with a TLS context over HTTPS, as `localhost`."""
    server = KeyServer(body)
    listening = await asyncio.start_server(server.answer, "127.0.0.1", 0, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    server.address = f"https://localhost:{port}/keys" if tls else f"http://127.0.0.1:{port}/keys"
    try:
        yield server
    finally:
        server.hold.set()
        listening.close()
        if hasattr(listening, "close_clients"):
            listening.close_clients()
        await listening.wait_closed()
