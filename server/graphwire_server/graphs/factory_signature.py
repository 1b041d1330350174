"""What a graph factory wants to be given, read from its signature."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable
from typing import Any, Literal

from langchain_core.runnables import RunnableConfig
from langgraph_sdk.runtime import ServerRuntime, _ExecutionRuntime, _ReadRuntime

from graphwire_server.graphs.load_errors import NotAGraphError

#: What a parameter is given: the config of a run, or a `langgraph_sdk` ServerRuntime.
Role = Literal["config", "runtime"]

_RUNTIME_TYPES = (ServerRuntime, _ExecutionRuntime, _ReadRuntime)
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class FactorySignature:
    """The parameters of a factory that the server fills.

    A parameter is recognised by its annotation, or else by its name, `config` or
    `runtime`; a lone positional one gets the config. Others keep their defaults.

    Attributes:
        roles: What each parameter that is filled gets, by its name.
        context_type: The `Ctx` of a parameter annotated `ServerRuntime[Ctx]`, or None.
    """

    def __init__(self, function: Callable[..., object]) -> None:
        """Reads it.

        Raises:
            NotAGraphError: A parameter without default can't be filled.
        """
        self._signature = _signature(function)
        self.roles = _roles(self._signature)
        self.context_type = _context_type(self._signature, self.roles)

    def arguments(self, values: typing.Mapping[Role, object]) -> inspect.BoundArguments:
        """Returns the arguments to call the factory with."""
        bound = self._signature.bind_partial()
        bound.apply_defaults()
        for name, role in self.roles.items():
            bound.arguments[name] = values[role]
        return bound


def _signature(function: Callable[..., object]) -> inspect.Signature:
    try:
        return inspect.signature(function, eval_str=True)
    except (ValueError, TypeError):
        raise NotAGraphError(
            "it is a callable whose parameters can't be read; name a function that calls it"
        ) from None
    except (NameError, AttributeError, SyntaxError):  # an annotation for type checkers only
        return inspect.signature(function)


def _roles(signature: inspect.Signature) -> dict[str, Role]:
    parameters = [p for p in signature.parameters.values() if p.kind not in _VARIADIC]
    roles: dict[str, Role] = {
        p.name: role
        for p in parameters
        if (role := _role_by_annotation(p.annotation) or _role_by_name(p.name))
    }
    if not roles and len(parameters) == 1 and _takes_config(parameters[0]):
        return {parameters[0].name: "config"}
    unfilled = [p for p in parameters if p.name not in roles and p.default is p.empty]
    if unfilled:
        raise NotAGraphError(
            "the factory has parameters that the server can't fill: "
            f"{', '.join(p.name for p in unfilled)}; it gives `config: RunnableConfig` and "
            "`runtime: ServerRuntime`, any other needs a default"
        )
    return roles


def _takes_config(parameter: inspect.Parameter) -> bool:
    """Tells whether a lone parameter of no known name or type is meant for the config.

    With a type and a default of its own, such as `model: str = "x"`, it is not.
    """
    return parameter.kind is not parameter.KEYWORD_ONLY and (
        parameter.default is parameter.empty or parameter.annotation is parameter.empty
    )


def _role_by_name(name: str) -> Role | None:
    return typing.cast(Role, name) if name in typing.get_args(Role) else None


def _role_by_annotation(annotation: object) -> Role | None:
    if isinstance(annotation, str):
        found = re.search(r"\b(RunnableConfig|ServerRuntime)\b", annotation)
        return found and ("config" if found[1] == "RunnableConfig" else "runtime")
    for member in _members(annotation):
        if member is RunnableConfig:
            return "config"
        if _is_runtime(member):
            return "runtime"
    return None


def _context_type(signature: inspect.Signature, roles: typing.Mapping[str, Role]) -> type | None:
    for name, role in roles.items():
        for member in _members(signature.parameters[name].annotation) if role == "runtime" else ():
            arguments = typing.get_args(member) if _is_runtime(member) else ()
            if arguments and isinstance(arguments[0], type):
                return typing.cast(type[Any], arguments[0])
    return None


def _is_runtime(annotation: object) -> bool:
    origin = typing.get_origin(annotation)
    return any(annotation is known or origin is known for known in _RUNTIME_TYPES)


def _members(annotation: object) -> tuple[object, ...]:
    """Returns the members of a union, or the annotation itself."""
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)
