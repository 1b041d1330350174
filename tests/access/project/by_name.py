"""Rules of a project that go by the names of threads and assistants, and note what they hear."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from langgraph_sdk import Auth

auth = Auth()


@auth.authenticate
async def authenticate(authorization: str | None) -> dict[str, Any]:
    """Returns whose token it is: everybody's is his name with "-token"."""
    return {"identity": (authorization or "").removeprefix("Bearer ").removesuffix("-token")}


def note(asked: list[Any]) -> None:
    """Writes down what was asked."""
    with open(os.environ["ASKED"], "a") as file:
        file.write(json.dumps(asked) + "\n")


@auth.on
async def by_name(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> Any:
    """Leaves threads whose name begins with "fin-" to Fin; hides those with "dark-" by a filter.

    Whoever is called Eve may not run the assistant "two". Of Slow Eve, who may not either, it
    thinks until there is a file beside the notes, where nothing has run yet.
    """
    note([f"{ctx.resource}.{ctx.action}", value])
    if ctx.resource != "threads":
        return None
    # A KeyError here would be an INTERNAL error.
    thread_id = value["thread_id"]
    if ctx.action == "create_run" and ctx.user.identity in ("eve", "slow-eve"):
        while ctx.user.identity == "slow-eve" and value["assistant_id"] is None:
            if Path(os.environ["ASKED"]).with_suffix(".go").exists():
                break
            await asyncio.sleep(0.01)
        return value["assistant_id"] != "two"
    if thread_id is not None and ctx.user.identity != "fin":
        if thread_id.startswith("fin-"):
            return False
        if thread_id.startswith("dark-"):
            return {"owner": "nobody"}
    return None
