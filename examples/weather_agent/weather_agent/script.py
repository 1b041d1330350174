"""What the scripted model says: from the conversation so far to its next reply."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from weather_agent.places import asks_about_weather, cities_in
from weather_agent.tools import Weather

DEFAULT_CITY = "San Francisco"

HELP = (
    "I can look up the weather for you. Ask me, for example: what is the weather in San Francisco?"
)


@dataclass(frozen=True, slots=True)
class Reply:
    """A text, and the cities whose weather is to be looked up before the answer."""

    text: str
    cities: tuple[str, ...] = ()


def next_reply(messages: Sequence[BaseMessage]) -> Reply:
    """Returns what comes next: an answer from the tool's results, a look-up, or an offer."""
    results = _trailing_results(messages)
    if results:
        return Reply(_answer(results))
    earlier = _cities_looked_up(messages)
    question = next((m.text for m in reversed(messages) if isinstance(m, HumanMessage)), "")
    cities = cities_in(question, about_weather=bool(earlier))
    if not cities and asks_about_weather(question):
        cities = [earlier[-1] if earlier else DEFAULT_CITY]
    if not cities:
        return Reply(HELP)
    return Reply(f"I'll look up the weather in {_listing(cities)}.", tuple(cities))


def _trailing_results(messages: Sequence[BaseMessage]) -> list[ToolMessage]:
    results: list[ToolMessage] = []
    for message in reversed(messages):
        if not isinstance(message, ToolMessage):
            break
        results.insert(0, message)
    return results


def _cities_looked_up(messages: Iterable[BaseMessage]) -> list[str]:
    calls = (c for m in messages if isinstance(m, AIMessage) for c in m.tool_calls)
    return [city for c in calls if isinstance(city := c["args"].get("city"), str) and city]


def _answer(results: Sequence[ToolMessage]) -> str:
    """Says what the results say; they may have been edited, or written by a person."""
    found: list[Weather] = []
    sentences: list[str] = []
    for result in results:
        weather = _weather(result)
        if weather is None:
            text = " ".join(result.text.split())
            failed = result.status == "error"
            sentences.append(f"I could not look that up: {text}" if failed else text)
        else:
            found.append(weather)
            sentences.append(
                f"It is {weather['temperature_c']} °C and {weather['sky']} in {weather['city']}, "
                f"with wind at {weather['wind_kmh']} km/h."
            )
    if len(found) == len(results):
        sentences.append(_advice(found[0]) if len(found) == 1 else _comparison(found))
    return " ".join(s for s in sentences if s)


def _weather(result: ToolMessage) -> Weather | None:
    """Reads a result of the tool; None if it is anything else."""
    try:
        match json.loads(result.text):
            case {"city": str(), "temperature_c": int(), "sky": str(), "wind_kmh": int()} as found:
                weather: Weather = found
                return weather
    except ValueError:
        pass
    return None


def _advice(weather: Weather) -> str:
    if weather["sky"] in {"rainy", "stormy"}:
        return "Take an umbrella."
    if weather["temperature_c"] < 5:
        return "Dress warmly."
    if weather["temperature_c"] < 18:
        return "Take a jacket."
    return "No jacket needed."


def _comparison(found: Sequence[Weather]) -> str:
    """Says which is the warmest; empty if two of them are."""
    warmest, second, *_ = sorted(found, key=lambda w: w["temperature_c"], reverse=True)
    difference = warmest["temperature_c"] - second["temperature_c"]
    if not difference:
        return ""
    degrees = "1 degree" if difference == 1 else f"{difference} degrees"
    return f"{warmest['city']} is the warmest, by {degrees}."


def _listing(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
