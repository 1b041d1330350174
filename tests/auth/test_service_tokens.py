"""Service tokens: whose a token is, and which token files are refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from graphwire_server.auth.fresh_tokens import digest, new_token, table_of
from graphwire_server.auth.identity import Identity
from graphwire_server.auth.service_tokens import ServiceTokens, read_tokens
from graphwire_server.auth.setup_errors import AuthSetupError, UnusableFileError
from structlog.testing import capture_logs

from tests.auth.issuer import Clock

A, B = digest("a"), digest("b")


def write(path: Path, text: str) -> None:
    """Puts a new version in the place of a file, as a roll-out does."""
    new = path.with_suffix(".new")
    new.write_text(text)
    os.replace(new, path)


async def test_a_token_is_known_by_its_digest(tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    file.write_text(
        f'[billing]\ntoken_sha256 = "{A.upper()}"\nowner = "finance"\n'
        f'permissions = ["threads:all"]\n["a b"]\ntoken_sha256 = ["{B}", "{digest("c")}"]\n'
        "[nobody]\ntoken_sha256 = []\n"
    )
    tokens = ServiceTokens(file)
    assert await tokens.find("a") == Identity(
        principal="billing",
        owner="finance",
        permissions=frozenset({"threads:all"}),
        user={
            "identity": "billing",
            "display_name": "billing",
            "is_authenticated": True,
            "permissions": ["threads:all"],
        },
    )
    nobody = await tokens.named("nobody")
    assert nobody is not None
    assert (nobody.principal, await tokens.named("somebody")) == ("nobody", None)
    for token in ("b", "c"):
        found = await tokens.find(token)
        assert found is not None
        assert (found.principal, found.owner, found.permissions) == ("a b", "a b", frozenset())
    for token in ("", "A", A, "d", "\udcff"):
        assert await tokens.find(token) is None


@pytest.mark.parametrize(
    "text, reason",
    [
        (
            "",
            "names nobody; add a table: [NAME] with a token_sha256 "
            "(`graphwire new-token NAME` writes one)",
        ),
        ("[a\nsecret", "is no TOML (at line 1, column 3)"),
        ("[a]\nx = secret", "is no TOML (at line 2, column 5)"),
        ('token_sha256 = "x"', "token_sha256: has to be in a table of a caller: [NAME]"),
        (
            "[a]",
            "[a] token_sha256: is missing; it is the SHA-256 of a token: 64 hexadecimal digits, "
            "or a list of such",
        ),
        (
            '[a]\ntoken_sha256 = "secret"',
            "[a] token_sha256: has to be the SHA-256 of a token: 64 hexadecimal digits, or a "
            "list of such",
        ),
        (
            f'[a]\ntoken_sha256 = ["{A}", 1]',
            "[a] token_sha256[1]: has to be the SHA-256 of a token: 64 hexadecimal digits, or a "
            "list of such",
        ),
        (
            f'[a]\ntoken_sha256 = "{A}"\n[b]\ntoken_sha256 = "{A}"',
            "[b] token_sha256: the same token is that of [a]; give each caller his own",
        ),
        (
            '[a]\ntoken = "secret"',
            "[a] token: tokens themselves are not kept here; put its SHA-256 into token_sha256",
        ),
        ("[a]\nownr = 1", '[a] ownr: is no key; did you mean "owner"?'),
        ("[a]\nx = 1", "[a] x: is no key; it may be owner, permissions, token_sha256"),
        (
            f'[a.b]\ntoken_sha256 = "{A}"',
            '[a.b]: a name with dots has to be quoted: ["a.b"]',
        ),
        (f'[a]\ntoken_sha256 = "{A}"\nowner = 1', "[a] owner: has to be a text, not int"),
        (f'[a]\ntoken_sha256 = "{A}"\nowner = ""', "[a] owner: is empty"),
        (
            f'[a]\ntoken_sha256 = "{A}"\npermissions = "threads:all"',
            "[a] permissions: has to be a list of texts",
        ),
        (
            f'[a]\ntoken_sha256 = "{A}"\npermissions = ["threads:al"]',
            '[a] permissions[0]: there is no permission "threads:al"; did you mean "threads:all"?',
        ),
        (
            f'[a]\ntoken_sha256 = "{A}"\npermissions = ["threads:all", "x"]',
            '[a] permissions[1]: there is no permission "x"; '
            "it may be assistants:write, threads:all",
        ),
        (
            f'["a "]\ntoken_sha256 = "{A}"',
            "['a ']: the name of a caller has blanks at its ends, or characters that can't be "
            "printed",
        ),
        (
            f'["{"n" * 513}"]\ntoken_sha256 = "{A}"',
            f"['{'n' * 40}']: the name of a caller is longer than 512 characters",
        ),
    ],
)
def test_a_file_that_says_what_can_not_be_is_refused(text: str, reason: str) -> None:
    with pytest.raises(UnusableFileError) as caught:
        read_tokens(text.encode())
    assert str(caught.value) == reason


def test_a_file_that_is_no_text_is_refused() -> None:
    with pytest.raises(UnusableFileError, match=r"^is no UTF-8 text$"):
        read_tokens(b"\xff")


def test_a_bad_file_at_the_start_is_an_error_that_names_setting_file_and_key(
    tmp_path: Path,
) -> None:
    file = tmp_path / "tokens.toml"
    with pytest.raises(AuthSetupError) as caught:
        ServiceTokens(file)
    assert str(caught.value) == f"auth_tokens: {file}: can't be read: No such file or directory"
    file.write_text("[a]\nowner = 1")
    with pytest.raises(AuthSetupError) as caught:
        ServiceTokens(file)
    assert str(caught.value) == f"auth_tokens: {file}: [a] owner: has to be a text, not int"
    file.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(AuthSetupError) as caught:
        ServiceTokens(file)
    assert str(caught.value) == f"auth_tokens: {file}: is larger than 1 MiB"


async def test_a_changed_file_counts_a_second_later(tmp_path: Path) -> None:
    file, clock = tmp_path / "tokens.toml", Clock()
    file.write_text(f'[a]\ntoken_sha256 = "{A}"\n')
    tokens = ServiceTokens(file, clock=clock)
    write(file, f'[a]\ntoken_sha256 = "{B}"\n')
    assert await tokens.find("b") is None
    clock.time += 1
    with capture_logs() as lines:
        found = await tokens.find("b")
    assert found is not None
    assert found.principal == "a"
    assert await tokens.find("a") is None
    assert [line["event"] for line in lines] == ["auth_file_read"]


async def test_a_broken_new_version_keeps_the_old_and_is_told_once(tmp_path: Path) -> None:
    file, clock = tmp_path / "tokens.toml", Clock()
    file.write_text(f'[a]\ntoken_sha256 = "{A}"\n')
    tokens = ServiceTokens(file, clock=clock)
    write(file, '[a]\ntoken = "secret"\n')
    with capture_logs() as lines:
        for _ in range(3):
            clock.time += 1
            assert await tokens.find("a") is not None
        file.unlink()
        for _ in range(3):
            clock.time += 1
            assert await tokens.find("a") is not None
    assert [(line["log_level"], line["event"], line["error"]) for line in lines] == [
        (
            "warning",
            "auth_file_unusable",
            "[a] token: tokens themselves are not kept here; put its SHA-256 into token_sha256",
        ),
        ("warning", "auth_file_unusable", "can't be read: No such file or directory"),
    ]
    assert "secret" not in str(lines)
    write(file, f'[a]\ntoken_sha256 = "{B}"\n')
    clock.time += 1
    assert await tokens.find("a") is None
    assert await tokens.find("b") is not None


async def test_a_version_that_could_not_be_read_for_a_while_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, clock = tmp_path / "tokens.toml", Clock()
    file.write_text(f'[a]\ntoken_sha256 = "{A}"\n')
    tokens = ServiceTokens(file, clock=clock)
    write(file, f'[a]\ntoken_sha256 = "{B}"\n')
    for error, told in (
        (OSError(24, "Too many open files"), "can't be read: Too many open files"),
        (RuntimeError("can't start new thread: s3cret"), "can't be read: RuntimeError"),
    ):

        def fails(path: Path, mode: str, error: Exception = error) -> None:
            raise error

        with monkeypatch.context() as patched, capture_logs() as lines:
            patched.setattr(Path, "open", fails)
            for _ in range(3):
                clock.time += 1
                assert await tokens.find("a") is not None
        assert [(line["event"], line["error"]) for line in lines] == [("auth_file_unusable", told)]
        assert "s3cret" not in str(lines)
    clock.time += 1
    assert await tokens.find("a") is None
    assert await tokens.find("b") is not None


async def test_a_number_that_python_does_not_read_is_refused_as_the_rest(tmp_path: Path) -> None:
    text = f"[a]\nowner = {'9' * 5000}\n"
    with pytest.raises(UnusableFileError, match=r"^has a number that is too long to be read$"):
        read_tokens(text.encode())
    file, clock = tmp_path / "tokens.toml", Clock()
    file.write_text(f'[a]\ntoken_sha256 = "{A}"\n')
    tokens = ServiceTokens(file, clock=clock)
    write(file, text)
    clock.time += 1
    with capture_logs() as lines:
        assert await tokens.find("a") is not None
    assert [line["event"] for line in lines] == ["auth_file_unusable"]


def test_a_fresh_token_is_that_of_its_table() -> None:
    first, second = new_token(), new_token()
    assert first != second
    assert len(first) == 67
    assert (
        read_tokens(table_of("bill.ing", first).encode()).by_digest[digest(first)].principal
        == "bill.ing"
    )
