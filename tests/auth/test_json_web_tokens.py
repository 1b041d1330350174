"""JSON Web Tokens: which hold, which are refused with which words, and which are forged."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from graphwire.errors import UnauthenticatedError
from graphwire_server.auth.identity import Identity
from graphwire_server.auth.json_web_tokens import JsonWebTokens, TokenRules
from graphwire_server.auth.key_sets import KeyFile
from graphwire_server.auth.keys import read_key_file
from jwt.utils import base64url_encode

from tests.auth.issuer import (
    AUDIENCE,
    ISSUER,
    RULES,
    Clock,
    FixedKeys,
    claims,
    forged,
    jwk,
    jwks,
    private,
    public_pem,
    secret,
    signed,
)

UNREADABLE = "the token can't be read as a JSON Web Token"
WRONG_SIGNATURE = "the token's signature does not hold"
ALL_RSA = "PS256, PS384, PS512, RS256, RS384, RS512"


def reader(data: bytes | None = None, rules: TokenRules = RULES) -> JsonWebTokens:
    """What reads tokens with these keys."""
    return JsonWebTokens(FixedKeys(read_key_file(data or public_pem("rsa"))), rules)


async def refusal(token: str, tokens: JsonWebTokens | None = None) -> str:
    """With which words a token is refused."""
    with pytest.raises(UnauthenticatedError) as caught:
        await (tokens or reader()).authenticate(token)
    assert token not in str(caught.value)
    return str(caught.value)


# --- which hold


@pytest.mark.parametrize(
    "name, algorithm",
    [
        *[("rsa", name) for name in ALL_RSA.split(", ")],
        ("p256", "ES256"),
        ("p384", "ES384"),
        ("p521", "ES512"),
        ("k1", "ES256K"),
        ("ed25519", "EdDSA"),
        ("ed448", "EdDSA"),
    ],
)
async def test_a_token_of_each_algorithm_holds(name: str, algorithm: str) -> None:
    for data in (public_pem(name), jwks(jwk("rsa2"), jwk(name))):
        found = await reader(data).authenticate(signed(name, algorithm))
        assert found.principal == "anna"


async def test_a_token_of_a_shared_secret_holds() -> None:
    token = jwt.encode(claims(), b"s" * 48, algorithm="HS384")
    assert (await reader(jwks(secret(48))).authenticate(token)).principal == "anna"


async def test_who_it_is_whose_threads_he_has_and_what_he_may_do() -> None:
    rules = TokenRules(ISSUER, AUDIENCE, "email", "org.team", "realm.roles")
    token = signed(
        email="anna@example.com",
        org={"team": "blue"},
        realm={"roles": ["graphwire:threads:all", "assistants:write", "graphwire:x", 1]},
    )
    assert await reader(rules=rules).authenticate(token) == Identity(
        principal="anna@example.com",
        owner="blue",
        permissions=frozenset({"threads:all"}),
        user={
            "identity": "anna@example.com",
            "display_name": "anna@example.com",
            "is_authenticated": True,
            "permissions": ["threads:all"],
        },
    )


@pytest.mark.parametrize(
    "scope, permissions",
    [
        (None, set()),
        ("", set()),
        ("openid threads:all graphwire:", set()),
        ("openid graphwire:threads:all", {"threads:all"}),
        (
            "graphwire:assistants:write  graphwire:threads:all",
            {"threads:all", "assistants:write"},
        ),
        (["graphwire:threads:all graphwire:assistants:write"], set()),
        ({"graphwire:threads:all": True}, set()),
        (1, set()),
    ],
)
async def test_only_scopes_of_graphwire_are_permissions(scope: Any, permissions: set[str]) -> None:
    found = await reader().authenticate(signed(scope=scope))
    assert found.permissions == permissions


async def test_a_claim_whose_name_has_dots_is_found_by_it() -> None:
    rules = TokenRules(ISSUER, AUDIENCE, "https://a.b/user")
    more: Any = {"https://a.b/user": "bob"}
    token = signed(**more)
    assert (await reader(rules=rules).authenticate(token)).principal == "bob"


@pytest.mark.parametrize("audience", [AUDIENCE, [AUDIENCE], ["other", AUDIENCE]])
async def test_the_audience_is_one_of_the_token_s(audience: Any) -> None:
    assert (await reader().authenticate(signed(aud=audience))).principal == "anna"


async def test_clocks_may_differ_by_the_leeway() -> None:
    now = time.time()
    near: Any = ({"exp": now - 20}, {"nbf": now + 20}, {"iat": now + 20})
    for more in near:
        assert (await reader().authenticate(signed(**more))).principal == "anna"
    strict = reader(rules=TokenRules(ISSUER, AUDIENCE, leeway=0))
    for more in near:
        await refusal(signed(**more), strict)


# --- claims that do not hold


@pytest.mark.parametrize(
    "more, reason",
    [
        ({"exp": None}, "the token has no `exp`"),
        ({"exp": 1_700_000_000}, "the token expired at 2023-11-14T22:13:20Z"),
        (
            {"nbf": 32_503_680_000},
            "the token does not hold before 3000-01-01T00:00:00Z (`nbf`)",
        ),
        (
            {"iat": 32_503_680_000},
            "the token does not hold before 3000-01-01T00:00:00Z (`iat`)",
        ),
        ({"nbf": 10**40}, "the token does not hold before a time that can't be written (`nbf`)"),
        ({"exp": "soon"}, "the token has a time (`exp`, `nbf`, `iat`) that is no number"),
        ({"exp": [1]}, "the token has a time (`exp`, `nbf`, `iat`) that is no number"),
        ({"nbf": {}}, "the token has a time (`exp`, `nbf`, `iat`) that is no number"),
        ({"aud": None}, "the token has no `aud`"),
        (
            {"aud": "other"},
            'the token is for "other"; the audience that is expected here is "graphwire"',
        ),
        (
            {"aud": ["a", "Graphwire"]},
            'the token is for ["a", "Graphwire"]; the audience that is expected here is '
            '"graphwire"',
        ),
        (
            {"aud": {"graphwire": 1}},
            'the token is for {"graphwire": 1}; the audience that is expected here is "graphwire"',
        ),
        ({"aud": [AUDIENCE, 1]}, None),
        (
            {"aud": "x" * 200},
            f'the token is for "{"x" * 98}…; the audience that is expected here is "graphwire"',
        ),
        ({"iss": None}, "the token has no `iss`"),
        (
            {"iss": "https://issuer.example/"},
            'the token is of the issuer "https://issuer.example/"; the one that is expected '
            'here is "https://issuer.example"',
        ),
        ({"iss": "\u202e"}, None),
        ({"sub": None}, "the token has no `sub`, which would name the caller"),
        ({"sub": ""}, "the token's `sub` is empty"),
        ({"sub": 7}, "the token's `sub` has to be a text, not int"),
        ({"sub": "a\nb"}, None),
        ({"sub": "x" * 513}, "the token's `sub` is longer than 512 characters"),
    ],
)
async def test_a_claim_that_does_not_hold_is_named(
    more: dict[str, Any], reason: str | None
) -> None:
    if more.get("iss") or more.get("exp") in ("soon", [1]):
        # PyJWT writes no such claim of its own accord.
        text = json.dumps(claims(**more)).encode()
        token = jwt.api_jws.encode(text, private("rsa"), "RS256")
    else:
        token = signed(**more)
    said = await refusal(token)
    assert said.isprintable()
    if reason is not None:
        assert said == reason


async def test_without_the_owner_s_claim_a_token_does_not_hold() -> None:
    rules = TokenRules(ISSUER, AUDIENCE, owner_claim="org")
    assert (
        await refusal(signed(), reader(rules=rules))
        == "the token has no `org`, which would name the caller"
    )
    assert await refusal(signed(org=""), reader(rules=rules)) == "the token's `org` is empty"


# --- what is no token


@pytest.mark.parametrize(
    "token, reason",
    [
        ("x", "the token is no JSON Web Token, which has three parts with dots between them"),
        ("a.b", "the token is no JSON Web Token, which has three parts with dots between them"),
        (
            "a.b.c.d.e",
            "the token is no JSON Web Token, which has three parts with dots between them",
        ),
        ("..", UNREADABLE),
        ("a.b.c", UNREADABLE),
        ("é.é.é", UNREADABLE),
        ("\udcff.a.b", UNREADABLE),
        (forged([1], {}), UNREADABLE),  # type: ignore[arg-type]
        ("W" * 16_000 + ".e30.", UNREADABLE),
        (
            base64url_encode(b"[" * 8000).decode() + ".e30.",
            UNREADABLE,
        ),
        (forged({}, {}), "the token's header has to have an alg and a kid that are texts"),
        (forged({"alg": 1}, {}), "the token's header has to have an alg and a kid that are texts"),
        (
            forged({"alg": "RS256", "kid": ["a"]}, {}),
            "the token's header has to have an alg and a kid that are texts",
        ),
        (
            forged({"alg": "RS256", "crit": []}, {}),
            "the token asks for extensions (crit) that are not known here",
        ),
        (
            forged({"alg": "RS256", "crit": ["b64"], "b64": False}, {}),
            "the token asks for extensions (crit) that are not known here",
        ),
        (
            forged({"alg": "RS256", "b64": False}, {}),
            "the token asks for extensions (crit) that are not known here",
        ),
        (forged({"alg": "RS256"}, {}), WRONG_SIGNATURE),
        (forged({"alg": "RS256"}, {}, b"x" * 256), WRONG_SIGNATURE),
    ],
)
async def test_what_is_no_token_is_refused(token: str, reason: str) -> None:
    assert await refusal(token) == reason


async def test_a_signed_text_that_is_no_object_is_refused() -> None:
    for text in (b"[]", b"x", b"[" * 5000, b"\xff"):
        assert await refusal(jwt.api_jws.encode(text, private("rsa"), "RS256")) == UNREADABLE


# --- forgeries


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "HS256", "ES256", "XX", ""])
async def test_the_algorithm_is_the_key_s_and_never_the_token_s(algorithm: str) -> None:
    said = await refusal(forged({"alg": algorithm}, claims()))
    assert said == f'the token is signed with "{algorithm}", and its key is for {ALL_RSA}'


async def test_the_public_key_is_no_secret() -> None:
    pem = public_pem("rsa")
    unsigned = forged({"alg": "HS256"}, claims()).rpartition(".")[0]
    signature = hmac.new(pem, unsigned.encode(), hashlib.sha256).digest()
    token = f"{unsigned}.{base64url_encode(signature).decode()}"
    wanted = f'the token is signed with "HS256", and its key is for {ALL_RSA}'
    assert await refusal(token) == wanted
    assert await refusal(token, reader(jwks(jwk("rsa")))) == wanted
    # Not even where secrets are in use besides.
    assert await refusal(token, reader(jwks(jwk("rsa"), secret(32)))) == WRONG_SIGNATURE


async def test_a_key_that_the_token_brings_along_is_not_looked_at() -> None:
    for name in ("jwk", "jku", "x5u", "x5c"):
        headers = {name: jwk("rsa2") if name == "jwk" else "http://127.0.0.1:1/keys"}
        assert await refusal(signed("rsa2", headers=headers)) == WRONG_SIGNATURE


async def test_a_changed_token_does_not_hold() -> None:
    head, body, signature = signed().split(".")
    other = signed(sub="root").split(".")[1]
    assert await refusal(f"{head}.{other}.{signature}") == WRONG_SIGNATURE
    assert await refusal(f"{head}.{body}.") == WRONG_SIGNATURE
    assert await refusal(signed("rsa2")) == WRONG_SIGNATURE


@pytest.mark.parametrize("kid", ["../../dev/null", "' OR 1=1 --", "", "rsa2\n", "x" * 500])
async def test_a_kid_only_ever_chooses_among_the_keys(kid: str) -> None:
    tokens = reader(jwks(jwk("rsa"), jwk("rsa2")))
    said = await refusal(signed(headers={"kid": kid}), tokens)
    assert said.startswith("the token is signed with a key that this server does not know: kid ")
    assert said.isprintable()
    assert len(said) < 180


async def test_the_kid_names_the_key_and_no_other_is_tried() -> None:
    tokens = reader(jwks(jwk("rsa"), jwk("rsa2"), jwk("p256")))
    assert (await tokens.authenticate(signed(headers={"kid": "rsa"}))).principal == "anna"
    assert (await tokens.authenticate(signed())).principal == "anna"
    assert await refusal(signed(headers={"kid": "rsa2"}), tokens) == WRONG_SIGNATURE
    assert (
        await refusal(signed(headers={"kid": "p256"}), tokens)
        == 'the token is signed with "RS256", and its key is for ES256'
    )


async def test_a_key_without_kid_serves_a_token_with_any() -> None:
    token = signed(headers={"kid": "rsa"})
    for data in (public_pem("rsa"), jwks(jwk("rsa", kid=""), jwk("p256"))):
        assert (await reader(data).authenticate(token)).principal == "anna"


# --- keys that change


async def test_an_unknown_kid_looks_for_new_keys_once() -> None:
    keys = FixedKeys(read_key_file(jwks(jwk("rsa"))), read_key_file(jwks(jwk("rsa2"))))
    tokens = JsonWebTokens(keys, RULES)
    assert (await tokens.authenticate(signed("rsa2", headers={"kid": "rsa2"}))).principal == "anna"
    assert keys.looked == 1
    assert (
        await refusal(signed(headers={"kid": "rsa"}), tokens)
        == 'the token is signed with a key that this server does not know: kid "rsa"'
    )
    # A wrong algorithm or signature of a known key brings no fetch.
    await refusal(signed("p256", "ES256", headers={"kid": "rsa2"}), tokens)
    await refusal(signed("rsa", headers={"kid": "rsa2"}), tokens)
    assert keys.looked == 2


async def test_a_token_that_held_is_remembered_until_it_expires_or_its_key_goes() -> None:
    now = Clock(time.time())
    keys = FixedKeys(read_key_file(jwks(jwk("rsa"))))
    tokens = JsonWebTokens(keys, RULES, now=now)
    token = signed(exp=int(now.time) - 10)
    first = await tokens.authenticate(token)
    assert await tokens.authenticate(token) is first
    now.time += 60
    assert await tokens.authenticate(token) is not first  # looked at anew, by the real clock
    keys.now, keys.generation = read_key_file(jwks(jwk("rsa2"))), 1
    assert await refusal(token, tokens) == WRONG_SIGNATURE


async def test_what_is_remembered_is_bounded() -> None:
    tokens = reader(jwks(secret(32)))
    for number in range(2100):
        token = jwt.encode(claims(sub=f"n{number}"), b"s" * 32, algorithm="HS256")
        assert (await tokens.authenticate(token)).principal == f"n{number}"
    assert len(tokens._held) == 2048


async def test_a_key_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    file, clock = tmp_path / "key.pem", Clock()
    file.write_bytes(public_pem("rsa"))
    tokens = JsonWebTokens(KeyFile(file, clock=clock), RULES)
    old, new = signed("rsa"), signed("rsa2")
    assert (await tokens.authenticate(old)).principal == "anna"
    assert await refusal(new, tokens) == WRONG_SIGNATURE
    file.write_bytes(public_pem("rsa2") + b"\n")
    clock.time += 1
    assert (await tokens.authenticate(new)).principal == "anna"
    assert await refusal(old, tokens) == WRONG_SIGNATURE
