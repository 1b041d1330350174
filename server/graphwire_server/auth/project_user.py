"""What a project's `authenticate` returns, as handlers and graphs expect a user to be."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import ItemsView, Iterator, KeysView, Mapping, Sequence, ValuesView
from typing import Any
from uuid import UUID

import structlog
from langgraph_sdk import Auth

from graphwire_server.auth.identity import Identity
from graphwire_server.auth.names import wrong_name

_log = structlog.get_logger("graphwire.auth")

_FORMS = (
    "a text, a dict with an identity, an object with an identity, or (permissions, one of these)"
)


class WrongUserError(Exception):
    """A project's `authenticate` returned what is no user; the text says what it was."""


class NotAuthenticatedError(Exception):
    """A project's `authenticate` returned a user with is_authenticated False."""


class _Fields(dict[str, Any]):
    """A dict whose members are attributes too, as `user.org.name`."""

    def __getattr__(self, name: str) -> Any:
        try:
            return _with_attributes(self[name])
        except KeyError:
            raise AttributeError(name) from None


class ProjectUser:
    """A user: by attribute and by key, with what `BaseUser` asks for.

    What the project returned is behind it: its other attributes and keys are there too.
    """

    def __init__(self, source: Any, permissions: Sequence[str]) -> None:
        """Wraps what `authenticate` returned."""
        fields = dict(_fields_of(source))
        fields["identity"] = _identity_of(source)
        fields["permissions"] = permissions
        if fields.get("display_name") is None:
            fields["display_name"] = fields["identity"]
        if fields.get("is_authenticated") is None:
            fields["is_authenticated"] = True
        self._source = source
        self._user = fields

    @property
    def identity(self) -> str:
        """Returns who it is."""
        return str(self._user["identity"])

    @property
    def display_name(self) -> str:
        """Returns the name to show; the identity if there is none."""
        return str(self._user["display_name"])

    @property
    def is_authenticated(self) -> bool:
        """Tells whether it is somebody; True if nothing was said."""
        return bool(self._user["is_authenticated"])

    @property
    def permissions(self) -> Sequence[str]:
        """Returns the permissions; none if nothing was said."""
        permissions: Sequence[str] = self._user["permissions"]
        return permissions

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self._user:
            return _with_attributes(self._user[name])
        return getattr(self._source, name)

    def __getitem__(self, key: str) -> Any:
        return self._user[key]

    def __contains__(self, key: object) -> bool:
        return key in self._user

    def __iter__(self) -> Iterator[str]:
        return iter(self._user)

    def __len__(self) -> int:
        return len(self._user)

    def __repr__(self) -> str:
        # The other fields may be secrets.
        return f"<user {self.identity!r}>"

    def get(self, key: str, default: Any = None) -> Any:
        """Returns a field; `default` if it is not there."""
        return self._user.get(key, default)

    def keys(self) -> KeysView[str]:
        """Returns the names of the fields."""
        return self._user.keys()

    def values(self) -> ValuesView[Any]:
        """Returns the values of the fields."""
        return self._user.values()

    def items(self) -> ItemsView[str, Any]:
        """Returns the fields."""
        return self._user.items()

    def model_dump(self, **_: Any) -> dict[str, Any]:
        """Returns the fields as a dict."""
        return dict(self._user)

    # Last: behind it `dict` is this method.
    def dict(self) -> Mapping[str, Any]:
        """Returns the fields as a dict."""
        return self.model_dump()


def identity_of_user(returned: Any) -> Identity:
    """Returns who it is that a project's `authenticate` has returned.

    Raises:
        WrongUserError: It is no user.
        NotAuthenticatedError: It says of itself that it is nobody.
    """
    permissions, source = _taken_apart(returned)
    user = ProjectUser(source, permissions)
    if not user.is_authenticated:
        raise NotAuthenticatedError
    return Identity(
        principal=user.identity,
        # Not the owner of anything: what is whose, the project's own handlers decide.
        owner="",
        permissions=frozenset(permissions),
        user=_as_json(user),
        source=source if _is_complete(source) else user,
    )


def user_of_identity(identity: Identity) -> Any:
    """Returns the user that handlers are shown for a caller."""
    if identity.source is not None:
        return identity.source
    return ProjectUser(
        {**identity.user, "identity": identity.principal}, sorted(identity.permissions)
    )


def _taken_apart(returned: Any) -> tuple[list[str], Any]:
    if isinstance(returned, tuple):
        if len(returned) != 2:
            raise WrongUserError(f"it returned a tuple of {len(returned)}, not {_FORMS}")
        permissions, source = returned
    else:
        source = returned
        permissions = source.get("permissions") if isinstance(source, Mapping) else None
        if not isinstance(source, str | Mapping):
            permissions = getattr(source, "permissions", None)
    if isinstance(permissions, str):
        permissions = permissions.split()
    try:
        listed = list(permissions or ())
    except TypeError:
        listed = [None]
    if not all(isinstance(item, str) for item in listed):
        raise WrongUserError("its permissions are no list of texts")
    return listed, source


def _identity_of(source: Any) -> str:
    if isinstance(source, str):
        identity: Any = source
    elif isinstance(source, Mapping) and "identity" in source:
        identity = source["identity"]
    elif not isinstance(source, Mapping) and hasattr(source, "identity"):
        identity = source.identity
    else:
        kind = "a dict without identity" if isinstance(source, Mapping) else type(source).__name__
        raise WrongUserError(f"it returned {kind}, not {_FORMS}")
    if isinstance(identity, int | UUID) and not isinstance(identity, bool):
        identity = str(identity)
    if reason := wrong_name(identity):
        raise WrongUserError(f"the identity that it returned {reason}")
    return str(identity)


def _fields_of(source: Any) -> Mapping[str, Any]:
    """Returns the fields of whatever stands for a user."""
    if isinstance(source, str):
        return {}
    if isinstance(source, Mapping):
        return {str(key): value for key, value in source.items()}
    for name in ("model_dump", "dict", "to_dict", "_asdict"):
        method = getattr(source, name, None)
        if callable(method):
            found = method()
            if isinstance(found, Mapping):
                return found
    if dataclasses.is_dataclass(source) and not isinstance(source, type):
        names = [field.name for field in dataclasses.fields(source)]
    else:
        names = [*getattr(source, "__dict__", ()), *_slots(type(source))]
    names += ["display_name", "is_authenticated"]
    public = (name for name in names if not name.startswith("_"))
    return {name: getattr(source, name) for name in public if hasattr(source, name)}


def _slots(kind: type) -> Iterator[str]:
    for base in kind.__mro__:
        slots = base.__dict__.get("__slots__", ())
        yield from [slots] if isinstance(slots, str) else slots


def _is_complete(source: Any) -> bool:
    """Tells whether handlers may be shown the project's own object, as LangGraph's server does."""
    if isinstance(source, str | Mapping):
        return False
    starlette = sys.modules.get("starlette.authentication")
    return isinstance(source, Auth.types.BaseUser) or (
        starlette is not None and isinstance(source, starlette.BaseUser)
    )


def _with_attributes(value: Any) -> Any:
    return _Fields(value) if isinstance(value, dict) else value


def _as_json(user: ProjectUser) -> dict[str, Any]:
    """Returns what of a user is JSON."""
    found: dict[str, Any] = {}
    for name, value in user.items():
        try:
            found[name] = json.loads(json.dumps(value, allow_nan=False))
        except (ValueError, TypeError, RecursionError):
            _log.debug("auth_user_field_left_out", field=name, type=type(value).__name__)
    return found
