"""What the tests of conditions ask with."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from graphwire_server.graphs.conditions import (
    ConditionError,
    ConditionFailed,
    Variables,
    compile_condition,
)
from graphwire_server.graphs.conditions.types import DYN, Type


def variables(
    state: Mapping[str, object] | None = None,
    *,
    task_input: object = None,
    metadata: Mapping[str, object] | None = None,
) -> Variables:
    return Variables(
        node="tools",
        step=3,
        task_id="t-1",
        task_input=lambda: task_input,
        state=lambda: {} if state is None else state,
        metadata=lambda: {} if metadata is None else metadata,
    )


def holds(text: str, /, **state: object) -> bool:
    return compile_condition(text, None).holds(variables(state))


def known(*keys: str) -> dict[str, Type]:
    """The keys of a state of whose types nothing is known."""
    return dict.fromkeys(keys, DYN)


def failure(text: str, /, **state: object) -> str:
    with pytest.raises(ConditionFailed) as caught:
        holds(text, **state)
    assert str(caught.value) == caught.value.message
    return caught.value.message


def refusal(text: str, state_keys: list[str] | None = None) -> tuple[int, str]:
    """Returns the offset and the message of what is wrong with a condition."""
    with pytest.raises(ConditionError) as caught:
        compile_condition(text, None if state_keys is None else known(*state_keys))
    return caught.value.position.offset, caught.value.message
