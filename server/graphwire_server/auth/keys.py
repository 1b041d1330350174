"""The keys that signatures of tokens are checked with, as PEM and JWKS files bring them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.exceptions import PyJWTError

from graphwire_server.auth.setup_errors import UnusableFileError
from graphwire_server.wording import counted

_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES = {
    "secp256r1": frozenset({"ES256"}),
    "secp384r1": frozenset({"ES384"}),
    "secp521r1": frozenset({"ES512"}),
    "secp256k1": frozenset({"ES256K"}),
}
#: How long a secret has to be for each: as long as what the hash makes of it (RFC 7518, 3.2).
_SECRETS = {"HS256": 32, "HS384": 48, "HS512": 64}
_FAMILIES: dict[str, Any] = {
    "RSA": RSAAlgorithm,
    "EC": ECAlgorithm,
    "OKP": OKPAlgorithm,
    "oct": HMACAlgorithm,
}
#: The members of a JWK that only who signs should have.
_PRIVATE = ("d", "p", "q", "dp", "dq", "qi")

_MIN_RSA_BITS = 2048
_MAX_KEYS = 100
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_FORMS = "a PEM public key or certificate, or a JWKS (JSON)"


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key that signatures are checked with.

    Attributes:
        kid: The id by which tokens name it; empty if it has none.
        algorithms: Those that it may be used with: they follow from its kind, never from what a
            token says.
        key: The public key, or the secret.
    """

    kid: str
    algorithms: frozenset[str]
    key: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys of an issuer.

    Attributes:
        keys: Those that can be used.
        skipped: Why others can't, a text each.
    """

    keys: tuple[VerificationKey, ...]
    skipped: tuple[str, ...] = ()

    @property
    def algorithms(self) -> frozenset[str]:
        """Returns the algorithms that some key may be used with."""
        return frozenset[str]().union(*(key.algorithms for key in self.keys))


class _UnusableKeyError(Exception):
    """A key can't be used; the text says why."""


def read_key_file(data: bytes) -> KeySet:
    """Returns the keys of a PEM or JWKS file.

    Raises:
        UnusableFileError: It is neither, or has a key that can't be used.
    """
    if data.lstrip().startswith((b"{", b"\xef\xbb\xbf{")):
        found = read_key_set(data, with_secrets=True)
        if found.skipped:
            raise UnusableFileError(found.skipped[0])
    else:
        found = _read_pem(data)
    if not found.keys:
        raise UnusableFileError("has no key that signatures could be checked with")
    return found


def read_key_set(data: bytes, *, with_secrets: bool) -> KeySet:
    """Returns the keys of a JWKS. Those for encryption are left out without a word.

    Args:
        data: The JSON text.
        with_secrets: Whether keys of the kind `oct` count: not where everybody can read them.

    Raises:
        UnusableFileError: It is no JWKS.
    """
    try:
        document = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise UnusableFileError("is no JSON") from None
    listed = document.get("keys") if isinstance(document, dict) else None
    if isinstance(document, dict) and "kty" in document and listed is None:
        listed = [document]
    if not isinstance(listed, list):
        raise UnusableFileError('is no JWKS, which is an object with a list of "keys"')
    if len(listed) > _MAX_KEYS:
        raise UnusableFileError(f"has more than {_MAX_KEYS} keys")
    keys: list[VerificationKey] = []
    skipped: list[str] = []
    for index, jwk in enumerate(listed):
        if isinstance(jwk, dict) and not _is_for_signatures(jwk):
            continue
        try:
            keys.append(_key_of(jwk, with_secrets=with_secrets))
        except _UnusableKeyError as error:
            skipped.append(f"keys[{index}]: {error}")
    return KeySet(tuple(keys), tuple(skipped))


def _is_for_signatures(jwk: dict[str, Any]) -> bool:
    operations = jwk.get("key_ops")
    return jwk.get("use", "sig") == "sig" and (
        not isinstance(operations, list) or "verify" in operations
    )


def _key_of(jwk: object, *, with_secrets: bool) -> VerificationKey:
    if not isinstance(jwk, dict):
        raise _UnusableKeyError("has to be an object")
    kind, kid, named = jwk.get("kty"), jwk.get("kid", ""), jwk.get("alg")
    if not isinstance(kid, str):
        raise _UnusableKeyError("its kid has to be a text")
    family = _FAMILIES.get(kind) if isinstance(kind, str) else None
    if family is None:
        raise _UnusableKeyError("its kty has to be RSA, EC, OKP or oct")
    if kind == "oct":
        if not with_secrets:
            raise _UnusableKeyError("is a secret (oct), which counts in a file only")
    elif any(name in jwk for name in _PRIVATE):
        raise _UnusableKeyError(_PRIVATE_KEY)
    try:
        key = family.from_jwk(jwk)
    except (PyJWTError, ValueError, TypeError, KeyError, UnsupportedAlgorithm):
        raise _UnusableKeyError(f"is no {kind} key that can be read") from None
    algorithms = _algorithms_of(key)
    if named is not None:
        if named not in algorithms:
            raise _UnusableKeyError(f"its alg does not fit it: {', '.join(sorted(algorithms))}")
        algorithms = frozenset({named})
    return VerificationKey(kid, algorithms, key)


_PRIVATE_KEY = (
    "is a private key, which only who signs should have; give the public key that belongs to it"
)


def _algorithms_of(key: object) -> frozenset[str]:
    """Returns the algorithms that a key may be used with."""
    match key:
        case rsa.RSAPublicKey():
            if key.key_size < _MIN_RSA_BITS:
                raise _UnusableKeyError(
                    f"has {key.key_size} bits; an RSA key needs {_MIN_RSA_BITS} at least"
                )
            return _RSA
        case ec.EllipticCurvePublicKey() if key.curve.name in _CURVES:
            return _CURVES[key.curve.name]
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            return frozenset({"EdDSA"})
        case bytes():
            fitting = frozenset(name for name, least in _SECRETS.items() if len(key) >= least)
            if not fitting:
                raise _UnusableKeyError(
                    f"is a secret of {counted(len(key), 'byte')}; HS256 needs "
                    f"{_SECRETS['HS256']} at least"
                )
            return fitting
        case _:
            raise _UnusableKeyError(
                "is of a kind that signs no tokens; they are signed with RSA, EC (P-256, P-384, "
                "P-521, secp256k1), Ed25519 or Ed448 keys"
            )


def _read_pem(data: bytes) -> KeySet:
    blocks = list(_BLOCK.finditer(data))
    if not blocks:
        raise UnusableFileError(f"has no key; it has to be {_FORMS}")
    keys = []
    for number, block in enumerate(blocks, 1):
        at = f"block {number}: " if len(blocks) > 1 else ""
        kind = block[1].decode()
        if "PRIVATE KEY" in kind:
            raise UnusableFileError(f"{at}{_PRIVATE_KEY}")
        try:
            if kind == "CERTIFICATE":
                key: object = x509.load_pem_x509_certificate(block[0]).public_key()
            elif kind in ("PUBLIC KEY", "RSA PUBLIC KEY"):
                key = load_pem_public_key(block[0])
            else:
                raise UnusableFileError(f"{at}{kind} is not {_FORMS}")
            keys.append(VerificationKey("", _algorithms_of(key), key))
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise UnusableFileError(f"{at}can't be read as a PEM {kind.lower()}") from None
        except _UnusableKeyError as error:
            raise UnusableFileError(f"{at}{error}") from None
    return KeySet(tuple(keys))
