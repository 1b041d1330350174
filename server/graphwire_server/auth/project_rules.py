"""A project's own rules: the `on` handlers of the `auth` object of its langgraph.json."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import structlog
from graphwire import errors
from langgraph_sdk import Auth

from graphwire_server.auth.identity import Identity
from graphwire_server.auth.project_errors import (
    failure,
    http_error_of,
    is_refusal,
    refusal_of,
    secrets_of_user,
    wrong_result,
)
from graphwire_server.auth.project_user import user_of_identity

_log = structlog.get_logger("graphwire.auth")

#: What this server asks about.
RESOURCES = {
    "threads": frozenset({"create", "read", "update", "delete", "search", "create_run"}),
    "assistants": frozenset({"create", "read", "update", "delete", "search"}),
}
#: What LangGraph's server asks about besides, and this one has not.
_ELSEWHERE = frozenset({"crons", "store", "runs"})
_ANY = "*"
_FORBIDDEN = "Forbidden"
#: How deep `$or` and `$and` may stand in each other, as on LangGraph's server.
_MOST_NESTED = 2
_NOT_FOUND = {
    "threads": (errors.ThreadNotFoundError, "thread", "thread_id"),
    "assistants": (errors.AssistantNotFoundError, "assistant", "assistant_id"),
}


class ProjectRules:
    """Asks the project's handlers what a caller may do."""

    def __init__(self, auth: Auth) -> None:
        """Takes the project's object, of which the handlers may not change any more."""
        self._handlers = {key: found[-1] for key, found in auth._handlers.items() if found}
        self._global = auth._global_handlers[-1] if auth._global_handlers else None

    def handler(self, resource: str, action: str) -> Callable[..., Any] | None:
        """Returns the handler for an action on a resource: the most exact one; None without."""
        for key in ((resource, action), (resource, _ANY), (_ANY, action), (_ANY, _ANY)):
            if (found := self._handlers.get(key)) is not None:
                return found
        return self._global

    async def ask(
        self, identity: Identity, resource: str, action: str, value: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Asks whether a caller may do something.

        Args:
            identity: Who calls.
            resource: `threads` or `assistants`.
            action: `create`, `read`, `update`, `delete`, `search` or `create_run`.
            value: What is to be done; the handler may change it.

        Returns:
            The filter that the metadata of what is touched has to match: names to a scalar, to
            `{"$eq": scalar}`, or to `{"$contains": scalar or list of scalars}`; `$or` and `$and`
            to lists of filters. None: any.

        Raises:
            PermissionDeniedError: The handler refuses.
            UnauthenticatedError, NotFoundError, LimitReachedError: It raised that as an
                HTTPException.
            InternalError: It failed, or returned what makes no sense.
        """
        handler = self.handler(resource, action)
        if handler is None:
            return None
        what = f"handler for {resource}.{action}"
        context = Auth.types.AuthContext(
            permissions=_permissions(identity),
            user=user_of_identity(identity),
            resource=resource,  # type: ignore[arg-type]
            action=action,  # type: ignore[arg-type]
        )
        try:
            result = await handler(ctx=context, value=value)
        except AssertionError as error:
            # LangGraph's server takes it for a refusal as well.
            raise errors.PermissionDeniedError(str(error) or _FORBIDDEN) from None
        except (Exception, SystemExit) as error:  # noqa: BLE001  # the project's own code
            if (answer := http_error_of(error)) is not None and is_refusal(answer[0]):
                raise _refusal(resource, value, *answer) from None
            raise failure(what, handler, error, secrets_of_user(identity.user)) from None
        if result is None or result is True:
            return None
        if result is False:
            raise errors.PermissionDeniedError(_FORBIDDEN)
        if reason := wrong_filter(result):
            raise wrong_result(what, handler, reason)
        return dict(result) or None

    def warn(self) -> None:
        """Writes to the log what of the rules is probably not meant."""
        if not self._handlers and self._global is None:
            _log.warning(
                "auth_without_rules",
                hint="the project's auth has no `on` handler: every caller sees and may change "
                "all threads",
            )
            return
        open_to_all = [
            f"{resource}.{action}"
            for resource, actions in RESOURCES.items()
            for action in sorted(actions)
            if self.handler(resource, action) is None
        ]
        if open_to_all:
            _log.warning(
                "auth_rules_incomplete",
                allowed=open_to_all,
                hint="no handler is for these, so every caller may: add one, or an `@auth.on`",
            )
        for key in self._never_asked():
            _log.warning(
                "auth_handler_never_asked",
                handler=".".join(key),
                hint="there is no such resource or action",
            )

    def _never_asked(self) -> Iterator[tuple[str, str]]:
        known = frozenset[str]().union(*RESOURCES.values())
        for resource, action in self._handlers:
            if resource in _ELSEWHERE:
                continue
            actions = known if resource == _ANY else RESOURCES.get(resource, frozenset())
            if not actions or (action != _ANY and action not in actions):
                yield resource, action


def wrong_filter(found: Any) -> str:
    """Returns what is wrong with a filter of a handler; empty if nothing is."""
    if not isinstance(found, dict):
        return f"it returned {type(found).__name__}, not None, True, False or a filter (a dict)"
    return _wrong_keys(found, "the filter that it returned", nested=0)


def _wrong_keys(found: dict[Any, Any], which: str, *, nested: int) -> str:
    for name, wanted in found.items():
        if not isinstance(name, str):
            return f"{which} has a key that is no text"
        at = f'{which} has for "{name}"'
        if name in ("$or", "$and"):
            if reason := _wrong_groups(name, wanted, which, nested=nested + 1):
                return reason
            continue
        if _is_plain(wanted):
            continue
        if not isinstance(wanted, dict):
            return f"{at} {type(wanted).__name__}, not a plain value, $eq or $contains"
        if len(wanted) != 1:
            return f"{at} {len(wanted)} operators, not one"
        ((operator, operand),) = wanted.items()
        if operator not in ("$eq", "$contains"):
            return f"{at} the operator {operator!r}; there are $eq and $contains"
        listed = operand if operator == "$contains" and isinstance(operand, list) else [operand]
        if not all(map(_is_plain, listed)):
            return f"{at} {operator} with what is no plain value"
    return ""


def _wrong_groups(operator: str, groups: Any, which: str, *, nested: int) -> str:
    """Returns what is wrong with what stands under `$or` or `$and`; empty if nothing is."""
    if nested > _MOST_NESTED:
        return f"{which} has {operator} in more than {_MOST_NESTED - 1} other $or or $and"
    if not isinstance(groups, list):
        return f'{which} has for "{operator}" {type(groups).__name__}, not a list of filters'
    if len(groups) < 2:
        return f'{which} has for "{operator}" a list of {len(groups)}, not of two filters or more'
    for index, group in enumerate(groups):
        inner = f"{operator}[{index}] of {which}"
        if not isinstance(group, dict):
            return f"{inner} is {type(group).__name__}, not a filter (a dict)"
        if reason := _wrong_keys(group, inner, nested=nested):
            return reason
    return ""


def _is_plain(value: Any) -> bool:
    """Tells whether something is null, a truth value, a number or a text, as JSON has them."""
    match value:
        case None | bool():
            return True
        case int():
            return -(2**63) <= value < 2**64
        case float():
            return math.isfinite(value)
        case str():
            return value.isascii() or value == value.encode(errors="replace").decode()
        case _:
            return False


def _permissions(identity: Identity) -> list[str]:
    listed = getattr(identity.source, "permissions", None)
    return sorted(identity.permissions) if listed is None else list(listed)


def _refusal(
    resource: str, value: dict[str, Any], status: int, detail: str, retry_after: str
) -> errors.GraphwireError:
    if status == 404 and resource in _NOT_FOUND:
        error, kind, key = _NOT_FOUND[resource]
        name = value.get(key)
        return error(detail, resource=(kind, str(name)) if name else None)
    return refusal_of(status, detail, retry_after)
