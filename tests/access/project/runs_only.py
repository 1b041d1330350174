"""Rules of a project whose threads are made by runs: nothing is said of making threads."""

from __future__ import annotations

from typing import Any

from langgraph_sdk import Auth

auth = Auth()


@auth.authenticate
async def authenticate(authorization: str | None) -> dict[str, Any]:
    """Returns whose token it is: everybody's is his name with "-token"."""
    _, _, token = (authorization or "").partition(" ")
    return {"identity": token.removesuffix("-token")}


@auth.on.threads.create_run
async def start(ctx: Auth.types.AuthContext, value: Any) -> Any:
    """Marks runs, or, for one caller, wants them to be marked."""
    if ctx.user.identity == "strict":
        assert value["metadata"].get("owner") == "strict", "mark it as yours"
    else:
        value["metadata"]["owner"] = ctx.user.identity
    return {"owner": ctx.user.identity}


@auth.on(resources="threads", actions=["read", "search", "update"])
async def own(ctx: Auth.types.AuthContext, value: Any) -> Any:
    """Lets everybody see his own."""
    return {"owner": ctx.user.identity}
