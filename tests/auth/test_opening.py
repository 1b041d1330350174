"""What is opened for which settings and which langgraph.json; and what stops the start."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from graphwire.errors import PermissionDeniedError, UnauthenticatedError
from graphwire_server.auth.fresh_tokens import table_of
from graphwire_server.auth.opening import Authentication, open_authentication
from graphwire_server.auth.setup_errors import AuthSetupError
from graphwire_server.graphs.load_errors import GraphLoadError
from graphwire_server.graphs.loader import prepare
from graphwire_server.graphs.project import Project, ProjectError, load_project
from graphwire_server.settings import Settings
from structlog.testing import capture_logs

from tests.auth.calls import call
from tests.auth.issuer import AUDIENCE, ISSUER, jwk, jwks, key_server, public_pem, signed

WriteProject = Callable[..., Path]
GRAPHS = {"agent": "./agent.py:graph"}
AUTH = """
from langgraph_sdk import Auth
import helper

auth = Auth()

@auth.authenticate
async def authenticate(authorization: str | None) -> str:
    if not authorization:
        raise Auth.exceptions.HTTPException(401, "Bring a token")
    return helper.name_of(authorization)

@auth.on
async def owner(ctx, value):
    return {"owner": ctx.user.identity}
"""
HELPER = "def name_of(text):\n    return text.removeprefix('Bearer ')\n"


@pytest.fixture
def plain(write_project: WriteProject) -> Project:
    """A project without `auth`."""
    return load_project(write_project({"agent.py": ""}, {"graphs": GRAPHS}))


def project_with(write: WriteProject, auth: object, text: str = AUTH) -> Project:
    """A project with this `auth` in its langgraph.json."""
    files = {"agent.py": "", "auth.py": text, "helper.py": HELPER}
    project = load_project(write(files, {"graphs": GRAPHS, "auth": auth}))
    prepare(project)
    return project


async def opened(settings: Settings, project: Project) -> Authentication:
    """What is opened, which is something."""
    found = await open_authentication(settings, project)
    assert found is not None
    return found


async def test_without_configuration_there_is_none(plain: Project) -> None:
    assert await open_authentication(Settings(), plain) is None


async def test_tokens_keys_and_certificates_are_opened_together(
    plain: Project, tmp_path: Path
) -> None:
    tokens, keys = tmp_path / "tokens.toml", tmp_path / "key.pem"
    tokens.write_text(table_of("billing", "s3cret"))
    keys.write_bytes(public_pem("p256"))
    settings = Settings(
        auth_tokens=str(tokens),
        auth_certificates=True,
        tls_client_ca_file="clients.crt",
        jwt_keys=str(keys),
        jwt_issuer=ISSUER,
        jwt_audience=AUDIENCE,
        jwt_principal_claim="user",
        jwt_owner_claim="org",
        jwt_permissions_claim="roles",
        jwt_leeway_seconds=0,
    )
    with capture_logs() as lines:
        found = await opened(settings, plain)
    assert found.rules is None
    assert lines == [
        {
            "event": "authentication",
            "by": ["auth_tokens", "jwt_keys", "auth_certificates"],
            "log_level": "info",
        }
    ]
    ask = found.authenticator.authenticate
    assert (await ask(call("Bearer s3cret"))).principal == "billing"
    assert (await ask(call(certificate="shop"))).principal == "shop"
    more: Any = {"user": "bob", "org": "blue", "roles": ["graphwire:threads:all"]}
    identity = await ask(call(f"Bearer {signed('p256', 'ES256', **more)}"))
    assert (identity.principal, identity.owner) == ("bob", "blue")
    assert identity.permissions == {"threads:all"}
    await found.close()


async def test_keys_are_fetched_from_an_address(plain: Project) -> None:
    async with key_server(jwks(jwk("rsa"))) as server:
        settings = Settings(jwt_keys=server.address, jwt_issuer=ISSUER, jwt_audience=AUDIENCE)
        found = await opened(settings, plain)
        identity = await found.authenticator.authenticate(call(f"Bearer {signed()}"))
        assert identity.principal == "anna"
        await found.close()


@pytest.mark.parametrize(
    "given, reason",
    [
        (
            {"jwt_keys": "x.pem", "jwt_audience": "a"},
            "jwt_issuer is missing, which jwt_keys needs: the `iss` of its tokens",
        ),
        (
            {"jwt_keys": "x.pem", "jwt_issuer": "a"},
            "jwt_audience is missing, which jwt_keys needs: the `aud` of tokens that are meant "
            "for this server",
        ),
        (
            {
                "jwt_keys": "x.pem",
                "jwt_issuer": "a",
                "jwt_audience": "a",
                "jwt_principal_claim": "",
            },
            "jwt_principal_claim is missing, which jwt_keys needs: the claim that names the caller",
        ),
        (
            {"jwt_issuer": "a"},
            "jwt_issuer is set, but not jwt_keys: name the issuer's keys, or tokens are not "
            "looked at",
        ),
        (
            {"jwt_audience": "a"},
            "jwt_audience is set, but not jwt_keys: name the issuer's keys, or tokens are not "
            "looked at",
        ),
        (
            {"jwt_keys": "ftp://x", "jwt_issuer": "a", "jwt_audience": "a"},
            "jwt_keys: has to be a file, or an https:// address",
        ),
        (
            {"jwt_keys": "http://x/", "jwt_issuer": "a", "jwt_audience": "a"},
            "jwt_keys: http://x: whoever sits in between could give the server keys of his own; "
            "use https:// (http:// is for this machine alone)",
        ),
        (
            {"jwt_keys": "/no/such.pem", "jwt_issuer": "a", "jwt_audience": "a"},
            "jwt_keys: /no/such.pem: can't be read: No such file or directory",
        ),
        (
            {"auth_tokens": "/no/such.toml"},
            "auth_tokens: /no/such.toml: can't be read: No such file or directory",
        ),
    ],
)
async def test_settings_that_can_not_be_stop_the_start(
    plain: Project, given: Mapping[str, Any], reason: str
) -> None:
    with pytest.raises(AuthSetupError) as caught:
        await open_authentication(Settings(**given), plain)
    assert str(caught.value) == reason


# --- the project's own


async def test_a_project_s_auth_finds_out_who_calls_and_rules(write_project: WriteProject) -> None:
    project = project_with(
        write_project, {"path": "./auth.py:auth", "cache": {"cache_keys": ["Authorization"]}}
    )
    with capture_logs() as lines:
        found = await opened(Settings(), project)
    assert [line["event"] for line in lines] == ["authentication"]
    identity = await found.authenticator.authenticate(call("Bearer anna"))
    assert identity is await found.authenticator.authenticate(call("Bearer anna"))
    assert (identity.principal, identity.owner) == ("anna", "")
    assert found.rules is not None
    assert await found.rules.ask(identity, "threads", "read", {}) == {"owner": "anna"}
    with pytest.raises(UnauthenticatedError, match=r"^Bring a token$"):
        await found.authenticator.authenticate(call())
    await found.close()


async def test_certificates_need_those_who_vouch_for_them(plain: Project) -> None:
    with pytest.raises(AuthSetupError) as caught:
        await open_authentication(Settings(auth_certificates=True), plain)
    assert str(caught.value) == (
        "auth_certificates is set, but not tls_client_ca_file: name the authorities of the "
        "clients' certificates"
    )


@pytest.mark.parametrize(
    "given, name",
    [
        ({"auth_tokens": "x"}, "auth_tokens"),
        ({"auth_certificates": True}, "auth_certificates"),
        ({"jwt_keys": "x", "jwt_issuer": "i", "jwt_audience": "a"}, "jwt_keys"),
    ],
)
async def test_a_project_s_auth_and_another_source_are_too_much(
    write_project: WriteProject, given: Mapping[str, Any], name: str
) -> None:
    project = project_with(write_project, {"path": "./auth.py:auth"})
    with pytest.raises(AuthSetupError) as caught:
        await open_authentication(Settings(**given), project)
    assert str(caught.value) == (
        f"{name} and `auth` in {project.file} are both set: choose one, since each alone would "
        "decide who calls"
    )


@pytest.mark.parametrize(
    "text, reason",
    [
        ("auth = 1\n", "auth.py:1: is int, not a langgraph_sdk.Auth\n    auth = 1"),
        (
            "from langgraph_sdk import Auth\nauth = Auth()\n",
            "auth.py:2: has no `authenticate` handler: register one with `@auth.authenticate`\n"
            "    auth = Auth()",
        ),
        (
            "from langgraph_sdk import Auth\nauth = Auth()\n@auth.authenticate\n"
            "async def who(token): return token\n",
            'auth.py:2: its `authenticate` can\'t be called: its parameter "token" is none that '
            "it can be given; there are authorization, body, headers, method, path, "
            "path_params, query_params, request, scope, scopes, user\n    auth = Auth()",
        ),
        ("auht = 1\n", 'auth.py: it has no "auth"; did you mean auht?'),
        ("1 / 0\n", "auth.py:1: ZeroDivisionError: division by zero\n    1 / 0"),
        (
            "from langgraph_sdk import Auth\nauth = Auth()\n@auth.on\n"
            "def sync(ctx, value): return True\n",
            None,
        ),
    ],
)
async def test_a_project_s_auth_that_can_not_be_loaded_stops_the_start(
    write_project: WriteProject, text: str, reason: str | None
) -> None:
    project = project_with(write_project, {"path": "./auth.py:auth"}, text)
    with pytest.raises(GraphLoadError) as caught:
        await open_authentication(Settings(), project)
    if reason is not None:
        assert str(caught.value) == f"the project's auth can't be loaded: {reason}"
    else:
        assert "Auth handler 'sync' must be an async function" in str(caught.value)


async def test_rules_that_refuse_are_those_of_the_project(write_project: WriteProject) -> None:
    text = AUTH.replace('return {"owner": ctx.user.identity}', "return False")
    found = await opened(Settings(), project_with(write_project, {"path": "auth:auth"}, text))
    assert found.rules is not None
    identity = await found.authenticator.authenticate(call("Bearer anna"))
    with pytest.raises(PermissionDeniedError):
        await found.rules.ask(identity, "assistants", "create", {})
    await found.close()


# --- `auth` of a langgraph.json

FORM = 'write {"path": "./path/to/file.py:auth"}'


@pytest.mark.parametrize(
    "auth, key, reason",
    [
        ("./auth.py:auth", "auth", 'has to be an object: {"path": "./path/to/file.py:auth"}'),
        ({}, "auth.path", f"is missing; {FORM}"),
        ({"path": None}, "auth.path", f"is missing; {FORM}"),
        ({"path": 1}, "auth.path", f"has to be text; {FORM}"),
        (
            {"path": "./auth.ts:auth"},
            "auth.path",
            '"./auth.ts" is JavaScript or TypeScript; only an auth in Python can be served',
        ),
        (
            {"path": "./auth.py"},
            "auth.path",
            '"./auth.py" does not name an auth object; write "./path/to/file.py:symbol" or '
            '"package.module:symbol"',
        ),
        (
            {"path": "./auth.py:auth", "disable_studio_auth": "yes"},
            "auth.disable_studio_auth",
            "has to be true or false",
        ),
        (
            {"path": "./auth.py:auth", "cache": []},
            "auth.cache",
            'has to be an object: {"cache_keys": ["authorization"]}',
        ),
        (
            {"path": "./auth.py:auth", "cache": {"cache_keys": "authorization"}},
            "auth.cache.cache_keys",
            "has to be a list of the names of headers",
        ),
        (
            {"path": "./auth.py:auth", "cache": {"ttl_seconds": 0}},
            "auth.cache.ttl_seconds",
            "has to be a number of seconds above 0",
        ),
        (
            {"path": "./auth.py:auth", "cache": {"ttl_seconds": True}},
            "auth.cache.ttl_seconds",
            "has to be a number of seconds above 0",
        ),
        (
            {"path": "./auth.py:auth", "cache": {"max_size": 1.5}},
            "auth.cache.max_size",
            "has to be a whole number above 0",
        ),
    ],
)
def test_an_auth_that_can_not_be_is_named(
    write_project: WriteProject, auth: object, key: str, reason: str
) -> None:
    with pytest.raises(ProjectError) as caught:
        project_with(write_project, auth)
    assert (caught.value.key, caught.value.reason) == (key, reason)


def test_a_file_that_is_not_there_is_named(write_project: WriteProject) -> None:
    with pytest.raises(ProjectError) as caught:
        project_with(write_project, {"path": "./other.py:auth"})
    assert caught.value.key == "auth.path"
    assert caught.value.reason.startswith('there is no file "./other.py" in ')


def test_what_means_nothing_here_is_named(write_project: WriteProject) -> None:
    project = project_with(
        write_project,
        {
            "path": "./auth.py:auth",
            "openapi": {},
            "allow_langsmith_api_keys": True,
            "disable_studio_auth": False,
            "cache": {"ttl_seconds": 5, "size": 1},
        },
    )
    assert project.unhonoured == (
        "auth.allow_langsmith_api_keys",
        "auth.cache.size",
        "auth.disable_studio_auth",
        "auth.openapi",
    )
    assert project.auth is not None
    assert project.auth.cache is None  # by no header nobody is known again


def test_what_is_honoured_is_not_named(write_project: WriteProject) -> None:
    cache = {"cache_keys": ["Authorization", "x-key"], "ttl_seconds": 5, "max_size": 9}
    project = project_with(
        write_project,
        {"path": "./auth.py:auth", "disable_studio_auth": True, "cache": cache, "openapi": None},
    )
    assert project.unhonoured == ()
    assert project.auth is not None
    assert project.auth.cache is not None
    assert project.auth.cache.keys == {"authorization", "x-key"}
    assert (project.auth.cache.ttl_seconds, project.auth.cache.max_size) == (5, 9)


def test_without_configuration_nothing_heavy_is_imported() -> None:
    check = (
        "import sys, json, graphwire_server.auth.opening\n"
        "print(json.dumps([m for m in ('jwt', 'httpx', 'cryptography', 'langgraph_sdk', "
        "'starlette') if m in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(done.stdout) == []
