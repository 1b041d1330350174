"""What a terminal would obey, or not show, is shown to people escaped, and only to people."""

from __future__ import annotations

import io
import json
import unicodedata
from contextlib import redirect_stdout

import pytest
from graphwire_server.cli import jsonlines
from graphwire_server.cli.console import VisibleConsole
from graphwire_server.cli.differences import Difference, difference_text
from graphwire_server.cli.flow import Flow
from graphwire_server.cli.message import call_text
from graphwire_server.cli.tables import show_table
from graphwire_server.cli.visible import one_line, visible, visible_name, visible_text
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.text import Text

#: Of the formats of Unicode those that are seen: signs that stand before numbers.
_SEEN = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
#: What shows nothing and is no format.
_FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u3164\ufe00\ufe0f\uffa0\U000e0100\U000e01ef"


def shown(*what: RenderableType, width: int = 60, terminal: bool = True) -> str:
    """Returns what is written for people."""
    file = io.StringIO()
    console = VisibleConsole(
        file=file, width=width, force_terminal=terminal, markup=False, emoji=False, highlight=False
    )
    for each in what:
        console.print(each)
    return file.getvalue()


def test_every_character_that_is_obeyed_or_not_seen_is_escaped() -> None:
    hidden = [
        char
        for char in map(chr, range(0x110000))
        if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") and char not in _SEEN
    ]
    left = [char for char in (*hidden, *_FILLERS) if visible(f"a{char}b") == f"a{char}b"]
    assert left == ["\t", "\n"]
    assert visible(_SEEN) == _SEEN


def test_they_are_written_as_in_json_but_for_the_oldest() -> None:
    assert visible("\x1b[2J\x7f\x9b8m\u202e\ufeff\U000e0041") == (
        "\\x1b[2J\\u007f\\u009b8m\\u202e\\ufeff\\udb40\\udc41"
    )
    assert visible("one\r\ntwo\rthree") == "one\r\ntwo\\rthree"
    assert visible_name("x()\n  2\tsafe\r\n") == "x()\\n  2\\tsafe\\r\\n"


@pytest.mark.parametrize(
    "text",
    ["👩‍👩‍👧‍👦 ❤️ 1️⃣ 👋🏽", "می‌خواهم", "क्‍ष", "עברית", "日本語 ✓ é", "e\u0301"],
)
def test_what_is_written_so_by_people_is_left_as_it_is(text: str) -> None:
    assert visible(text) == text
    assert visible_text(Text(text)).plain == text


def test_joiners_are_escaped_where_they_join_nothing() -> None:
    assert visible("pay\u200dpal a\u200cb 👩\u200d") == "pay\\u200dpal a\\u200cb 👩\\u200d"


def test_styles_stay_with_what_they_are_of() -> None:
    text = Text.assemble(("a\x1bb", "red"), "\x9b", ("c\u202e", "green"), ("d", "blue"))
    escaped = visible_text(text)
    assert escaped.plain == "a\\x1bb\\u009bc\\u202ed"
    assert [escaped.plain[start:end] for start, end, _ in escaped.spans] == [
        "a\\x1bb",
        "c\\u202e",
        "d",
    ]
    assert [span.style for span in escaped.spans] == ["red", "green", "blue"]


def test_a_console_obeys_its_own_colours_alone() -> None:
    assert shown(Text.assemble(("a\x1b[31mb", "bold"))) == "\x1b[1ma\\x1b[31mb\x1b[0m\n"
    assert shown("\x1b[2Jx") == "\\x1b[2Jx\n"
    assert shown(Text("\x1b]0;title\u009c"), terminal=False) == "\\x1b]0;title\\u009c\n"


def test_texts_are_folded_as_wide_as_they_are_shown() -> None:
    row = Text("e" * 28 + "\u202e")
    assert shown(row, width=30) == f"{'e' * 28}\\u\n202e\n"
    assert shown(Padding(Text("\u200b\u200b a"), (0, 0, 0, 2), expand=False)) == (
        "  \\u200b\\u200b a\n"
    )
    padded = shown(Padding(row, (0, 0, 0, 2), expand=False), width=30)
    assert [line.rstrip() for line in padded.splitlines()] == [f"  {'e' * 28}", "  \\u202e"]
    change = Difference("~", "pa\nth", "o" * 40, "\u200b" * 40)
    cut = shown(difference_text(change, 40), width=40, terminal=False)
    assert cut == '~ pa\\nth  "ooooooooooo… → "\\u200b\\u200b…\n'


def test_in_frames_and_tables_nothing_is_lost() -> None:
    framed = shown(Panel.fit(Group(Text("a\u202eb")), title=Text("x\x1b")))
    assert "\x1b" not in framed
    assert "".join(framed.replace("│", "").split("\n")[1:-2]).replace(" ", "") == "a\\u202eb"
    file = io.StringIO()
    console = VisibleConsole(file=file, width=80, markup=False, emoji=False, highlight=False)
    rows = [(Text("1\u200b"), Text("two\nlines\x9b")), (Text("2"), Text("x"))]
    show_table(console, ("id", "text"), rows)
    assert file.getvalue() == "id       text\n1\\u200b  two\\nlines\\u009b\n2        x\n"


def test_a_tool_call_takes_one_line_however_it_is_called() -> None:
    call = call_text("a\n  2  b", {"k\r\x08": "v\n\x9b"})
    assert visible_text(call).plain == 'a\\n  2  b(k\\r\\x08="v\\n\\u009b")'
    assert one_line(Text("a\nb")).plain == "a\\nb"


def test_what_is_streamed_loses_nothing_on_the_way() -> None:
    flow = Flow(Console(width=80), None)
    assert flow.feed("one\r") == []
    assert flow.feed("\ntwo\rover\x07\x08") == ["one"]
    assert flow.tail == "two\\rover\\x07\\x08"
    assert flow.feed("\n") == ["two\\rover\\x07\\x08"]


def test_json_stays_json_with_the_same_values() -> None:
    value = {"\u202ekey": ["\x1b[2J", "\x7f\x9b", "\U000e0041", "\ud800", "👩‍👩‍👧", "\\u202e"]}
    file = io.StringIO()
    with redirect_stdout(file):
        jsonlines.write(value)
    line = file.getvalue()
    assert json.loads(line) == value
    assert line == visible(line)
    assert "👩‍👩‍👧" in line
