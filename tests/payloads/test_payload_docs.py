"""docs/payloads.md says what the code does: its examples are run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from graphwire_server import jsontext

_TEXT = (Path(__file__).parents[2] / "docs" / "payloads.md").read_text(encoding="utf-8")
_INCOMING, _OUTGOING = _TEXT.split("## Going out")


def _rows(section: str, pattern: str) -> list[tuple[str, str]]:
    found = re.findall(pattern, section, flags=re.MULTILINE)
    assert found
    return found


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    block = re.search(r"```python\n(.*?)```", _OUTGOING, flags=re.DOTALL)
    assert block
    namespace: dict[str, Any] = {"__name__": __name__}
    exec(block.group(1), namespace)
    return namespace


@pytest.mark.parametrize(
    ("python", "json_text"), _rows(_OUTGOING.split("To be exact")[0], r"\| `(.+)` \| `(.+)` \|$")
)
def test_an_outgoing_example_is_what_dumps_writes(
    python: str, json_text: str, names: dict[str, Any]
) -> None:
    assert jsontext.dumps(eval(python, names)) == json_text


@pytest.mark.parametrize(("text", "message"), _rows(_INCOMING, r"^\| `(.+)` \| `(.+)` \|$"))
def test_a_refused_example_is_refused_with_that_message(text: str, message: str) -> None:
    with pytest.raises(jsontext.JsonTextError, match=f"^{re.escape(message)}$"):
        jsontext.loads(text, max_bytes=4 << 20, max_depth=100)
