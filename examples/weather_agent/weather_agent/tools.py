"""The agent's tool, and the weather that it knows."""

from __future__ import annotations

import unicodedata
import zlib
from typing import Annotated, TypedDict

from langchain_core.tools import tool
from pydantic import StringConstraints


class Weather(TypedDict):
    """The weather in a city: degrees Celsius, and wind in km/h."""

    city: str
    temperature_c: int
    sky: str
    wind_kmh: int


#: The cities whose weather is known: degrees Celsius, sky, wind in km/h.
TABLE: dict[str, tuple[int, str, int]] = {
    "San Francisco": (16, "foggy", 24),
    "Paris": (21, "sunny", 9),
    "London": (14, "rainy", 19),
    "Berlin": (12, "cloudy", 15),
    "Madrid": (27, "sunny", 7),
    "Oslo": (-2, "snowy", 11),
    "New York": (18, "partly cloudy", 14),
    "São Paulo": (24, "stormy", 17),
    "Cairo": (33, "sunny", 12),
    "Nairobi": (22, "partly cloudy", 10),
    "Mumbai": (30, "humid and hazy", 13),
    "Tokyo": (19, "clear", 8),
    "Sydney": (20, "windy", 38),
}

ALIASES = {"SF": "San Francisco", "San Fran": "San Francisco", "NYC": "New York"}

_SKIES = ("clear", "sunny", "partly cloudy", "cloudy", "rainy", "windy")


@tool
def get_weather(
    city: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)],
) -> Weather:
    """Look up the current weather in a city."""
    name = canonical_city(city)
    temperature, sky, wind = TABLE.get(name) or _made_up(name)
    return Weather(city=name, temperature_c=temperature, sky=sky, wind_kmh=wind)


def canonical_city(name: str) -> str:
    """Returns a city's usual name: São Paulo for `sao paulo`, San Francisco for `SF`."""
    name = " ".join(name.split())
    return CITIES.get(fold(name)) or (name.title() if name.islower() else name)


def fold(text: str) -> str:
    """Returns the text without case and accents, character for character."""
    composed = unicodedata.normalize("NFC", text)
    return "".join(unicodedata.normalize("NFKD", c)[0].lower() for c in composed)


#: The known cities by every name they go by, folded.
CITIES = {fold(name): name for name in TABLE} | {fold(a): name for a, name in ALIASES.items()}


def _made_up(name: str) -> tuple[int, str, int]:
    """Weather for a city that is not in the table: the same for it on every day."""
    seed = zlib.crc32(fold(name).encode())
    return seed % 31 + 2, _SKIES[seed // 31 % len(_SKIES)], seed // 1000 % 30 + 3
