"""The example project examples/weather_agent does what an agent does, offline."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    ToolMessage,
)
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver

PROJECT = Path(__file__).resolve().parents[2] / "examples" / "weather_agent"
SF = "What is the weather in San Francisco?"


@pytest.fixture(scope="module", autouse=True)
def project() -> Iterator[None]:
    """Puts the project on the import path, as its langgraph.json asks for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PROJECT)
        patch.delenv("MODEL", raising=False)
        patch.delenv("WEATHER_TOKEN_DELAY", raising=False)
        importlib.import_module("weather_agent.graph")
        yield


def module(name: str) -> Any:
    return importlib.import_module(f"weather_agent.{name}")


def scripted(token_delay: float = 0) -> Any:
    return module("scripted_model").ScriptedWeatherModel(token_delay=token_delay)


@dataclass
class Conversation:
    """A thread of the graph, held in memory."""

    graph: Any
    config: RunnableConfig = field(
        default_factory=lambda: RunnableConfig(configurable={"thread_id": "t"})
    )

    async def ask(self, text: str | None, **how: Any) -> list[BaseMessage]:
        """Sends a message, or goes on if there is none; returns the state's messages."""
        given = None if text is None else {"messages": [HumanMessage(text)]}
        await self.graph.ainvoke(given, self.config, **how)
        return await self.messages()

    async def messages(self) -> list[BaseMessage]:
        messages: list[BaseMessage] = (await self.graph.aget_state(self.config)).values["messages"]
        return messages

    async def next(self) -> tuple[str, ...]:
        following: tuple[str, ...] = (await self.graph.aget_state(self.config)).next
        return following


@pytest.fixture
def conversation() -> Conversation:
    graph = module("graph").build_graph(scripted())
    return Conversation(graph.copy(update={"checkpointer": InMemorySaver()}))


def calls(message: BaseMessage) -> list[tuple[str, dict[str, Any]]]:
    assert isinstance(message, AIMessage)
    return [(c["name"], c["args"]) for c in message.tool_calls]


def added_up(chunks: Sequence[BaseMessage]) -> AIMessageChunk:
    first, *rest = [c for c in chunks if isinstance(c, AIMessageChunk)]
    assert len(rest) == len(chunks) - 1
    return add_ai_message_chunks(first, *rest)


def test_langgraph_json_names_the_one_graph_and_where_it_is() -> None:
    config = json.loads((PROJECT / "langgraph.json").read_text())
    assert config["dependencies"] == ["."]
    assert list(config["graphs"]) == ["agent"]
    path, symbol = config["graphs"]["agent"]["path"].split(":")
    assert (PROJECT / path).resolve() == Path(module("graph").__file__).resolve()
    assert getattr(module("graph"), symbol).name == "agent"


def test_the_graph_has_the_nodes_agent_and_action_and_a_router_between_them() -> None:
    drawing = module("graph").graph.get_graph()
    assert list(drawing.nodes) == ["__start__", "agent", "action", "__end__"]
    assert {(e.source, e.target, e.conditional) for e in drawing.edges} == {
        ("__start__", "agent", False),
        ("agent", "action", True),
        ("agent", "__end__", True),
        ("action", "agent", False),
    }


def test_nothing_in_the_project_knows_about_graphwire() -> None:
    files = [f for f in PROJECT.rglob("*") if f.suffix in {".py", ".json", ".toml", ".md"}]
    assert files
    assert [f.name for f in files if "graphwire" in f.read_text().lower()] == []


async def test_a_question_is_answered_from_what_the_tool_returns(
    conversation: Conversation,
) -> None:
    human, call, result, answer = await conversation.ask(SF)
    assert human.text == SF
    assert call.text == "I'll look up the weather in San Francisco."
    assert calls(call) == [("get_weather", {"city": "San Francisco"})]
    assert isinstance(result, ToolMessage)
    assert result.name == "get_weather"
    assert json.loads(result.text) == {
        "city": "San Francisco",
        "temperature_c": 16,
        "sky": "foggy",
        "wind_kmh": 24,
    }
    assert answer.text == (
        "It is 16 °C and foggy in San Francisco, with wind at 24 km/h. Take a jacket."
    )
    assert calls(answer) == []


async def test_it_stops_at_a_breakpoint_before_action_and_goes_on_from_there(
    conversation: Conversation,
) -> None:
    messages = await conversation.ask(SF, interrupt_before=["action"])
    assert await conversation.next() == ("action",)
    assert calls(messages[-1]) == [("get_weather", {"city": "San Francisco"})]
    messages = await conversation.ask(None)
    assert await conversation.next() == ()
    assert "in San Francisco" in messages[-1].text


async def test_an_edited_tool_call_changes_the_answer(conversation: Conversation) -> None:
    messages = await conversation.ask(SF, interrupt_before=["action"])
    call = messages[-1]
    assert isinstance(call, AIMessage)
    edited = call.model_copy(
        update={"tool_calls": [{**call.tool_calls[0], "args": {"city": "Paris"}}]}
    )
    await conversation.graph.aupdate_state(
        conversation.config, {"messages": [edited]}, as_node="agent"
    )
    messages = await conversation.ask(None)
    assert len(messages) == 4
    assert messages[-1].text == (
        "It is 21 °C and sunny in Paris, with wind at 9 km/h. No jacket needed."
    )


async def test_an_answer_in_the_tools_place_is_what_the_model_says(
    conversation: Conversation,
) -> None:
    messages = await conversation.ask(SF, interrupt_before=["action"])
    call = messages[-1]
    assert isinstance(call, AIMessage)
    by_hand = ToolMessage("The sky is falling.", tool_call_id=call.tool_calls[0]["id"])
    await conversation.graph.aupdate_state(
        conversation.config, {"messages": [by_hand]}, as_node="action"
    )
    assert (await conversation.ask(None))[-1].text == "The sky is falling."


async def test_a_tool_call_that_fails_is_said_to_have_failed(conversation: Conversation) -> None:
    messages = await conversation.ask(SF, interrupt_before=["action"])
    call = messages[-1]
    assert isinstance(call, AIMessage)
    edited = call.model_copy(update={"tool_calls": [{**call.tool_calls[0], "args": {"city": " "}}]})
    await conversation.graph.aupdate_state(
        conversation.config, {"messages": [edited]}, as_node="agent"
    )
    messages = await conversation.ask(None)
    assert isinstance(messages[-2], ToolMessage)
    assert messages[-2].status == "error"
    assert messages[-1].text.startswith("I could not look that up: ")


async def test_two_cities_are_looked_up_with_two_tool_calls_of_one_message(
    conversation: Conversation,
) -> None:
    _, call, first, second, answer = await conversation.ask("Is it warmer in Paris or in Oslo?")
    assert call.text == "I'll look up the weather in Paris and Oslo."
    assert calls(call) == [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Oslo"})]
    assert isinstance(call, AIMessage)
    assert isinstance(first, ToolMessage)
    assert isinstance(second, ToolMessage)
    assert [first.tool_call_id, second.tool_call_id] == [c["id"] for c in call.tool_calls]
    assert answer.text == (
        "It is 21 °C and sunny in Paris, with wind at 9 km/h. "
        "It is -2 °C and snowy in Oslo, with wind at 11 km/h. Paris is the warmest, by 23 degrees."
    )


async def test_follow_up_questions_go_on_with_the_thread(conversation: Conversation) -> None:
    await conversation.ask(SF)
    messages = await conversation.ask("And in Tokyo?")
    assert len(messages) == 8
    assert calls(messages[5]) == [("get_weather", {"city": "Tokyo"})]
    messages = await conversation.ask("Will it rain there?")
    assert calls(messages[9]) == [("get_weather", {"city": "Tokyo"})]
    messages = await conversation.ask("Thank you!")
    assert len(messages) == 14
    assert messages[-1].text.startswith("I can look up the weather")


async def test_a_message_about_something_else_is_answered_without_a_tool_call(
    conversation: Conversation,
) -> None:
    _, answer = await conversation.ask("Tell me a joke about Bob.")
    assert calls(answer) == []
    assert answer.text.startswith("I can look up the weather")


async def test_weather_without_a_city_means_san_francisco(conversation: Conversation) -> None:
    messages = await conversation.ask("What's the weather like?")
    assert calls(messages[1]) == [("get_weather", {"city": "San Francisco"})]


async def test_a_message_in_content_blocks_is_read_too(conversation: Conversation) -> None:
    blocks: list[str | dict[str, Any]] = [{"type": "text", "text": "The weather in Cairo?"}]
    await conversation.graph.ainvoke({"messages": [HumanMessage(blocks)]}, conversation.config)
    assert "sunny in Cairo" in (await conversation.messages())[-1].text


@pytest.mark.parametrize(
    ("text", "cities"),
    [
        ("weather in sf, nyc and sao paulo", ["San Francisco", "New York", "São Paulo"]),
        ("PARIS", ["Paris"]),
        ("Paris or paris: where is it warm?", ["Paris"]),
        ("The weather in Graz, Ulm and Rio de Janeiro?", ["Graz", "Ulm", "Rio de Janeiro"]),
        ("Compare London with the weather in Ålesund", ["London", "Ålesund"]),
        ("what's the weather in los angeles today?", ["Los Angeles"]),
        ("How warm is it in July?", []),
        ("Weather in general, please", []),
        ("Is it cold in the morning?", []),
        ("I work at Acme", []),
        ("", []),
    ],
)
def test_cities_are_found_in_a_question(text: str, cities: list[str]) -> None:
    assert module("places").cities_in(text) == cities


def test_a_city_that_is_not_in_the_table_has_the_same_weather_every_time() -> None:
    tool = module("tools").get_weather
    weather = tool.invoke({"city": " graz "})
    assert weather["city"] == "Graz"
    assert weather == tool.invoke({"city": "Graz"})
    assert weather != {**tool.invoke({"city": "Ulm"}), "city": "Graz"}


async def test_tokens_and_tool_calls_stream_in_pieces_that_add_up_to_the_message(
    conversation: Conversation,
) -> None:
    pieces: dict[str, list[BaseMessage]] = {}
    async for part in conversation.graph.astream(
        {"messages": [HumanMessage("Weather in Paris and Tokyo?")]},
        conversation.config,
        stream_mode="messages",
        version="v2",
    ):
        message: BaseMessage = part["data"][0]
        assert message.id is not None
        pieces.setdefault(message.id, []).append(message)
    _, *said = await conversation.messages()
    assert list(pieces) == [m.id for m in said]
    call, first, second, answer = said
    assert [pieces[str(m.id)] for m in (first, second)] == [[first], [second]]
    for message in (call, answer):
        assert isinstance(message, AIMessage)
        chunks = pieces[str(message.id)]
        assert len(chunks) > 10
        total = added_up(chunks)
        assert total.text == message.text
        assert total.tool_calls == message.tool_calls
        assert total.usage_metadata == message.usage_metadata
        *most, last = chunks
        assert all(isinstance(c, AIMessageChunk) and c.usage_metadata is None for c in most)
        assert isinstance(last, AIMessageChunk)
        assert last.chunk_position == "last"
        assert last.usage_metadata is not None
        assert last.usage_metadata["output_tokens"] == len(most)
    starts = [
        piece
        for chunk in pieces[str(call.id)]
        if isinstance(chunk, AIMessageChunk)
        for piece in chunk.tool_call_chunks
        if piece["id"]
    ]
    assert [(s["index"], s["name"], s["args"]) for s in starts] == [
        (0, "get_weather", ""),
        (1, "get_weather", ""),
    ]


async def test_every_call_and_message_has_an_id_of_its_own(conversation: Conversation) -> None:
    await conversation.ask(SF)
    messages = await conversation.ask(SF)
    assert len({m.id for m in messages if m.id}) == 8
    call_ids = {c["id"] for m in messages if isinstance(m, AIMessage) for c in m.tool_calls}
    assert len(call_ids) == 2


async def test_the_model_says_the_same_with_and_without_streaming_and_asyncio() -> None:
    model: BaseChatModel = scripted()
    bound = model.bind_tools([module("tools").get_weather])
    replies = [
        bound.invoke(SF),
        await bound.ainvoke(SF),
        added_up(list(bound.stream(SF))),
    ]
    assert {r.text for r in replies} == {"I'll look up the weather in San Francisco."}
    assert [calls(r) for r in replies] == [[("get_weather", {"city": "San Francisco"})]] * 3


async def test_a_model_to_which_the_tool_is_not_bound_does_not_call_it() -> None:
    reply = await scripted().ainvoke(SF)
    assert calls(reply) == []
    assert reply.text.startswith("I can look up the weather")


async def test_the_token_delay_is_waited_before_each_token(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def record(delay: float) -> None:
        waits.append(delay)

    model = scripted(token_delay=0.25)
    monkeypatch.setattr(asyncio, "sleep", record)
    chunks = [c async for c in model.astream("Hello")]
    assert waits == [0.25] * len(chunks)
    waits.clear()
    monkeypatch.setattr(time, "sleep", waits.append)
    assert waits == [0.25] * len(list(model.stream("Hello"))) != []


def test_the_scripted_model_is_the_default_and_waits_15_ms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL", "")
    assert module("model").model_from_environment() == scripted(token_delay=0.015)
    monkeypatch.setenv("WEATHER_TOKEN_DELAY", "0")
    assert module("model").model_from_environment() == scripted(token_delay=0)


@pytest.mark.parametrize("delay", ["fast", "-1", "nan", "inf"])
def test_a_token_delay_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, delay: str) -> None:
    monkeypatch.setenv("WEATHER_TOKEN_DELAY", delay)
    with pytest.raises(
        ValueError, match=f"^WEATHER_TOKEN_DELAY must be a number .*it is '{delay}'$"
    ):
        module("model").model_from_environment()


def test_model_names_a_real_model_for_init_chat_model(monkeypatch: pytest.MonkeyPatch) -> None:
    chat_models = importlib.import_module("langchain.chat_models")
    monkeypatch.setenv("MODEL", "acme:large")
    monkeypatch.setattr(chat_models, "init_chat_model", lambda name: f"the model {name}")
    assert module("model").model_from_environment() == "the model acme:large"


def test_a_missing_package_for_a_real_model_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL", "openai:gpt-5-mini")
    monkeypatch.setitem(sys.modules, "langchain_openai", None)
    with pytest.raises(RuntimeError, match=r"^MODEL=openai:gpt-5-mini needs langchain and the "):
        module("model").model_from_environment()
