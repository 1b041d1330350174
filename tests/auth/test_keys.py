"""Keys: what each kind may be used for, and which files are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trustme
from graphwire_server.auth.keys import read_key_file, read_key_set
from graphwire_server.auth.setup_errors import UnusableFileError

from tests.auth.issuer import jwk, jwks, private_pem, public_pem, secret

RSA = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
KINDS = {
    "rsa": RSA,
    "p256": {"ES256"},
    "p384": {"ES384"},
    "p521": {"ES512"},
    "k1": {"ES256K"},
    "ed25519": {"EdDSA"},
    "ed448": {"EdDSA"},
}
OF_NO_USE = (
    "is of a kind that signs no tokens; they are signed with RSA, EC (P-256, P-384, P-521, "
    "secp256k1), Ed25519 or Ed448 keys"
)
PRIVATE = (
    "is a private key, which only who signs should have; give the public key that belongs to it"
)


@pytest.mark.parametrize("name", KINDS)
def test_the_algorithms_follow_from_the_kind_of_the_key(name: str) -> None:
    (of_pem,) = read_key_file(public_pem(name)).keys
    assert of_pem.kid == ""
    assert of_pem.algorithms == KINDS[name]
    (of_jwks,) = read_key_file(jwks(jwk(name))).keys
    assert of_jwks.kid == name
    assert of_jwks.algorithms == KINDS[name]


@pytest.mark.parametrize(
    "length, algorithms",
    [(32, {"HS256"}), (48, {"HS256", "HS384"}), (64, {"HS256", "HS384", "HS512"})],
)
def test_a_secret_is_for_what_it_is_long_enough_for(length: int, algorithms: set[str]) -> None:
    (key,) = read_key_file(jwks(secret(length))).keys
    assert key.algorithms == algorithms
    assert "sss" not in repr(key)


def test_alg_narrows_what_a_key_is_for() -> None:
    (key,) = read_key_file(jwks(jwk("rsa", alg="PS256"))).keys
    assert key.algorithms == {"PS256"}


def test_a_certificate_and_several_blocks_are_keys() -> None:
    certificate = trustme.CA().cert_pem.bytes()
    keys = read_key_file(b"Comment\n" + certificate + public_pem("rsa")).keys
    assert [key.algorithms for key in keys] == [{"ES256"}, RSA]


def test_a_lone_jwk_and_keys_that_are_for_something_else() -> None:
    (key,) = read_key_file(json.dumps(jwk("p256")).encode()).keys
    assert key.kid == "p256"
    found = read_key_file(
        jwks(jwk("rsa", use="enc"), jwk("rsa2", key_ops=["sign"]), jwk("p256", use="sig"))
    )
    assert [key.kid for key in found.keys] == ["p256"]
    assert found.skipped == ()


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"", "has no key; it has to be a PEM public key or certificate, or a JWKS (JSON)"),
        (private_pem("rsa"), PRIVATE),
        (public_pem("rsa") + private_pem("p256"), f"block 2: {PRIVATE}"),
        (public_pem("short"), "has 1024 bits; an RSA key needs 2048 at least"),
        (public_pem("p224"), OF_NO_USE),
        (
            b"-----BEGIN PUBLIC KEY-----\nc2VjcmV0\n-----END PUBLIC KEY-----",
            "can't be read as a PEM public key",
        ),
        (
            b"-----BEGIN DH PARAMETERS-----\nc2VjcmV0\n-----END DH PARAMETERS-----",
            "DH PARAMETERS is not a PEM public key or certificate, or a JWKS (JSON)",
        ),
        (b"{secret", "is no JSON"),
        (b"{}", 'is no JWKS, which is an object with a list of "keys"'),
        (b'{"keys": {}}', 'is no JWKS, which is an object with a list of "keys"'),
        (b'{"keys": []}', "has no key that signatures could be checked with"),
        (jwks(jwk("rsa", use="enc")), "has no key that signatures could be checked with"),
        (jwks(*[jwk("p256")] * 101), "has more than 100 keys"),
        (b'{"keys": ["secret"]}', "keys[0]: has to be an object"),
        (jwks(jwk("p256"), {"kty": "X"}), "keys[1]: its kty has to be RSA, EC, OKP or oct"),
        (jwks({"kty": "RSA", "n": "secret"}), "keys[0]: is no RSA key that can be read"),
        (jwks(jwk("p256", kid=1)), "keys[0]: its kid has to be a text"),
        (jwks(jwk("p256", d="secret")), f"keys[0]: {PRIVATE}"),
        (jwks(jwk("p256", alg="ES384")), "keys[0]: its alg does not fit it: ES256"),
        (
            jwks(jwk("rsa", alg="HS256")),
            "keys[0]: its alg does not fit it: PS256, PS384, PS512, RS256, RS384, RS512",
        ),
        (jwks(secret(31)), "keys[0]: is a secret of 31 bytes; HS256 needs 32 at least"),
        (jwks(secret(32, alg="HS512")), "keys[0]: its alg does not fit it: HS256"),
    ],
)
def test_a_file_of_what_can_not_be_used_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(UnusableFileError) as caught:
        read_key_file(data)
    assert str(caught.value) == reason


def test_from_an_address_what_can_not_be_used_is_left_out_secrets_too() -> None:
    listed: list[dict[str, Any]] = [secret(64), jwk("p256"), jwk("rsa", d="x"), {"kty": "X"}]
    found = read_key_set(jwks(*listed), with_secrets=False)
    assert [key.kid for key in found.keys] == ["p256"]
    assert found.skipped == (
        "keys[0]: is a secret (oct), which counts in a file only",
        f"keys[2]: {PRIVATE}",
        "keys[3]: its kty has to be RSA, EC, OKP or oct",
    )
    assert read_key_set(jwks(), with_secrets=False).keys == ()
