"""Helps to make a client's methods from the operations."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

MethodT = TypeVar("MethodT", bound=Callable[..., Any])


def present(method: MethodT, operation: Callable[..., Any]) -> MethodT:
    """Gives a method the documentation and the parameters of its operation."""
    signature = inspect.signature(operation)
    group = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    vars(method)["__signature__"] = signature.replace(
        parameters=[group, *signature.parameters.values()],
        return_annotation=inspect.Signature.empty,
    )
    method.__name__ = method.__qualname__ = operation.__name__
    method.__doc__ = operation.__doc__
    return method
