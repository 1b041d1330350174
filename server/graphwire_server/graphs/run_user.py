"""Who runs a graph, as the graph is told of him."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

#: What is known of who makes the present call, for a graph that is opened to be looked at.
calling_user: ContextVar[Mapping[str, Any]] = ContextVar("calling_user", default={})  # noqa: B039


class RunUser:
    """The user of a run: `langgraph_sdk.auth.types.BaseUser`, and a mapping of all that is known.

    It is what `config["configurable"]["langgraph_auth_user"]` and `runtime.server_info.user` are.
    """

    def __init__(self, known: Mapping[str, Any]) -> None:
        """Takes a JSON object with at least `identity`."""
        self._known = dict(known)

    @property
    def identity(self) -> str:
        """The name of the principal."""
        return str(self._known["identity"])

    @property
    def display_name(self) -> str:
        """The name to show; the identity if there is no other."""
        return str(self._known.get("display_name") or self.identity)

    @property
    def is_authenticated(self) -> bool:
        """Whether it is known who he is."""
        return bool(self._known.get("is_authenticated", True))

    @property
    def permissions(self) -> Sequence[str]:
        """What he may do."""
        return list(self._known.get("permissions") or ())

    def dict(self) -> dict[str, Any]:
        """Returns all that is known of him."""
        return dict(self._known)

    def get(self, key: str, default: Any = None) -> Any:
        """Returns what is known under a key."""
        return self._known.get(key, default)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_known"][name]
        except KeyError:
            raise AttributeError(name) from None

    def __getitem__(self, key: str) -> Any:
        return self._known[key]

    def __contains__(self, key: object) -> bool:
        return key in self._known

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __repr__(self) -> str:
        # The rest may be secret.
        return f"RunUser({self.identity!r})"


def user_config(known: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the configurable values by which a graph learns who runs it; none of nobody."""
    if not known:
        return {}
    user = RunUser(known)
    return {
        "langgraph_auth_user": user,
        "langgraph_auth_user_id": user.identity,
        "langgraph_auth_permissions": user.permissions,
    }
