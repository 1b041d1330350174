"""What docs/authentication.md shows works as it says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from graphwire.errors import PermissionDeniedError, UnauthenticatedError
from graphwire_server.auth.identity import PERMISSIONS
from graphwire_server.auth.opening import open_authentication
from graphwire_server.auth.service_tokens import read_tokens
from graphwire_server.graphs.loader import prepare
from graphwire_server.graphs.project import load_project
from graphwire_server.settings import Settings

from tests.auth.calls import call

WriteProject = Callable[..., Path]
PAGE = (Path(__file__).parents[2] / "docs" / "authentication.md").read_text()


def block(language: str, start: str) -> str:
    """The block of the page that begins so."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    (found,) = [text for text in blocks if text.startswith(start)]
    return str(found)


def test_the_token_file_is_one() -> None:
    callers = read_tokens(block("toml", "[billing]").encode())
    assert {i.principal: (i.owner, i.permissions) for i in callers.by_digest.values()} == {
        "billing": ("billing", frozenset()),
        "team.reports": ("reports", frozenset({"threads:all"})),
    }


def run(folder: Path, *command: str) -> str:
    """What a command prints."""
    done = subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")
async def test_a_token_that_is_made_as_shown_holds(
    write_project: WriteProject, tmp_path: Path
) -> None:
    run(tmp_path, "sh", "-ec", block("sh", "openssl"))
    (tmp_path / "make_token.py").write_text(block("python", "# make_token.py"))
    token = run(tmp_path, sys.executable, "make_token.py", "anna")
    serve = block("sh", "graphwire serve examples/weather_agent --jwt-keys")
    given: dict[str, Any] = {
        name.replace("-", "_"): value for name, value in re.findall(r"--([a-z-]+) (\S+)", serve)
    }
    given["jwt_keys"] = str(tmp_path / given["jwt_keys"])
    project = load_project(write_project({"a.py": ""}, {"graphs": {"a": "./a.py:a"}}))
    opened = await open_authentication(Settings(**given), project)
    assert opened is not None
    identity = await opened.authenticator.authenticate(call(f"Bearer {token}"))
    assert identity.principal == "anna"
    assert identity.permissions == {"assistants:write"}


async def test_the_auth_of_a_project_does_what_it_says(write_project: WriteProject) -> None:
    files = {"agent.py": "", "auth.py": block("python", "# auth.py")}
    root = write_project(files)
    (root / "langgraph.json").write_text(block("json", '{\n  "graphs"'))
    project = load_project(root)
    prepare(project)
    opened = await open_authentication(Settings(), project)
    assert opened is not None
    assert opened.rules is not None
    anna = await opened.authenticator.authenticate(call("Bearer secret-of-anna"))
    assert anna.principal == "anna"
    value: dict[str, Any] = {}
    assert await opened.rules.ask(anna, "threads", "create", value) == {"owner": "anna"}
    assert value == {"metadata": {"owner": "anna"}}
    assert await opened.rules.ask(anna, "threads", "search", {}) == {"owner": "anna"}
    assert await opened.rules.ask(anna, "assistants", "read", {}) is None
    with pytest.raises(UnauthenticatedError, match=r"^Bring a token of ours$"):
        await opened.authenticator.authenticate(call("Bearer x"))
    reader = replace(anna, source=None, permissions=frozenset())
    with pytest.raises(PermissionDeniedError, match=r"^You may only look$"):
        await opened.rules.ask(reader, "threads", "create", {})


def test_every_setting_and_permission_is_on_the_page() -> None:
    names = [n for n in Settings.model_fields if n.startswith(("auth_", "jwt_"))]
    assert names
    for name in names:
        spellings = (name, f"--{name.replace('_', '-')}", f"GRAPHWIRE_{name.upper()}")
        assert any(spelling in PAGE for spelling in spellings), name
    for permission in PERMISSIONS:
        assert f"`{permission}`" in PAGE
