"""A project's `on` handlers: which is asked, what it is shown, what becomes of its answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from graphwire import errors
from graphwire_server.auth.identity import Identity
from graphwire_server.auth.project_rules import ProjectRules
from graphwire_server.auth.project_user import identity_of_user
from langgraph_sdk import Auth
from structlog.testing import capture_logs

ANNA = identity_of_user(
    {"identity": "anna", "permissions": ["b", "a"], "email": "anna@example.com"}
)
Handler = Callable[..., Any]


def answering(answer: Any) -> Handler:
    """A handler that answers so."""

    async def handler(ctx: Any, value: Any) -> Any:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return handler


async def ask(answer: Any, resource: str = "threads", action: str = "read", **value: Any) -> Any:
    """What comes of a global handler that answers so."""
    auth = Auth()
    auth.on(answering(answer))
    return await ProjectRules(auth).ask(ANNA, resource, action, value)


async def test_the_most_exact_handler_is_asked() -> None:
    auth = Auth()

    def register(decorator: Any, name: str) -> None:
        decorator(answering({"by": name}))

    rules: dict[tuple[str, str], str] = {}
    assert await ProjectRules(auth).ask(ANNA, "threads", "read", {}) is None
    register(auth.on, "global")
    register(auth.on(actions="read"), "reads")
    register(auth.on.threads, "threads")
    register(auth.on.threads.read, "threads.read")
    for resource, action in [
        ("threads", "read"),
        ("threads", "create_run"),
        ("assistants", "read"),
        ("assistants", "create"),
    ]:
        found = await ProjectRules(auth).ask(ANNA, resource, action, {})
        assert found is not None
        rules[resource, action] = found["by"]
    assert rules == {
        ("threads", "read"): "threads.read",
        ("threads", "create_run"): "threads",
        ("assistants", "read"): "reads",
        ("assistants", "create"): "global",
    }


async def test_what_no_handler_is_for_is_allowed() -> None:
    auth = Auth()
    auth.on.threads.create(answering(False))
    rules = ProjectRules(auth)
    assert await rules.ask(ANNA, "threads", "read", {}) is None
    with pytest.raises(errors.PermissionDeniedError):
        await rules.ask(ANNA, "threads", "create", {})


async def test_a_handler_sees_who_wants_what_and_may_change_it() -> None:
    auth = Auth()
    seen: list[Any] = []

    @auth.on.threads.create
    async def stamp(ctx: Auth.types.AuthContext, value: Any) -> Any:
        seen.append(ctx)
        value.setdefault("metadata", {})["owner"] = ctx.user.identity
        return {"owner": ctx.user.identity}

    value: dict[str, Any] = {"thread_id": "t"}
    assert await ProjectRules(auth).ask(ANNA, "threads", "create", value) == {"owner": "anna"}
    assert value == {"thread_id": "t", "metadata": {"owner": "anna"}}
    (context,) = seen
    assert isinstance(context, Auth.types.AuthContext)
    assert (context.resource, context.action) == ("threads", "create")
    assert context.permissions == ["b", "a"]
    user: Any = context.user
    assert user["email"] == user.email == "anna@example.com"


async def test_a_caller_without_a_user_object_is_shown_by_what_is_known() -> None:
    auth = Auth()

    @auth.on
    async def handler(ctx: Auth.types.AuthContext, value: Any) -> Any:
        return {"owner": ctx.user.identity, "email": ctx.user["email"], "n": len(ctx.permissions)}

    kept = Identity("anna", "", frozenset({"x"}), user={"email": "a@b"})
    assert await ProjectRules(auth).ask(kept, "threads", "read", {}) == {
        "owner": "anna",
        "email": "a@b",
        "n": 1,
    }


@pytest.mark.parametrize(
    "answer",
    [
        {"owner": "anna"},
        {"owner": "anna", "level": 3, "open": True, "by": None, "score": 0.5},
        {"owner": {"$eq": "anna"}},
        {"participants": {"$contains": "anna"}},
        {"participants": {"$contains": ["anna", "bob"]}},
        {"participants": {"$contains": []}},
        {"owner": {"$eq": "anna"}, "participants": {"$contains": "bob"}},
        {"$or": [{"owner": "anna"}, {"participants": {"$contains": "anna"}}], "open": True},
        {"$and": [{"$or": [{"a": 1}, {"b": 2}]}, {"$or": [{"a": 2}, {"b": 1}]}]},
    ],
)
async def test_a_filter_is_returned(answer: dict[str, Any]) -> None:
    found = await ask(answer)
    assert found == answer
    assert found is not answer


@pytest.mark.parametrize("answer", [None, True, {}])
async def test_what_allows_everything_is_no_filter(answer: Any) -> None:
    assert await ask(answer) is None


@pytest.mark.parametrize(
    "answer, error, text",
    [
        (False, errors.PermissionDeniedError, "Forbidden"),
        (AssertionError(), errors.PermissionDeniedError, "Forbidden"),
        (AssertionError("not yours"), errors.PermissionDeniedError, "not yours"),
        (Auth.exceptions.HTTPException(), errors.UnauthenticatedError, "Unauthorized"),
        (Auth.exceptions.HTTPException(403, "no"), errors.PermissionDeniedError, "no"),
        (Auth.exceptions.HTTPException(409, "busy"), errors.PermissionDeniedError, "busy"),
        (Auth.exceptions.HTTPException(429, "slow"), errors.LimitReachedError, "slow"),
    ],
)
async def test_a_refusal_is_passed_on(answer: Any, error: type[Exception], text: str) -> None:
    with capture_logs() as lines, pytest.raises(error) as caught:
        await ask(answer)
    assert str(caught.value) == text
    assert lines == []


async def test_not_found_is_said_of_what_was_asked_for() -> None:
    missing = Auth.exceptions.HTTPException(404, "no such thing")
    with pytest.raises(errors.ThreadNotFoundError) as thread:
        await ask(missing, thread_id="t")
    assert (str(thread.value), thread.value.resource) == ("no such thing", ("thread", "t"))
    with pytest.raises(errors.AssistantNotFoundError) as assistant:
        await ask(missing, "assistants", assistant_id="a")
    assert assistant.value.resource == ("assistant", "a")
    with pytest.raises(errors.ThreadNotFoundError) as unnamed:
        await ask(missing, action="search")
    assert unnamed.value.resource is None


@pytest.mark.parametrize(
    "answer, reason",
    [
        (1, "it returned int, not None, True, False or a filter (a dict)"),
        (0, "it returned int, not None, True, False or a filter (a dict)"),
        ("owner", "it returned str, not None, True, False or a filter (a dict)"),
        ([], "it returned list, not None, True, False or a filter (a dict)"),
        (
            {"n": float("nan")},
            'the filter that it returned has for "n" float, not a plain value, $eq or $contains',
        ),
        (
            {"n": 2**64},
            'the filter that it returned has for "n" int, not a plain value, $eq or $contains',
        ),
        (
            {"n": {"$contains": ["a", "\ud800"]}},
            'the filter that it returned has for "n" $contains with what is no plain value',
        ),
        ({1: "a"}, "the filter that it returned has a key that is no text"),
        (
            {"owner": ["a"]},
            'the filter that it returned has for "owner" list, not a plain value, $eq or $contains',
        ),
        ({"owner": {}}, 'the filter that it returned has for "owner" 0 operators, not one'),
        (
            {"owner": {"$eq": "a", "$contains": "a"}},
            'the filter that it returned has for "owner" 2 operators, not one',
        ),
        (
            {"owner": {"$ne": "a"}},
            "the filter that it returned has for \"owner\" the operator '$ne'; there are $eq "
            "and $contains",
        ),
        (
            {"owner": {"$eq": ["a"]}},
            'the filter that it returned has for "owner" $eq with what is no plain value',
        ),
        (
            {"owner": {"$contains": [["a"]]}},
            'the filter that it returned has for "owner" $contains with what is no plain value',
        ),
        (
            {"$or": [{"owner": "a"}]},
            'the filter that it returned has for "$or" a list of 1, not of two filters or more',
        ),
        (
            {"$and": []},
            'the filter that it returned has for "$and" a list of 0, not of two filters or more',
        ),
        (
            {"$or": {"owner": "a"}},
            'the filter that it returned has for "$or" dict, not a list of filters',
        ),
        (
            {"$or": [{"owner": "a"}, "b"]},
            "$or[1] of the filter that it returned is str, not a filter (a dict)",
        ),
        (
            {"$and": [{"$or": [{"a": "b"}, {"a": {"$in": ["b"]}}]}, {"owner": "a"}]},
            '$or[1] of $and[0] of the filter that it returned has for "a" the operator '
            "'$in'; there are $eq and $contains",
        ),
        (
            {"$or": [{}, {"$and": [{"$or": [{"a": "b"}, {"a": "c"}]}, {"a": "b"}]}]},
            "$and[0] of $or[1] of the filter that it returned has $or in more than 1 other $or "
            "or $and",
        ),
        (
            {"$nor": [{"owner": "a"}, {"owner": "b"}]},
            'the filter that it returned has for "$nor" list, not a plain value, $eq or $contains',
        ),
    ],
)
async def test_an_answer_that_makes_no_sense_allows_nothing(answer: Any, reason: str) -> None:
    with capture_logs() as lines, pytest.raises(errors.InternalError) as caught:
        await ask(answer)
    assert str(caught.value) == (
        "the project's handler for threads.read returned what makes no sense; the server's log "
        "says more"
    )
    (line,) = lines
    assert (line["event"], line["error"]) == ("auth_result_wrong", reason)
    assert line["handler"].startswith("answering.<locals>.handler (test_project_rules.py:")


@pytest.mark.parametrize(
    "error",
    [
        KeyError("anna@example.com"),
        SystemExit(),
        Auth.exceptions.HTTPException(500, "anna@example.com"),
    ],
)
async def test_a_handler_that_fails_allows_nothing(error: BaseException) -> None:
    with capture_logs() as lines, pytest.raises(errors.InternalError) as caught:
        await ask(error, "assistants", "search")
    assert str(caught.value) == (
        f"the project's handler for assistants.search failed ({type(error).__name__}); the "
        "server's log says more"
    )
    (line,) = lines
    assert line["event"] == "auth_failed"
    assert "anna@example.com" not in str(lines)


# --- LangGraph's own examples


async def test_the_tutorial_s_rules_work() -> None:
    """As on LangGraph's pages on custom auth and resource authorization."""
    auth = Auth()

    @auth.on
    async def add_owner(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> Any:
        filters = {"owner": ctx.user.identity}
        metadata = value.setdefault("metadata", {})
        metadata.update(filters)
        return filters

    @auth.on.threads.create
    async def on_thread_create(ctx: Auth.types.AuthContext, value: Any) -> Any:
        if "threads:write" not in ctx.permissions:
            raise Auth.exceptions.HTTPException(403, detail="Insufficient permissions")
        metadata = value.setdefault("metadata", {})
        metadata["owner"] = ctx.user.identity
        return {"owner": ctx.user.identity}

    @auth.on.assistants
    async def on_assistants(ctx: Auth.types.AuthContext, value: Any) -> Any:
        raise Auth.exceptions.HTTPException(
            status_code=403, detail="User lacks the required permissions."
        )

    @auth.on.store
    async def authorize_store(ctx: Auth.types.AuthContext, value: Any) -> None:
        namespace = tuple(value["namespace"])
        assert namespace[0] == ctx.user.identity, "Not authorized"

    rules = ProjectRules(auth)
    value: dict[str, Any] = {}
    assert await rules.ask(ANNA, "threads", "search", value) == {"owner": "anna"}
    assert value == {"metadata": {"owner": "anna"}}
    with pytest.raises(errors.PermissionDeniedError, match=r"^Insufficient permissions$"):
        await rules.ask(ANNA, "threads", "create", {})
    with pytest.raises(errors.PermissionDeniedError, match=r"^User lacks the required"):
        await rules.ask(ANNA, "assistants", "read", {})
    writer = identity_of_user({"identity": "w", "permissions": ["threads:write"]})
    assert await rules.ask(writer, "threads", "create", {}) == {"owner": "w"}


# --- what is said at the start


def warnings(auth: Auth) -> list[dict[str, Any]]:
    """What the log says of rules."""
    with capture_logs() as lines:
        ProjectRules(auth).warn()
    return [{k: v for k, v in line.items() if k not in ("hint", "log_level")} for line in lines]


def test_rules_that_leave_something_open_are_told_of() -> None:
    assert warnings(Auth()) == [{"event": "auth_without_rules"}]
    auth = Auth()
    auth.on.threads(answering(None))
    auth.on(actions="read")(answering(None))
    auth.on.crons(answering(None))
    auth.on.store(answering(None))
    assert warnings(auth) == [
        {
            "event": "auth_rules_incomplete",
            "allowed": [
                "assistants.create",
                "assistants.delete",
                "assistants.search",
                "assistants.update",
            ],
        }
    ]
    auth.on(answering(False))
    assert warnings(auth) == []


def test_handlers_that_are_never_asked_are_told_of() -> None:
    auth = Auth()
    auth.on(answering(None))
    auth.on(resources="thread")(answering(None))
    auth.on(resources="threads", actions="craete")(answering(None))
    auth.on(resources="threads", actions="create")(answering(None))
    auth.on(actions="wirte")(answering(None))
    assert warnings(auth) == [
        {"event": "auth_handler_never_asked", "handler": "thread.*"},
        {"event": "auth_handler_never_asked", "handler": "threads.craete"},
        {"event": "auth_handler_never_asked", "handler": "*.wirte"},
    ]
