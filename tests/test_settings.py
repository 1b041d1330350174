"""Settings: where data is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from graphwire_server.settings import Settings
from pydantic import ValidationError


def test_a_database_is_a_file_or_an_address() -> None:
    assert Settings(database="sqlite:///data.db").location == Path("data.db")
    assert str(Settings(database="postgresql://me:secret@db/x").location) == "postgresql://me@db/x"


def test_settings_do_not_show_the_password_of_the_database() -> None:
    assert "secret" not in repr(Settings(database="postgresql://me:secret@db/x"))


def test_without_one_data_is_kept_in_the_project(tmp_path: Path) -> None:
    kept = tmp_path / ".graphwire" / "graphwire.db"
    assert Settings(project=tmp_path).location == kept
    config = tmp_path / "langgraph.json"
    config.touch()
    assert Settings(project=config).location == kept


@pytest.mark.parametrize(
    "name, value, said",
    [
        ("webhook_secrets", "hush", "whsec_ and 24 to 64 bytes in base64, which secret 1 of 1"),
        ("webhook_secrets", "whsec_aHVzaA==", "which secret 1 of 1 is not"),
        ("webhook_secrets", f"whsec_{'A' * 32},whsec_é", "which secret 2 of 2 is not"),
        ("webhook_allowed_domains", "a.b, https://c", "names such as example.com"),
        ("webhook_allowed_ports", "443, 0", "ports from 1 to 65535, which '0' is not"),
        ("webhook_allowed_ports", "https", "ports from 1 to 65535"),
        ("webhook_allowed_networks", "10.1.2.3/8", "networks such as 10.1.0.0/16"),
    ],
)
def test_lists_of_webhooks_are_checked(name: str, value: str, said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(**{name: value})  # type: ignore[arg-type]
    [problem] = refused.value.errors()
    assert said in problem["msg"]
    assert "hush" not in problem["msg"]


def test_webhooks_need_a_secret_or_the_word_that_they_need_none() -> None:
    assert not Settings().sends_webhooks
    assert Settings(webhook_unsigned=True).sends_webhooks
    secret = f"whsec_{'A' * 32}"
    settings = Settings(webhook_secrets=f" {secret} , {secret},")
    assert settings.sends_webhooks
    assert secret not in repr(settings)
