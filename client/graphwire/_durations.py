"""Durations as the contract has them."""

from __future__ import annotations

from datetime import timedelta

from google.protobuf.duration_pb2 import Duration


def duration(value: float | timedelta) -> Duration:
    """Writes a duration that is given in seconds, or as a timedelta."""
    message = Duration()
    message.FromTimedelta(value if isinstance(value, timedelta) else timedelta(seconds=value))
    return message


def duration_if_set(value: float | timedelta | None) -> Duration | None:
    """Writes a duration; None stays None."""
    return None if value is None else duration(value)
