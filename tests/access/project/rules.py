"""Rules of a project, as LangGraph's tutorials write them: everybody has his own, and shares."""

from __future__ import annotations

from typing import Any

from langgraph_sdk import Auth

auth = Auth()

USERS = {
    "ada-token": {"identity": "ada", "permissions": ["use"], "secret": "ada's own key"},
    "bob-token": {"identity": "bob", "permissions": ["use"]},
    "eve-token": {"identity": "eve", "permissions": []},
}


@auth.authenticate
async def authenticate(authorization: str | None) -> dict[str, Any]:
    """Returns whose token it is."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or token not in USERS:
        raise Auth.exceptions.HTTPException(status_code=401, detail="Invalid token")
    return USERS[token]


@auth.on
async def own_things(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> dict[str, str] | bool:
    """Lets everybody who may use the server have his own, and marks it as his."""
    if "use" not in ctx.permissions:
        return False
    metadata = value.setdefault("metadata", {})
    metadata["owner"] = ctx.user.identity
    return {"owner": ctx.user.identity}


@auth.on.threads.read
async def read_shared(ctx: Auth.types.AuthContext, value: Auth.types.ThreadsRead) -> Any:
    """Lets those read a thread with whom it is shared."""
    if "use" not in ctx.permissions:
        raise Auth.exceptions.HTTPException(status_code=403, detail="not for you")
    return {"readers": {"$contains": ctx.user.identity}}
