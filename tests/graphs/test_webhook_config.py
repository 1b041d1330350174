"""The `webhooks` of a langgraph.json: what is read of it, and what each mistake is told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from graphwire_server.graphs.project import Project, ProjectError, load_project
from graphwire_server.graphs.webhook_config import WebhookConfig
from graphwire_server.settings import Settings
from graphwire_server.storage.interface import Storage
from graphwire_server.webhooks.setup import Webhooks, WebhookSetupError


def load(root: Path, webhooks: object, **more: Any) -> Project:
    (root / "agent.py").touch()
    config = {"graphs": {"agent": "./agent.py:graph"}, "webhooks": webhooks, **more}
    (root / "langgraph.json").write_text(json.dumps(config))
    return load_project(root)


def test_without_it_nothing_is_sent_and_nothing_narrowed(tmp_path: Path) -> None:
    assert load(tmp_path, None).webhooks == load(tmp_path, {}).webhooks == WebhookConfig()


def test_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LG_WEBHOOK_TOKEN", "from outside")
    project = load(
        tmp_path,
        {
            "headers": {
                "Authorization": "Bearer ${{ env.LG_WEBHOOK_TOKEN }}",
                "X-Both": "${{env.LG_WEBHOOK_A}}-${{ env.LG_WEBHOOK_TOKEN }}",
                "X-Plain": "a value",
            },
            "url": {
                "require_https": True,
                "allowed_domains": ["example.com", "*.example.org"],
                "allowed_ports": [443],
                "max_url_length": 100,
                "disable_loopback": True,
                "disable_private_ips": True,
            },
        },
        env={"LG_WEBHOOK_A": "a", "LG_WEBHOOK_TOKEN": "from the file"},
    )
    assert project.webhooks == WebhookConfig(
        headers={
            "Authorization": "Bearer from outside",
            "X-Both": "a-from outside",
            "X-Plain": "a value",
        },
        from_environment=("Authorization", "X-Both"),
        require_https=True,
        allowed_domains=("example.com", "*.example.org"),
        allowed_ports=(443,),
        max_url_length=100,
        public_only=True,
    )
    assert project.unhonoured == ()
    assert "outside" not in repr(project)


def test_the_prefix_of_variables_can_be_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_TOKEN", "t")
    webhooks = {"env_prefix": "HOOK_", "headers": {"X-Token": "${{ env.HOOK_TOKEN }}"}}
    assert load(tmp_path, webhooks).webhooks.headers == {"X-Token": "t"}


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        (WebhookConfig({"X-Token": "t"}, allowed_domains=("example.com",)), {}),
        (WebhookConfig({"X-Token": "t"}), {"webhook_allowed_domains": "example.com"}),
    ],
    ids=["of the project", "of the settings"],
)
def test_secrets_in_headers_go_to_named_domains_alone(
    config: WebhookConfig, settings: dict[str, str]
) -> None:
    given, storage = Settings(webhook_unsigned=True), cast(Storage, None)
    Webhooks.make(given, WebhookConfig({"X-Team": "blue"}), storage)
    secret = replace(config, from_environment=("X-Token",))
    Webhooks.make(given.model_copy(update=settings), secret, storage)
    with pytest.raises(WebhookSetupError, match="X-Token"):
        Webhooks.make(given, replace(secret, allowed_domains=None), storage)


def test_what_would_allow_more_than_the_settings_is_named(tmp_path: Path) -> None:
    flags = {"require_https": False, "disable_loopback": False, "disable_private_ips": False}
    project = load(tmp_path, {"url": {**flags, "new": 1}, "allowed_fields": ["values"]})
    assert project.webhooks == WebhookConfig()
    assert project.unhonoured == (
        "webhooks.allowed_fields",
        "webhooks.url.disable_loopback",
        "webhooks.url.disable_private_ips",
        "webhooks.url.new",
        "webhooks.url.require_https",
    )


@pytest.mark.parametrize(
    "webhooks, key, reason",
    [
        ([], "webhooks", "has to be an object"),
        ({"url": []}, "webhooks.url", "has to be an object"),
        ({"env_prefix": ""}, "webhooks.env_prefix", "has to be text"),
        ({"headers": ["X"]}, "webhooks.headers", "has to be an object of texts"),
        ({"headers": {"X": 1}}, "webhooks.headers.X", "has to be text"),
        ({"headers": {"X Y": ""}}, "webhooks.headers.X Y", "is no name of an HTTP header"),
        ({"headers": {"Webhook-Id": "1"}}, "webhooks.headers.Webhook-Id", "sets itself"),
        ({"headers": {"HOST": "a"}}, "webhooks.headers.HOST", "sets itself"),
        ({"headers": {"X": "", "x": ""}}, "webhooks.headers.x", "stands twice"),
        ({"headers": {"X": "a\nb"}}, "webhooks.headers.X", "can't have"),
        (
            {"headers": {"X": "${{ env.PATH }}"}},
            "webhooks.headers.X",
            "PATH may not be sent: its name does not begin with LG_WEBHOOK_",
        ),
        (
            {"headers": {"X": "${{ env.LG_WEBHOOK_NONE }}"}},
            "webhooks.headers.X",
            "LG_WEBHOOK_NONE is not in the environment",
        ),
        ({"headers": {"X": "${{ secret }}"}}, "webhooks.headers.X", "is no template"),
        ({"url": {"require_https": 1}}, "webhooks.url.require_https", "true or false"),
        ({"url": {"allowed_domains": "a.b"}}, "webhooks.url.allowed_domains", "has to be a list"),
        (
            {"url": {"allowed_domains": ["a.b", "https://a.b"]}},
            "webhooks.url.allowed_domains[1]",
            "has to be a name",
        ),
        ({"url": {"allowed_ports": [0]}}, "webhooks.url.allowed_ports[0]", "1 to 65535"),
        ({"url": {"allowed_ports": [True]}}, "webhooks.url.allowed_ports[0]", "1 to 65535"),
        ({"url": {"max_url_length": "9"}}, "webhooks.url.max_url_length", "has to be a number"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, webhooks: object, key: str, reason: str) -> None:
    with pytest.raises(ProjectError) as refused:
        load(tmp_path, webhooks)
    assert refused.value.key == key
    assert reason in refused.value.reason


def test_a_value_that_can_not_be_sent_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LG_WEBHOOK_TOKEN", "hush\nhush")
    with pytest.raises(ProjectError) as refused:
        load(tmp_path, {"headers": {"X": "${{ env.LG_WEBHOOK_TOKEN }}"}})
    assert "hush" not in str(refused.value)
