"""Runs the blocks of a page in docs/, and compares what they print with what it shows.

A `python` block is run with its top-level `await`, a `sh` block by a shell. A `text` block right
after one of them is what it prints: ids stand for those of this run, the same for the same; times
for any; `…` for what the page leaves out. For `sh` blank space is of no account, nor how JSON
escapes `<`, `>` and `&`, so that a page may lay it out to be read. What a page shows as an id,
later blocks may use.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DOCUMENTED_ADDRESS = "127.0.0.1:50051"

_FENCED = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_ID = rf"{_UUID}|\b[0-9a-f]{{32}}\b"
_TIME = r"\d{4}-\d\d-\d\dT[\d:.]+Z"
_VARIES = re.compile(rf"(?P<id>{_ID})|(?P<time>{_TIME})|(?P<left_out>…)")


@dataclass(frozen=True, slots=True)
class Block:
    """A program on a page, and what the page says that it prints.

    Attributes:
        language: `python` or `sh`.
        text: The program.
        output: What it prints; None if the page does not say.
    """

    language: str
    text: str
    output: str | None


def sections(page: Path) -> dict[str, list[Block]]:
    """The blocks of a page by the heading that they stand under; those before one under ""."""
    title, *rest = _HEADING.split(page.read_text())
    parts = {"": title} | dict(zip(rest[::2], rest[1::2], strict=True))
    return {heading: list(_blocks(text)) for heading, text in parts.items()}


def _blocks(text: str) -> Iterator[Block]:
    found = list(_FENCED.finditer(text))
    for at, match in enumerate(found):
        if match["language"] not in ("python", "sh"):
            if match["language"] != "text":
                raise AssertionError(f"what is to be done with {match['language']}?")
            continue
        following = found[at + 1] if at + 1 < len(found) else None
        output = following["text"] if following and following["language"] == "text" else None
        yield Block(match["language"], match["text"], output)


def _dense(text: str) -> str:
    """A text without blank space, with the characters that grpcurl escapes as themselves."""
    plain = text.replace(r"\u003c", "<").replace(r"\u003e", ">").replace(r"\u0026", "&")
    return "".join(plain.split())


@dataclass(slots=True)
class Reader:
    """Somebody who goes through a page with a server of his own.

    Attributes:
        address: The server.
        prelude: What a shell is told before each `sh` block.
        names: The names that `python` blocks have defined.
        ids: This run's ids by those on the page.
    """

    address: str
    prelude: str = ""
    names: dict[str, Any] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    async def follow(self, block: Block) -> None:
        """Runs a block, and compares what it prints."""
        text = block.text.replace(DOCUMENTED_ADDRESS, self.address)
        for shown, real in self.ids.items():
            text = text.replace(shown, real)
        printed = await self._python(text) if block.language == "python" else self._sh(text)
        if block.output is not None:
            if block.language == "sh":
                self._compare(_dense(block.output), _dense(printed))
            else:
                self._compare(block.output, printed)
        elif block.language == "sh" and "ERROR" in printed:
            raise AssertionError(f"a command failed that the page takes for granted:\n{printed}")

    async def _python(self, text: str) -> str:
        code = compile(text, "page", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            made = eval(code, self.names)
            if inspect.isawaitable(made):
                await made
        return printed.getvalue()

    def _sh(self, text: str) -> str:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            f"{self.prelude.replace(DOCUMENTED_ADDRESS, self.address)}\n{text}",
            shell=True,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            env={**os.environ, "PATH": path, "COLUMNS": "100"},
        )
        return done.stdout

    def _compare(self, shown: str, printed: str) -> None:
        """Holds what was printed against what the page shows, and keeps the ids that are new."""
        pattern, new, at = "", list[str](), 0
        for match in _VARIES.finditer(shown):
            pattern += re.escape(shown[at : match.start()])
            at = match.end()
            if match["time"]:
                pattern += _TIME
            elif match["left_out"]:
                pattern += ".*"
            elif match[0] in self.ids:
                pattern += re.escape(self.ids[match[0]])
            elif match[0] in new:
                pattern += rf"(?P=id{new.index(match[0])})"
            else:
                pattern += rf"(?P<id{len(new)}>{_ID})"
                new.append(match[0])
        pattern += re.escape(shown[at:])
        found = re.fullmatch(pattern, printed, re.DOTALL)
        if found is None:
            raise AssertionError(f"it prints\n{printed}\nwhere the page shows\n{shown}")
        self.ids |= {name: found[f"id{index}"] for index, name in enumerate(new)}
        if len(set(self.ids.values())) < len(self.ids):
            raise AssertionError(f"two ids on the page are one: {self.ids}")
