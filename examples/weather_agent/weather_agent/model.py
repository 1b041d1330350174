"""Chooses the chat model: the one that the environment names, or the scripted one."""

from __future__ import annotations

import math
import os

from langchain_core.language_models import BaseChatModel

from weather_agent.scripted_model import DEFAULT_TOKEN_DELAY, ScriptedWeatherModel


def model_from_environment() -> BaseChatModel:
    """Returns the model that `MODEL` names as `provider:name`; unset, the scripted one.

    The scripted model needs no network; it waits `WEATHER_TOKEN_DELAY` seconds (default
    0.015) before each token.

    Raises:
        RuntimeError: `MODEL` is set, and a package that it needs is not installed.
        ValueError: `MODEL` names no provider, or `WEATHER_TOKEN_DELAY` is no delay.
    """
    name = os.environ.get("MODEL", "")
    if not name:
        return ScriptedWeatherModel(token_delay=_token_delay())
    try:
        # Only here: offline, neither langchain nor a provider's package is needed.
        from langchain.chat_models import init_chat_model

        model: BaseChatModel = init_chat_model(name)
    except ImportError as error:
        raise RuntimeError(
            f"MODEL={name} needs langchain and the package of its provider, "
            f"such as langchain-openai: {error}"
        ) from error
    return model


def _token_delay() -> float:
    text = os.environ.get("WEATHER_TOKEN_DELAY", "")
    if not text:
        return DEFAULT_TOKEN_DELAY
    try:
        delay = float(text)
    except ValueError:
        delay = math.nan
    if not (math.isfinite(delay) and delay >= 0):
        raise ValueError(
            f"WEATHER_TOKEN_DELAY must be a number of seconds, 0 or more; it is {text!r}"
        )
    return delay
