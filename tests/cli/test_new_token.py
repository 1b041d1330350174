"""`graphwire new-token`: a token on stdout; what a token file has of it there, or on stderr."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import pytest

from tests.cli.command import call


@pytest.mark.parametrize("name", ["billing", "spiffe://mesh/ns.a/sa.b", "Zoë"])
def test_the_token_is_shown_once_and_its_digest_is_for_the_file(name: str) -> None:
    result = call("new-token", name)
    assert result.code == 0
    token = result.out.removesuffix("\n")
    assert token.startswith("gw_")
    assert token not in result.err
    assert tomllib.loads(result.err) == {name: {"token_sha256": sha256(token)}}


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


def test_callers_are_added_to_a_file(tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    first = call("new-token", "billing", "--into", str(file))
    with file.open("a") as added:
        added.write('owner = "money"')
    second = call("new-token", "team.reports", "--into", str(file))
    assert [(each.code, each.err) for each in (first, second)] == [(0, ""), (0, "")]
    assert tomllib.loads(file.read_text()) == {
        "billing": {"token_sha256": sha256(first.out), "owner": "money"},
        "team.reports": {"token_sha256": sha256(second.out)},
    }


@pytest.mark.parametrize(
    "content, name, reason",
    [
        (
            "[billing]\ntoken_sha256 = []\n",
            "billing",
            "has a table [billing] already; make the token without --into, and add its SHA-256 "
            "to the token_sha256 there, a list of both while both hold",
        ),
        ("billing = [", "reports", "is no TOML (at end of document)"),
        ("[billing]\nowner = 1\n", "reports", "[billing] owner: has to be a text, not int"),
    ],
)
def test_a_file_that_can_not_take_a_caller_stays_as_it_is(
    tmp_path: Path, content: str, name: str, reason: str
) -> None:
    file = tmp_path / "tokens.toml"
    file.write_text(content)
    result = call("new-token", name, "--into", str(file))
    assert (result.code, result.out) == (2, "")
    assert result.err == f"graphwire: {file}: {reason}\n"
    assert file.read_text() == content


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    result = call("new-token", "billing", "--into", str(tmp_path / "nowhere" / "tokens.toml"))
    assert (result.code, result.out) == (2, "")
    assert "No such file or directory" in result.err


def sha256(written: str) -> str:
    return hashlib.sha256(written.removesuffix("\n").encode()).hexdigest()
