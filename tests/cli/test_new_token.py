"""`graphwire new-token`: a token on stdout, what a token file has of it on stderr."""

from __future__ import annotations

import hashlib
import tomllib

import pytest

from tests.cli.command import call


@pytest.mark.parametrize("name", ["billing", "spiffe://mesh/ns.a/sa.b", "Zoë"])
def test_the_token_is_shown_once_and_its_digest_is_for_the_file(name: str) -> None:
    result = call("new-token", name)
    assert result.code == 0
    token = result.out.removesuffix("\n")
    assert token.startswith("gw_")
    assert token not in result.err
    assert tomllib.loads(result.err) == {
        name: {"token_sha256": hashlib.sha256(token.encode()).hexdigest()}
    }


def test_no_two_tokens_are_the_same() -> None:
    assert call("new-token", "a").out != call("new-token", "a").out


@pytest.mark.parametrize(
    "name, reason",
    [
        ("", "is empty"),
        ("a ", "has blanks at its ends, or characters that can't be printed"),
        ("n" * 513, "is longer than 512 characters"),
    ],
)
def test_a_name_that_can_not_be_one_is_wrong_usage(name: str, reason: str) -> None:
    result = call("new-token", name)
    assert (result.code, result.out) == (2, "")
    assert result.err == f"graphwire: NAME: the name of a caller {reason}\n"
