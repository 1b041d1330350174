"""Finds the cities that a question is about, well enough for a demonstration."""

from __future__ import annotations

import calendar
import re
import unicodedata

from weather_agent.tools import CITIES, canonical_city, fold

_WEATHER = re.compile(
    r"\b(?:weather|temperature|forecast|rain\w*|snow\w*|sun(?:ny|shine)|wind\w*|warm\w*|cold\w*"
    r"|hot\w*|cloud\w*|fog\w*|storm\w*|degrees|umbrella|jacket|coat)\b",
    re.IGNORECASE,
)
_KNOWN = re.compile(
    r"\b(?:" + "|".join(re.escape(name) for name in sorted(CITIES, key=len, reverse=True)) + r")\b"
)
_CAPITAL = r"[^\W\d_a-zß-ÿ]"  # a letter, and not a small one of Latin-1
_NAME = rf"{_CAPITAL}[\w'’-]*(?:\s+(?:(?:am|da|de|del|do|la)\s+)?{_CAPITAL}[\w'’-]*)*"
#: A name after a preposition or in a list: "in Graz, Ulm and Rio de Janeiro".
_NAMED = re.compile(rf"(?:\b(?i:in|at|for|about|and|or)\s|,\s)\s*({_NAME})")
#: Up to three words of any case at the end: "what's the weather in los angeles today?".
_FINAL = re.compile(
    r"\b(?:in|for)\s+(?!(?:a|my|the|your)\b)([^\W\d_]+(?:\s[^\W\d_]+){0,2}?)"
    r"(?:\s+(?:(?:right\s+)?now|please|today|tomorrow|tonight))*\W*$",
    re.IGNORECASE,
)
_NOT_PLACES = {
    *(fold(word) for word in (*calendar.month_name, *calendar.day_name) if word),
    *("celsius", "english", "fahrenheit", "general", "i", "it", "me", "please", "us", "you"),
}


def asks_about_weather(text: str) -> bool:
    """Returns whether the text has a word for weather in it."""
    return _WEATHER.search(text) is not None


def cities_in(text: str, *, about_weather: bool = False) -> list[str]:
    """Returns the cities named in the text, each once, in the order in which they are named.

    The cities of the weather table are found anywhere and in any spelling; others only
    if the text is about weather, or the conversation was before (`about_weather`).
    """
    text = unicodedata.normalize("NFC", text)
    found = {m.span(): CITIES[m[0]] for m in _KNOWN.finditer(fold(text))}
    if about_weather or asks_about_weather(text):
        for pattern in (_NAMED, _FINAL):
            for match in pattern.finditer(text):
                start, end = match.span(1)
                overlaps = any(start < e and s < end for s, e in found)
                if not overlaps and fold(match[1]) not in _NOT_PLACES:
                    found[start, end] = canonical_city(match[1])
    return list(dict.fromkeys(found[span] for span in sorted(found)))
