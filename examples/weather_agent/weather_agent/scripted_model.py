"""A chat model that follows a script: no network, no key, tokens as from a real one."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any
from uuid import uuid4

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.chat_models import agenerate_from_stream, generate_from_stream
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field

from weather_agent.script import HELP, Reply, next_reply

#: Seconds before each token: slow enough to see, fast enough to wait for.
DEFAULT_TOKEN_DELAY = 0.015

_TOOL = "get_weather"


class ScriptedWeatherModel(BaseChatModel):
    """Looks up the weather with the tool `get_weather` and answers from its results.

    Attributes:
        token_delay: How long to wait before each token, in seconds.
    """

    token_delay: float = Field(default=DEFAULT_TOKEN_DELAY, ge=0)

    @property
    def _llm_type(self) -> str:
        return "scripted-weather"

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Binds tools; the script calls `get_weather`, if it is one of them."""
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages, stop, **kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in _chunks(messages, kwargs.get("tools", ())):
            if self.token_delay:
                time.sleep(self.token_delay)
            yield ChatGenerationChunk(message=chunk)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in _chunks(messages, kwargs.get("tools", ())):
            if self.token_delay:
                await asyncio.sleep(self.token_delay)
            yield ChatGenerationChunk(message=chunk)


def _chunks(
    messages: Sequence[BaseMessage], tools: Sequence[dict[str, Any]]
) -> Iterator[AIMessageChunk]:
    """Yields the reply as a model's service sends it: text, tool calls in pieces, usage."""
    reply = next_reply(messages)
    if reply.cities and not any(t["function"]["name"] == _TOOL for t in tools):
        reply = Reply(HELP)
    written = 0
    for piece in (*_text_pieces(reply.text), *_call_pieces(reply.cities)):
        written += 1
        yield piece
    read = sum(len(_tokens(m.text)) for m in messages)
    yield AIMessageChunk(
        content="",
        usage_metadata={
            "input_tokens": read,
            "output_tokens": written,
            "total_tokens": read + written,
        },
        response_metadata={
            "model_name": "scripted-weather",
            "finish_reason": "tool_calls" if reply.cities else "stop",
        },
        chunk_position="last",
    )


def _text_pieces(text: str) -> Iterator[AIMessageChunk]:
    for token in _tokens(text):
        yield AIMessageChunk(content=token)


def _call_pieces(cities: Sequence[str]) -> Iterator[AIMessageChunk]:
    for index, city in enumerate(cities):
        first = tool_call_chunk(name=_TOOL, args="", id=f"call_{uuid4().hex[:24]}", index=index)
        yield AIMessageChunk(content="", tool_call_chunks=[first])
        for token in _tokens(json.dumps({"city": city}, ensure_ascii=False)):
            more = tool_call_chunk(name=None, args=token, id=None, index=index)
            yield AIMessageChunk(content="", tool_call_chunks=[more])


def _tokens(text: str) -> list[str]:
    """Splits into pieces of about the size of a token; together they are the text."""
    return re.findall(r"\s*\S{1,12}|\s+$", text)
