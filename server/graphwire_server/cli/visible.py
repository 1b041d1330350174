r"""Makes characters visible that a terminal would obey, or not show.

What a graph, a model or a user has said may hold sequences that move the cursor and draw
something else over what is about to run, that turn the direction of the text around, or that
can't be seen at all. People get to see them escaped, `\x1b` or `\u202e`. Above U+001F that is as
JSON writes them, so JSON in which they are escaped is the same JSON.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from itertools import accumulate

from rich.text import Span, Text

#: Scripts whose letters take another form beside a joiner, and pictures that are made of several.
_JOINABLE = "\u0600-\u06ff\u0700-\u0dff\u2190-\u2bff\ufe0f\U0001f000-\U0001faff"
#: What a selector makes a picture of.
_SELECTABLE = "#*0-9\u00a9\u00ae\u203c-\u32ff\u3400-\u9fff\U0001f000-\U0001faff"
#: Control characters but newline and tab, surrogates, separators of lines, and what Unicode says
#: is not to be shown: formats, directions, fillers, tags. Signs of the class Cf that are seen,
#: such as U+0600, are left as they are.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0"
    "\ufff0-\ufffb\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
    # The end of a line on Windows does no harm.
    "|\r(?!\n)"
    f"|(?<![{_JOINABLE}])[\u200c\u200d]|[\u200c\u200d](?![{_JOINABLE}])"
    f"|(?<![{_SELECTABLE}])[\ufe00-\ufe0f]"
)
#: What rich takes out of a text without a trace.
_TAKEN_OUT = re.compile("[\x07\x08\x0b\x0c]|\r(?!\n)")
_BREAKS = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
_BREAK = re.compile("[\n\t\r]")


def visible(text: str) -> str:
    """Returns a text with what would be obeyed, or not be seen, escaped."""
    return _HIDDEN.sub(_escaped, text)


def visible_name(text: str) -> str:
    """Returns a name, or whatever else belongs on one line, as `visible` does: breaks escaped."""
    return visible(_BREAK.sub(_escaped, text))


def visible_text(text: Text) -> Text:
    """Returns a text as `visible` does, with its styles; itself if there is nothing to escape."""
    return _with_escaped(_HIDDEN, text)


def one_line(text: Text) -> Text:
    """Returns a text for a line of its own, where a break would make it look like two."""
    return _with_escaped(_BREAK, text)


def kept(text: str) -> str:
    """Returns a text for a `Text`, which would lose some control characters: these are escaped."""
    return _TAKEN_OUT.sub(_escaped, text)


def _with_escaped(pattern: re.Pattern[str], text: Text) -> Text:
    plain = text.plain
    found = list(pattern.finditer(plain))
    if not found:
        return text
    shown = text.blank_copy(pattern.sub(_escaped, plain))
    places = [match.start() for match in found]
    grown = [0, *accumulate(len(_escaped(match)) - 1 for match in found)]

    def moved(offset: int) -> int:
        return offset + grown[bisect_left(places, offset)]

    shown.spans = [Span(moved(start), moved(end), style) for start, end, style in text.spans]
    return shown


def _escaped(match: re.Match[str]) -> str:
    if match[0] in _BREAKS:
        return _BREAKS[match[0]]
    code = ord(match[0])
    if code < 0x20:
        return f"\\x{code:02x}"
    if code <= 0xFFFF:
        return f"\\u{code:04x}"
    # As JSON writes what takes two units of UTF-16.
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
