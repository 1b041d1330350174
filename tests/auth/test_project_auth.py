"""A project's `authenticate`: what it is given, what it may return, what becomes of its errors."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from graphwire import errors
from graphwire_server.auth.identity import Credentials, Identity
from graphwire_server.auth.project_auth import ProjectAuthenticator
from graphwire_server.auth.project_requests import SmallRequest
from graphwire_server.graphs.auth_entry import AuthCache
from langgraph_sdk import Auth
from starlette import authentication, exceptions
from starlette.requests import Request
from structlog.testing import capture_logs

from tests.auth.calls import METHOD, call
from tests.auth.issuer import Clock

TOKEN = call("Bearer s3cret-token", ("x-api-key", "k3y-k3y"), ("trace-bin", b"\x00\xff"))


async def ask(authenticate: Callable[..., Any], credentials: Credentials = TOKEN) -> Identity:
    """Has a project's function say who calls."""
    authenticator = ProjectAuthenticator(authenticate)
    try:
        return await authenticator.authenticate(credentials)
    finally:
        await authenticator.close()


def returning(value: Any) -> Callable[..., Any]:
    """An `authenticate` that returns this."""

    async def authenticate() -> Any:
        return value

    return authenticate


def raising(error: BaseException) -> Callable[..., Any]:
    """An `authenticate` that raises this."""

    async def authenticate() -> Any:
        raise error

    return authenticate


# --- what it is given


async def test_each_parameter_is_given_by_its_name() -> None:
    seen: dict[str, Any] = {}

    async def authenticate(
        authorization: str | None,
        body: dict[str, Any],
        headers: Mapping[Any, bytes],
        method: str,
        path: str,
        path_params: dict[str, str],
        query_params: dict[str, str],
        scopes: list[str],
        user: Any,
        more: int = 7,
    ) -> str:
        seen.update(locals())
        del seen["seen"]
        return "anna"

    await ask(authenticate)
    headers = seen.pop("headers")
    assert seen == {
        "authorization": "Bearer s3cret-token",
        "body": {},
        "method": "POST",
        "path": METHOD,
        "path_params": {},
        "query_params": {},
        "scopes": [],
        "user": None,
        "more": 7,
    }
    assert dict(headers) == {
        b"authorization": b"Bearer s3cret-token",
        b"x-api-key": b"k3y-k3y",
        b"trace-bin": b"\x00\xff",
    }
    for key in ("x-api-key", "X-API-Key", b"x-api-key", b"X-Api-Key"):
        assert headers[key] == headers.get(key) == b"k3y-k3y"
        assert key in headers
    assert headers.get("x-other") is headers.get(b"x-other") is None
    assert (7 in headers, "x-other" in headers, len(headers)) == (False, False, 3)
    assert "s3cret" not in repr(headers)


async def test_without_authorization_it_is_given_none() -> None:
    async def authenticate(authorization: str | None) -> str:
        return repr(authorization)

    assert (await ask(authenticate, call())).principal == "None"


async def test_two_authorizations_never_reach_the_project() -> None:
    with pytest.raises(errors.UnauthenticatedError, match="more than one `authorization`"):
        await ask(returning("anna"), call("Bearer a", ("authorization", "Bearer b")))


async def test_a_request_is_there_for_those_who_want_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "starlette.requests", None)  # as if it were not installed
    seen: list[SmallRequest] = []

    async def authenticate(request: Any, scope: Any) -> str:
        seen.append(request)
        assert request.scope is scope
        with pytest.raises(json.JSONDecodeError):
            await request.json()
        return (await request.body()).decode() or "anna"

    assert (await ask(authenticate, call("Bearer x", ("cookie", "a=1; b=2")))).principal == "anna"
    (request,) = seen
    assert type(request) is SmallRequest
    assert request.headers["Authorization"] == request.headers.get("AUTHORIZATION") == "Bearer x"
    assert request.headers.get("x-other", "none") == "none"
    assert ("cookie" in request.headers, list(request.headers)) == (
        True,
        ["authorization", "cookie"],
    )
    assert (request.method, request.url.path) == ("POST", METHOD)
    assert request.client is not None
    assert (request.client.host, request.client.port) == ("127.0.0.1", 4711)
    assert request.cookies == {"a": "1", "b": "2"}
    assert (request.path_params, request.query_params) == ({}, {})
    assert request["path"] == METHOD
    request.state.seen = True


async def test_with_starlette_it_is_a_request_of_starlette() -> None:
    seen: list[Any] = []

    async def authenticate(request: Any) -> str:
        seen.append((await request.body(), dict(request.query_params)))
        seen.append(request)
        return "anna"

    await ask(authenticate, call("Bearer x", ("cookie", "a=1"), peer="ipv6:[::1]:80"))
    assert seen[0] == (b"", {})
    request = seen[1]
    assert isinstance(request, Request)
    assert request.headers["Authorization"] == "Bearer x"
    assert (request.method, request.url.path, request.cookies) == ("POST", METHOD, {"a": "1"})
    assert request.client is not None
    assert request.client.host == "::1"


def test_a_parameter_that_there_is_not_is_refused_at_the_start() -> None:
    async def authenticate(token: str) -> str:
        return token

    with pytest.raises(TypeError) as caught:
        ProjectAuthenticator(authenticate)
    assert str(caught.value) == (
        'its parameter "token" is none that it can be given; there are authorization, body, '
        "headers, method, path, path_params, query_params, request, scope, scopes, user"
    )


async def test_variable_parameters_are_left_alone() -> None:
    async def authenticate(*args: Any, authorization: str, **more: Any) -> str:
        assert (args, more) == ((), {})
        return authorization

    assert (await ask(authenticate)).principal == "Bearer s3cret-token"


async def test_a_plain_function_runs_in_a_thread_and_an_object_is_called() -> None:
    def authenticate(authorization: str) -> str:
        return threading.current_thread().name

    assert (await ask(authenticate)).principal.startswith("authenticate_")

    class Asker:
        async def __call__(self, path: str) -> str:
            return path

    assert (await ask(Asker())).principal == METHOD
    assert (await ask(lambda path: returning(path)())).principal == METHOD


# --- what it returns


class Minimal:
    def __init__(self) -> None:
        self.identity = "anna"
        self.org = {"team": {"name": "blue"}}
        self._secret = "hidden"


@dataclasses.dataclass
class Data:
    identity: str = "anna"
    display_name: str = "Anna"
    permissions: tuple[str, ...] = ("a", "b")


class Slots:
    __slots__ = ("identity", "is_authenticated")

    def __init__(self) -> None:
        self.identity, self.is_authenticated = "anna", True


class Named(NamedTuple):
    identity: str


class Model:
    identity = "anna"

    def model_dump(self) -> dict[str, Any]:
        return {"identity": "anna", "team": "blue"}


BASE = {"identity": "anna", "display_name": "anna", "is_authenticated": True, "permissions": []}


@pytest.mark.parametrize(
    "returned, user",
    [
        ("anna", {}),
        ({"identity": "anna"}, {}),
        ({"identity": "anna", "display_name": None, "permissions": None}, {}),
        (
            {"identity": "anna", "display_name": "Anna", "is_authenticated": True, "team": [1]},
            {"display_name": "Anna", "team": [1]},
        ),
        ({"identity": "anna", "permissions": ["x", "y"]}, {"permissions": ["x", "y"]}),
        ({"identity": "anna", "permissions": "x y"}, {"permissions": ["x", "y"]}),
        ((["x"], "anna"), {"permissions": ["x"]}),
        ((("x",), {"identity": "anna"}), {"permissions": ["x"]}),
        ({"identity": 7}, {"identity": "7", "display_name": "7"}),
        (
            {"identity": UUID(int=7)},
            {"identity": str(UUID(int=7)), "display_name": str(UUID(int=7))},
        ),
        (Minimal(), {"org": {"team": {"name": "blue"}}}),
        (Data(), {"display_name": "Anna", "permissions": ["a", "b"]}),
        (Slots(), {}),
        (Model(), {"team": "blue"}),
        (
            {"identity": "anna", "client": object(), "score": float("nan"), "team": "blue"},
            {"team": "blue"},
        ),
    ],
)
async def test_a_user_may_be_returned_in_any_form(returned: Any, user: dict[str, Any]) -> None:
    expected = {**BASE, **user}
    found = await ask(returning(returned))
    assert found.user == expected
    assert (found.principal, found.owner) == (expected["identity"], "")
    assert found.permissions == set(expected["permissions"])
    seen = found.source
    assert isinstance(seen, Auth.types.BaseUser)
    assert (seen.identity, seen.display_name) == (expected["identity"], expected["display_name"])
    assert (seen.is_authenticated, list(seen.permissions)) == (True, expected["permissions"])
    for key, value in expected.items():
        assert (seen[key], key in seen, key in list(seen)) == (value, True, True)
    assert "no such" not in seen
    with pytest.raises(KeyError):
        seen["no such"]


async def test_fields_of_a_user_are_keys_and_attributes() -> None:
    for returned in (Minimal(), {"identity": "anna", "org": {"team": {"name": "blue"}}}):
        user = (await ask(returning(returned))).source
        assert user.org.team.name == user["org"]["team"]["name"] == "blue"
        assert user.get("org") == user.dict()["org"] == user.model_dump()["org"]
        assert set(user.keys()) == {*BASE, "org"} == set(dict(user.items()))
        assert len(user) == len(list(user.values())) == 5
        assert user.get("x", 1) == 1
        assert not hasattr(user, "other")
        assert not hasattr(user.org, "other")
        assert "hidden" not in str(user.dict())
        assert repr(user) == "<user 'anna'>"


async def test_a_complete_user_of_the_project_s_own_is_shown_to_handlers_as_it_is() -> None:
    class Own:
        identity, display_name, is_authenticated = "anna", "Anna", True
        permissions = ("x",)

        def __getitem__(self, key: str) -> Any:
            return getattr(self, key)

        def __contains__(self, key: object) -> bool:
            return key == "identity"

        def __iter__(self) -> Any:
            return iter(["identity"])

    own = Own()
    found = await ask(returning(own))
    assert found.source is own
    assert found.permissions == {"x"}
    assert found.user["display_name"] == "Anna"


async def test_what_is_no_json_is_left_out_with_a_word() -> None:
    with capture_logs() as lines:
        await ask(returning({"identity": "anna", "client": object()}))
    assert lines == [
        {
            "event": "auth_user_field_left_out",
            "field": "client",
            "type": "object",
            "log_level": "debug",
        }
    ]


FORMS = (
    "a text, a dict with an identity, an object with an identity, or (permissions, one of these)"
)


@pytest.mark.parametrize(
    "returned, reason",
    [
        (None, f"it returned NoneType, not {FORMS}"),
        (True, f"it returned bool, not {FORMS}"),
        ({"id": "s3cret-token"}, f"it returned a dict without identity, not {FORMS}"),
        (("a", "b", "c"), f"it returned a tuple of 3, not {FORMS}"),
        (Named("anna"), f"it returned a tuple of 1, not {FORMS}"),
        ("", "the identity that it returned is empty"),
        ({"identity": None}, "the identity that it returned has to be a text, not NoneType"),
        ({"identity": True}, "the identity that it returned has to be a text, not bool"),
        ({"identity": "a", "permissions": [1]}, "its permissions are no list of texts"),
        ({"identity": "a", "permissions": 1}, "its permissions are no list of texts"),
    ],
)
async def test_what_is_no_user_is_a_fault_of_the_project(returned: Any, reason: str) -> None:
    with capture_logs() as lines, pytest.raises(errors.InternalError) as caught:
        await ask(returning(returned))
    assert str(caught.value) == (
        "the project's authenticate returned what makes no sense; the server's log says more"
    )
    (line,) = lines
    assert (line["event"], line["error"]) == ("auth_result_wrong", reason)
    assert line["handler"].startswith("returning.<locals>.authenticate (test_project_auth.py:")


@pytest.mark.parametrize("returned", [{"identity": "a", "is_authenticated": False}])
async def test_who_is_not_authenticated_is_nobody(returned: Any) -> None:
    with pytest.raises(errors.UnauthenticatedError, match=r"^the project says that the caller"):
        await ask(returning(returned))


# --- what it raises


@pytest.mark.parametrize(
    "status, detail, error, text",
    [
        (401, None, errors.UnauthenticatedError, "Unauthorized"),
        (401, "Who are you?", errors.UnauthenticatedError, "Who are you?"),
        (403, "Go away", errors.PermissionDeniedError, "Go away"),
        (404, "No such user", errors.PermissionDeniedError, "No such user"),
        (400, None, errors.PermissionDeniedError, "Bad Request"),
        (418, None, errors.PermissionDeniedError, "I'm a Teapot"),
        (429, "Slowly", errors.LimitReachedError, "Slowly"),
    ],
)
async def test_an_http_exception_is_a_refusal(
    status: int, detail: str | None, error: type[Exception], text: str
) -> None:
    raised = Auth.exceptions.HTTPException(status_code=status, detail=detail)
    with capture_logs() as lines, pytest.raises(error) as caught:
        await ask(raising(raised))
    assert (str(caught.value), caught.value.__cause__) == (text, None)
    assert lines == []


async def test_a_detail_may_be_anything() -> None:
    for detail, text in (({"why": {1}}, '{"why": "{1}"}'), ("", "Forbidden"), ([1], "[1]")):
        raised = Auth.exceptions.HTTPException(403, detail)  # type: ignore[arg-type]
        with pytest.raises(errors.PermissionDeniedError) as caught:
            await ask(raising(raised))
        assert str(caught.value) == text
    with capture_logs(), pytest.raises(errors.InternalError):
        await ask(raising(Auth.exceptions.HTTPException("403", "x")))  # type: ignore[arg-type]


async def test_how_long_to_wait_is_passed_on() -> None:
    raised = Auth.exceptions.HTTPException(429, headers={"Retry-After": "7"})
    with pytest.raises(errors.LimitReachedError) as caught:
        await ask(raising(raised))
    assert caught.value.retry_after == 7


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad token s3cret-token"),
        KeyError("Bearer s3cret-token"),
        AssertionError("k3y-k3y"),
        SystemExit(1),
        Auth.exceptions.HTTPException(503, "s3cret-token is down"),
        Auth.exceptions.HTTPException(500),
    ],
)
async def test_any_other_exception_is_a_fault_and_is_logged_without_secrets(
    error: BaseException,
) -> None:
    with capture_logs() as lines, pytest.raises(errors.InternalError) as caught:
        await ask(raising(error))
    name = type(error).__name__
    assert str(caught.value) == (
        f"the project's authenticate failed ({name}); the server's log says more"
    )
    (line,) = lines
    assert line["event"] == "auth_failed"
    assert line["handler"].startswith("raising.<locals>.authenticate (test_project_auth.py:")
    assert name in line["exception"]
    assert "s3cret" not in str(lines) + str(caught.value)
    assert "k3y" not in str(lines)


async def test_a_plain_function_that_finds_nobody_with_next_has_failed() -> None:
    def authenticate() -> str:
        return next(user for user in ("ada", "bob") if user == "carl")

    with capture_logs() as lines, pytest.raises(errors.InternalError) as caught:
        await asyncio.wait_for(ask(authenticate), 30)
    assert str(caught.value) == (
        "the project's authenticate failed (RuntimeError); the server's log says more"
    )
    assert "StopIteration" in lines[0]["exception"]


async def test_a_password_is_not_logged_either() -> None:
    coded = base64.b64encode(b"anna:pa55word").decode()
    with capture_logs() as lines, pytest.raises(errors.InternalError):
        await ask(raising(ValueError("not pa55word")), call(f"Basic {coded}"))
    assert "ValueError: not …" in lines[0]["exception"]


async def test_starlette_s_exceptions_count_too() -> None:
    with pytest.raises(errors.PermissionDeniedError, match=r"^no$"):
        await ask(raising(exceptions.HTTPException(403, "no")))
    with pytest.raises(errors.UnauthenticatedError, match=r"^who$"):
        await ask(raising(authentication.AuthenticationError("who")))


async def test_a_user_of_starlette_s_is_shown_to_handlers_as_it_is() -> None:
    class User(authentication.BaseUser):
        identity, display_name, is_authenticated = "anna", "Anna", True

    user = User()
    found = await ask(returning((["x"], user)))
    assert found.source is user
    assert found.principal == "anna"
    assert found.permissions == {"x"}
    assert found.user == {**BASE, "display_name": "Anna", "permissions": ["x"]}


# --- the cache


async def test_who_was_found_is_remembered_by_the_headers_that_tell() -> None:
    asked: list[str | None] = []

    async def authenticate(authorization: str | None) -> str:
        asked.append(authorization)
        return f"user {len(asked)}"

    clock = Clock()
    cache = AuthCache(frozenset({"authorization", "x-tenant"}), ttl_seconds=60, max_size=2)
    authenticator = ProjectAuthenticator(authenticate, cache, clock=clock)

    async def who(*call_: Any) -> str:
        return (await authenticator.authenticate(call(*call_))).principal

    assert [await who("a"), await who("a"), await who("a", ("x-other", "1"))] == ["user 1"] * 3
    assert await who("a", ("x-tenant", "1")) == "user 2"
    clock.time += 59
    assert await who("a") == "user 1"
    clock.time += 1
    assert await who("a") == "user 3"
    # The longest remembered goes first.
    assert [await who("b"), await who("c"), await who("a")] == ["user 4", "user 5", "user 6"]
    # Without any of the headers everybody would be the same.
    assert [await who(), await who()] == ["user 7", "user 8"]
    assert b"a" not in authenticator._kept


async def test_a_refusal_is_not_remembered() -> None:
    answers: list[Any] = [Auth.exceptions.HTTPException(401), "anna"]

    async def authenticate() -> Any:
        if isinstance(answer := answers.pop(0), Exception):
            raise answer
        return answer

    authenticator = ProjectAuthenticator(authenticate, AuthCache(frozenset({"authorization"})))
    with pytest.raises(errors.UnauthenticatedError):
        await authenticator.authenticate(TOKEN)
    assert (await authenticator.authenticate(TOKEN)).principal == "anna"
    assert (await authenticator.authenticate(TOKEN)).principal == "anna"
