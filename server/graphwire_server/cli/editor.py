"""Edits a JSON value in the person's editor."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

_USUAL = ("sensible-editor", "nano", "vim", "vi", "notepad")


class EditorError(Exception):
    """The editor could not be used; the text says why."""


class NotJsonError(Exception):
    """What was saved is no JSON.

    Attributes:
        text: What was saved.
    """

    def __init__(self, message: str, text: str) -> None:
        """Takes what is wrong, and what was saved."""
        super().__init__(message)
        self.text = text


def json_text(value: Any) -> str:
    """Returns a value as it is put before a person to edit."""
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def edit_json(text: str, name: str) -> Any:
    """Opens a text in $VISUAL or $EDITOR, waits, and returns the value that was saved.

    Args:
        text: What to begin with.
        name: What it is, for the name of the file.

    Raises:
        EditorError: There is no editor, or it failed.
        NotJsonError: What was saved is no JSON.
    """
    command = _editor()
    with tempfile.TemporaryDirectory(prefix="graphwire-") as folder:
        file = Path(folder) / f"{name}.json"
        file.write_text(text, encoding="utf-8")
        try:
            code = subprocess.run([*command, str(file)], check=False).returncode
        except OSError as error:
            raise EditorError(f"{command[0]}: {error.strerror}") from error
        if code:
            raise EditorError(f"{command[0]} ended with code {code}: nothing was changed")
        saved = file.read_text(encoding="utf-8", errors="replace")
    try:
        return json.loads(saved)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise NotJsonError(f"not JSON: {error.msg} ({place})", saved) from error
    except RecursionError:
        raise NotJsonError("nested too deep", saved) from None


def _editor() -> list[str]:
    named = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if named:
        return shlex.split(named)
    for usual in _USUAL:
        if (path := shutil.which(usual)) is not None:
            return [path]
    raise EditorError("there is no editor: name one in the environment variable EDITOR")
