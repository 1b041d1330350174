"""Messages on a terminal while they grow: what is complete is printed once, the rest is below."""

from __future__ import annotations

from datetime import UTC, datetime

from graphwire.enums import MessageRole
from graphwire.events import Message, ToolCallPiece
from graphwire_server.cli.flow import Flow
from graphwire_server.cli.message import OpenMessage
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

CONSOLE = Console(width=80)


def piece(
    text: str = "",
    *calls: ToolCallPiece,
    role: MessageRole = MessageRole.ASSISTANT,
    name: str = "",
    last: bool = False,
) -> Message:
    """Makes a piece of a message."""
    return Message(
        run_id="run",
        sequence=1,
        attempt=1,
        time=datetime.now(UTC),
        namespace=(),
        message_id="message",
        role=role,
        type=role.lower(),
        node="node",
        name=name,
        tool_call_id="",
        text=text,
        reasoning="",
        blocks=(),
        tool_calls=calls,
        usage=None,
        last=last,
    )


def test_rows_are_complete_when_the_next_has_begun() -> None:
    flow = Flow(CONSOLE, 10)
    assert flow.feed("one two ") == []
    assert flow.tail == "one two "
    assert flow.feed("three") == ["one two "]
    assert flow.tail == "three"
    assert flow.feed("\n\nfour") == ["three", ""]
    assert flow.end() == ["four"]
    assert flow.end() == []


def test_without_a_width_rows_end_where_the_text_says_so() -> None:
    flow = Flow(CONSOLE, None)
    assert flow.feed("word " * 100 + "\nlast") == ["word " * 100]
    assert flow.end() == ["last"]


@given(st.lists(st.text(alphabet="ab \n界", max_size=12), max_size=12))
def test_folding_loses_and_adds_nothing_however_the_pieces_are_cut(pieces: list[str]) -> None:
    flow = Flow(CONSOLE, 8)
    rows = [row for text in pieces for row in flow.feed(text)] + flow.end()
    assert "".join("".join(rows).split()) == "".join("".join(pieces).split())


def test_a_tool_call_is_shown_as_it_comes_and_whole_when_it_has_come() -> None:
    first = piece("", ToolCallPiece(0, "id", "get_weather", ""))
    message = OpenMessage(first, CONSOLE, 60)
    message.feed(first)
    message.feed(piece("", ToolCallPiece(0, "", "", '{"city": "Par')))
    assert [row.plain for row in message.tail] == ['get_weather({"city": "Par']
    assert message.take() == []
    message.feed(piece("", ToolCallPiece(0, "", "", 'is"}'), last=True))
    assert [row.plain for row in message.take()] == ['get_weather(city="Paris")']
    assert message.tail == []


def test_a_long_result_of_a_tool_is_cut_on_a_terminal_and_whole_elsewhere() -> None:
    text = "\n".join(f"line {n}" for n in range(1, 12))
    for width, expected in ((60, 9), (None, 11)):
        result = piece(text, role=MessageRole.TOOL, name="search", last=True)
        message = OpenMessage(result, CONSOLE, width)
        message.feed(result)
        rows = [row.plain for row in message.take()]
        assert rows[0] == "search → line 1"
        assert len(rows) == expected
        assert rows[-1] == ("line 11" if width is None else "… 3 more lines")
    longer = piece(
        "\n".join(f"line {n}" for n in range(1, 10)),
        role=MessageRole.TOOL,
        name="search",
        last=True,
    )
    message = OpenMessage(longer, CONSOLE, 60)
    message.feed(longer)
    assert message.take()[-1].plain == "… 1 more line"
