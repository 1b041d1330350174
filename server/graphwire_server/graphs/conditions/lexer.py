"""The words of CEL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from graphwire_server.graphs.conditions.errors import Refusal
from graphwire_server.graphs.conditions.values import INT_MAX, UINT_MAX, UInt

Kind: TypeAlias = Literal["value", "negatable", "name", "quoted", "mark", "end"]


@dataclass(frozen=True, slots=True)
class Token:
    """A word.

    Attributes:
        kind: "value" is a literal, "negatable" an int literal, which alone may be -2^63;
            "quoted" is a field's name in backticks; "mark" is an operator or a bracket.
        text: As it stands there; the name itself if it is quoted.
        at: Its offset, in characters.
        value: Of a literal.
    """

    kind: Kind
    text: str
    at: int
    value: object = None


#: What no variable may be called, though a field may.
RESERVED = frozenset(
    {
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    }
)

_TOKEN = re.compile(
    r"""
      (?P<blank>   (?:[ \t\r\n\f] | //[^\n]*)+ )
    | (?P<raw>     [bB]?[rR] (?: \"{3}(?s:.*?)\"{3} | '{3}(?s:.*?)'{3}
                               | "[^"\r\n]*" | '[^'\r\n]*' ) )
    | (?P<string>  [bB]? (?: \"{3}(?:\\(?s:.)|[^\\])*?\"{3} | '{3}(?:\\(?s:.)|[^\\])*?'{3}
                           | "(?:\\.|[^"\\\r\n])*" | '(?:\\.|[^'\\\r\n])*' ) )
    | (?P<double>  (?:[0-9]+\.[0-9]+ | \.[0-9]+) (?:[eE][+-]?[0-9]+)? | [0-9]+[eE][+-]?[0-9]+ )
    | (?P<int>     0[xX][0-9a-fA-F]+[uU]? | [0-9]+[uU]? )
    | (?P<name>    (?! [bB]?[rR]?["'] ) [_a-zA-Z][_a-zA-Z0-9]* )
    | (?P<quoted>  `[^`\r\n]+` )
    | (?P<mark>    && | \|\| | [=!<>]= | [-+*/%!<>?:.,()\[\]{}] )
    """,
    re.VERBOSE,
)
_ESCAPE = re.compile(
    r"\\(?:x(?P<x>[0-9a-fA-F]{2})|X(?P<X>[0-9a-fA-F]{2})|u(?P<u>[0-9a-fA-F]{4})"
    r"|U(?P<U>[0-9a-fA-F]{8})|(?P<octal>[0-3][0-7]{2})|(?P<letter>[abfnrtv\\?\"'`]))"
)
_LETTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def tokens(text: str) -> Iterator[Token]:
    """Yields the words of an expression, and at last one that is its end.

    Raises:
        Refusal: Something in it is no word.
    """
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise Refusal(_not_a_word(text, at), at)
        word = found[0]
        match found.lastgroup:
            case "raw" | "string":
                yield _string(word, at)
            case "double":
                yield Token("value", word, at, float(word))
            case "int":
                yield _integer(word, at)
            case "name":
                yield Token("name", word, at)
            case "quoted":
                yield Token("quoted", word[1:-1], at)
            case "mark":
                yield Token("mark", word, at)
        after = text[found.end() : found.end() + 1]
        if found.lastgroup in ("double", "int") and re.match(r"\w", after):
            raise Refusal(f"{after!r} can't follow a number", found.end())
        at = found.end()
    yield Token("end", "", at)


def _not_a_word(text: str, at: int) -> str:
    if re.match(r"[bB]?[rR]?[\"']", text[at:]):
        return "this string is not closed"
    hints = {"=": "; equality is ==", "&": "; 'and' is &&", "|": "; 'or' is ||"}
    return f"{text[at]!r} is not part of the language{hints.get(text[at], '')}"


def _integer(word: str, at: int) -> Token:
    digits = word.rstrip("uU")
    number = int(digits, 16 if digits[:2] in ("0x", "0X") else 10)
    if digits != word:
        if number > UINT_MAX:
            raise Refusal(f"{word} is more than the largest uint, {UINT_MAX}u", at)
        return Token("value", word, at, UInt(number))
    # -2^63 is an int though 2^63 is none: the parser, which knows the sign, says the rest.
    if number > INT_MAX + 1:
        raise Refusal(f"{word} is outside the ints, which have 64 bits", at)
    return Token("negatable", word, at, number)


def _string(word: str, at: int) -> Token:
    start = len(word) - len(word.lstrip("bBrR"))
    prefix = word[:start].lower()
    marks = 3 if word[start : start + 3] in ('"""', "'''") else 1
    body = word[start + marks : -marks]
    if "r" in prefix:
        value: str | bytes = body.encode() if "b" in prefix else body
    else:
        value = _unescaped(body, at + start + marks, binary="b" in prefix)
    return Token("value", word, at, value)


def _unescaped(body: str, at: int, *, binary: bool) -> str | bytes:
    parts: list[bytes | str] = []
    place = 0
    while (found := body.find("\\", place)) >= 0:
        escape = _ESCAPE.match(body, found)
        if escape is None:
            raise Refusal(
                rf"{body[found : found + 2]} is no escape; a backslash is written \\", at + found
            )
        parts += [body[place:found], _character(escape, at + found, binary=binary)]
        place = escape.end()
    parts.append(body[place:])
    if binary:
        return b"".join(part.encode() if isinstance(part, str) else part for part in parts)
    return "".join(part for part in parts if isinstance(part, str))


def _character(escape: re.Match[str], at: int, *, binary: bool) -> str | bytes:
    if letter := escape["letter"]:
        return _LETTERS.get(letter, letter)
    short = escape["x"] or escape["X"]
    code = int(escape["octal"], 8) if escape["octal"] else int(escape[0][2:], 16)
    if binary:
        if not short and not escape["octal"]:
            raise Refusal(f"{escape[0]} can't be in bytes, which are written as \\x00 to \\xff", at)
        return bytes([code])
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise Refusal(f"{escape[0]} is no character", at)
    return chr(code)
