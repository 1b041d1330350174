"""What came of a function that was run elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

T = TypeVar("T")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What a function returned or raised.

    It travels between threads as a plain result: handed to a future as an exception,
    StopIteration would be refused, and its caller would wait for ever.
    """

    value: T | None = None
    error: BaseException | None = None

    @classmethod
    def of(cls, function: Callable[[S], T], argument: S) -> Outcome[T]:
        """Calls a function and keeps what came of it."""
        try:
            return cls(value=function(argument))
        except BaseException as error:  # noqa: BLE001 (raised again by `get`)
            return cls(error=error)

    def get(self) -> T:
        """Returns the value, or raises the error."""
        if self.error is not None:
            raise self.error
        return cast("T", self.value)
