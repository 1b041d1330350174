"""One long answer from a scripted chat model, token by token."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, TypedDict

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import agenerate_from_stream
from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import Field


class Talk(MessagesState):
    """The talk so far, and how the next answer is to be spoken.

    Attributes:
        token: The text of each token.
        tokens: How many it has.
        interval: Seconds before each; 0: as fast as it can.
        spoken: When each token was spoken, by the clock of `time.monotonic`, which all
            processes of a machine share.
    """

    token: str
    tokens: int
    interval: float
    spoken: list[float]


class Spoken(TypedDict):
    """What the node returns."""

    messages: list[BaseMessage]
    spoken: list[float]


class Speaker(BaseChatModel):
    """A chat model that says the same token over and over; only asynchronously.

    Attributes:
        token: Its text.
        tokens: How often.
        interval: Seconds before each.
        spoken: When each was said, by `time.monotonic`.
    """

    token: str
    tokens: int
    interval: float
    spoken: list[float] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "speaker"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise NotImplementedError("the speaker is asynchronous only")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for left in reversed(range(self.tokens)):
            # Of 0, too: as where tokens come from a socket, others get their turn.
            await asyncio.sleep(self.interval)
            self.spoken.append(time.monotonic())
            position = None if left else "last"
            yield ChatGenerationChunk(
                message=AIMessageChunk(content=self.token, chunk_position=position)
            )


async def speak(state: Talk) -> Spoken:
    """Speaks the answer."""
    speaker = Speaker(token=state["token"], tokens=state["tokens"], interval=state["interval"])
    answer = await speaker.ainvoke([HumanMessage("Talk to me.")])
    return {"messages": [answer], "spoken": speaker.spoken}


_builder = StateGraph(Talk)
_builder.add_node("speak", speak)
_builder.add_edge(START, "speak")
graph = _builder.compile(name="tokens")
