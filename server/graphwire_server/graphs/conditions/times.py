"""CEL's timestamps and durations, to the nanosecond."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from graphwire_server.graphs.conditions.errors import Failure

_SECOND = 10**9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: From 0001-01-01T00:00:00Z to the last nanosecond of 9999.
_FIRST, _LAST = -62_135_596_800 * _SECOND, 253_402_300_800 * _SECOND - 1
#: Some 10,000 years.
_LONGEST = 315_576_000_000 * _SECOND


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """A moment, in nanoseconds since 1970 in UTC."""

    nanoseconds: int


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A time's length, in nanoseconds."""

    nanoseconds: int


_TIMESTAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)?", re.ASCII
)
_UNITS = {"h": 3600 * _SECOND, "m": 60 * _SECOND, "s": _SECOND, "ms": 10**6, "us": 10**3, "ns": 1}
_PART = re.compile(r"(\d{1,20})(?:\.(\d{0,9})\d*)?(h|ms|m|s|us|ns)", re.ASCII)
_DURATION = re.compile(rf"([+-]?)((?:{_PART.pattern})+|0)", re.ASCII)
_OFFSET = re.compile(r"([+-]?)(\d\d):(\d\d)", re.ASCII)


def timestamp(nanoseconds: int) -> Timestamp:
    """Returns a timestamp. Raises Failure outside the years 1 to 9999."""
    if not _FIRST <= nanoseconds <= _LAST:
        raise Failure("a timestamp outside the years 1 to 9999")
    return Timestamp(nanoseconds)


def duration(nanoseconds: int) -> Duration:
    """Returns a duration. Raises Failure beyond some 10,000 years."""
    if not -_LONGEST <= nanoseconds <= _LONGEST:
        raise Failure("a duration of more than 10,000 years")
    return Duration(nanoseconds)


def parse_timestamp(text: str) -> Timestamp:
    """Reads RFC 3339, such as `2026-01-31T12:00:00.5Z`. Raises Failure for anything else."""
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        raise Failure(f"{_shown(text)} is no timestamp, as 2026-01-31T12:00:00Z is")
    if found[4] is None:
        raise Failure(f"the timestamp {_shown(text)} has no offset from UTC, such as Z or +02:00")
    zone = "+00:00" if found[4] in "Zz" else found[4]
    try:
        moment = datetime.fromisoformat(f"{found[1]}T{found[2]}{zone}")
        seconds = (moment - _EPOCH) // timedelta(seconds=1)
    except (ValueError, OverflowError):
        raise Failure(f"there is no such time as {_shown(text)}") from None
    return timestamp(seconds * _SECOND + int((found[3] or "").ljust(9, "0")))


def parse_duration(text: str) -> Duration:
    """Reads a duration such as `1h30m` or `-1.5s`. Raises Failure for anything else."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise Failure(f"{_shown(text)} is no duration, as 1h30m or 1.5s is")
    total = 0
    for whole, part, unit in _PART.findall(found[2]):
        total += int(whole) * _UNITS[unit]
        total += int(part.ljust(9, "0")) * _UNITS[unit] // _SECOND if part else 0
    return duration(-total if found[1] == "-" else total)


def timestamp_text(moment: Timestamp) -> str:
    """Returns RFC 3339 in UTC."""
    seconds, rest = divmod(moment.nanoseconds, _SECOND)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%m-%dT%H:%M:%S")
    year = (_EPOCH + timedelta(seconds=seconds)).year
    return f"{year:04}-{text}{_fraction(rest)}Z"


def duration_text(length: Duration) -> str:
    """Returns seconds, such as `5400s` or `-1.5s`."""
    seconds, rest = divmod(abs(length.nanoseconds), _SECOND)
    return f"{'-' if length.nanoseconds < 0 else ''}{seconds}{_fraction(rest)}s"


def local(moment: Timestamp, zone: str = "UTC") -> datetime:
    """Returns the local time in a zone, to the microsecond.

    The zone is a name such as `Europe/Vienna`, or an offset such as `+02:00`. Raises Failure
    if there is none such.
    """
    try:
        utc = _EPOCH + timedelta(microseconds=moment.nanoseconds // 1000)
        return utc.astimezone(_zone(zone))
    except OverflowError:
        raise Failure(f"a time in {zone} outside the years 1 to 9999") from None


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    if found := _OFFSET.fullmatch(name):
        minutes = int(found[2]) * 60 + int(found[3])
        if minutes < 24 * 60:
            return timezone(timedelta(minutes=-minutes if found[1] == "-" else minutes))
    elif len(name) <= 100:
        try:
            return ZoneInfo(name)
        # ZoneInfoNotFoundError is a KeyError; a folder's name is an OSError.
        except (ValueError, KeyError, OSError):
            pass
    raise Failure(f"there is no time zone {_shown(name)}")


def _fraction(nanoseconds: int) -> str:
    return f".{nanoseconds:09}".rstrip("0") if nanoseconds else ""


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:39]}…")
