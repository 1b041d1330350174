"""Several sources at once: which of them decides, and what the caller is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from graphwire.errors import UnauthenticatedError
from graphwire_server.auth.chain import Chain
from graphwire_server.auth.fresh_tokens import table_of
from graphwire_server.auth.identity import Credentials
from graphwire_server.auth.json_web_tokens import JsonWebTokens
from graphwire_server.auth.keys import read_key_file
from graphwire_server.auth.service_tokens import ServiceTokens

from tests.auth.calls import call
from tests.auth.issuer import RULES, FixedKeys, public_pem, signed

BEARER = "`authorization: Bearer <token>`"


@pytest.fixture
def service_tokens(tmp_path: Path) -> ServiceTokens:
    """One token: `s3cret`, of billing."""
    file = tmp_path / "tokens.toml"
    file.write_text(table_of("billing", "s3cret"))
    return ServiceTokens(file)


@pytest.fixture
def json_web_tokens() -> JsonWebTokens:
    """Tokens of the issuer."""
    return JsonWebTokens(FixedKeys(read_key_file(public_pem("rsa"))), RULES)


async def principal(chain: Chain, credentials: Credentials) -> str:
    """Who calls."""
    return (await chain.authenticate(credentials)).principal


async def refusal(chain: Chain, credentials: Credentials) -> str:
    """With which words a call is refused."""
    with pytest.raises(UnauthenticatedError) as caught:
        await chain.authenticate(credentials)
    return str(caught.value)


async def test_all_sources_serve_side_by_side(
    service_tokens: ServiceTokens, json_web_tokens: JsonWebTokens
) -> None:
    chain = Chain(service_tokens, json_web_tokens, certificates=True)
    assert await principal(chain, call("Bearer s3cret")) == "billing"
    assert await principal(chain, call(f"bearer  {signed()} ")) == "anna"
    assert await principal(chain, call(certificate="spiffe://mesh/shop")) == "spiffe://mesh/shop"
    assert await principal(chain, call("Bearer s3cret", certificate="shop")) == "billing"
    await chain.close()


async def test_a_certificate_s_caller_owns_his_threads_and_may_no_more() -> None:
    found = await Chain(certificates=True).authenticate(call(certificate="shop"))
    assert (found.principal, found.owner, found.permissions) == ("shop", "shop", frozenset())
    assert found.user["identity"] == "shop"


async def test_a_token_that_does_not_hold_is_not_made_good_by_a_certificate(
    service_tokens: ServiceTokens, json_web_tokens: JsonWebTokens
) -> None:
    both = Chain(service_tokens, json_web_tokens, certificates=True)
    assert await refusal(both, call("Bearer nope", certificate="shop")) == (
        "the token is neither a service token of this server nor a JSON Web Token"
    )
    assert await refusal(both, call(f"Bearer {signed('rsa2')}", certificate="shop")) == (
        "the token's signature does not hold"
    )
    only_services = Chain(service_tokens, certificates=True)
    assert await refusal(only_services, call("Bearer nope", certificate="shop")) == (
        "the token is not known to this server"
    )
    assert await refusal(Chain(certificates=True), call("Bearer x", certificate="shop")) == (
        "this server takes no tokens: send no `authorization`, and connect with a client "
        "certificate that names the caller"
    )


async def test_a_call_without_anything_is_told_what_there_is(
    service_tokens: ServiceTokens, json_web_tokens: JsonWebTokens
) -> None:
    said = "the call does not say who makes it: "
    token = f"send the metadata {BEARER}"
    certificate = "connect with a client certificate that names the caller"
    assert await refusal(Chain(service_tokens), call(certificate="shop")) == said + token
    assert await refusal(Chain(None, json_web_tokens), call()) == said + token
    assert await refusal(Chain(certificates=True), call()) == said + certificate
    assert (
        await refusal(Chain(service_tokens, certificates=True), call())
        == f"{said}{token}, or {certificate}"
    )


@pytest.mark.parametrize(
    "authorization",
    ["", "s3cret", "Bearer", "Bearer ", "Basic s3cret", "Bearer s3cret x", "Bearers3cret"],
)
async def test_an_authorization_of_another_form_is_refused(
    service_tokens: ServiceTokens, authorization: str
) -> None:
    chain = Chain(service_tokens, certificates=True)
    assert (
        await refusal(chain, call(authorization, certificate="shop"))
        == f"the call's `authorization` has to be {BEARER}"
    )


async def test_two_authorizations_are_refused(service_tokens: ServiceTokens) -> None:
    credentials = call("Bearer s3cret", ("authorization", "Bearer s3cret"))
    assert await refusal(Chain(service_tokens), credentials) == (
        "the call's metadata has more than one `authorization`"
    )


async def test_a_huge_token_is_refused_unread(json_web_tokens: JsonWebTokens) -> None:
    chain = Chain(None, json_web_tokens)
    assert await refusal(chain, call("Bearer " + "a" * 16_385)) == (
        "the token is longer than 16384 characters"
    )


async def test_a_certificate_with_a_name_that_can_not_be_one_is_refused() -> None:
    assert await refusal(Chain(certificates=True), call(certificate="a\nb")) == (
        "the name in the caller's certificate has blanks at its ends, or characters that can't "
        "be printed"
    )
