"""Edits a JSON value in the person's editor."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Literal, NoReturn

from graphwire_server.cli.visible import visible

#: What is edited.
Kind = Literal["arguments", "state"]
_USUAL = ("sensible-editor", "nano", "vim", "vi", "notepad")


class EditorError(Exception):
    """The editor could not be used; the text says why."""


class UnusableError(ValueError):
    """What the editor has left can't be used; the text says why."""


def json_text(value: Any) -> bytes:
    """Returns a value as it is put before a person to edit.

    What an editor may obey, or not show, is escaped.
    """
    return visible(json.dumps(value, ensure_ascii=False, indent=2)).encode() + b"\n"


def edited_text(text: bytes, kind: Kind) -> bytes:
    """Opens a text in $VISUAL or $EDITOR, waits, and returns what was saved, as it was saved.

    Args:
        text: What to begin with.
        kind: What it is; the file is called so.

    Raises:
        EditorError: There is no editor, or it failed.
        UnusableError: It has left nothing that can be read.
    """
    command = _editor()
    # Nobody else can look into the folder, and nothing that is edited has a say in the name.
    with tempfile.TemporaryDirectory(prefix="graphwire-") as folder:
        file = Path(folder) / f"{kind}.json"
        file.write_bytes(text)
        try:
            code = subprocess.run([*command, str(file)], check=False).returncode
        except OSError as error:
            raise EditorError(f"{command[0]}: {error.strerror}") from error
        if code:
            raise EditorError(f"{command[0]} ended with code {code}: nothing was changed")
        try:
            return file.read_bytes()
        except OSError as error:
            reason = f"the editor has left no file that can be read: {error.strerror}"
            raise UnusableError(reason) from error


def read_json(text: bytes) -> Any:
    """Returns the value that was saved.

    Raises:
        UnusableError: It is no JSON in UTF-8.
    """
    try:
        return json.loads(text.decode("utf-8-sig"), parse_constant=_refuse)
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise UnusableError(f"not UTF-8 text (line {line}): save it as UTF-8") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise UnusableError(f"not JSON: {error.msg} ({place})") from error
    except RecursionError:
        raise UnusableError("nested too deep") from None


def _refuse(constant: str) -> NoReturn:
    raise UnusableError(f"not JSON: it has no {constant}")


def _editor() -> list[str]:
    for name in ("VISUAL", "EDITOR"):
        try:
            if words := shlex.split(os.environ.get(name, "")):
                return words
        except ValueError as error:
            raise EditorError(f"{name}: {error}") from error
    for usual in _USUAL:
        if (path := shutil.which(usual)) is not None:
            return [path]
    raise EditorError("there is no editor: name one in the environment variable EDITOR")
