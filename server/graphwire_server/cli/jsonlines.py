"""The client's values as JSON: for `--json`, one object a line."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from graphwire.events import Event

from graphwire_server.cli.visible import visible


def write(value: object) -> None:
    """Writes a value to stdout as one line of JSON, at once.

    What a terminal would obey is escaped there, which leaves the values as they are.
    """
    line = json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))
    sys.stdout.write(visible(line) + "\n")
    sys.stdout.flush()


def event_object(event: Event) -> dict[str, Any]:
    """Returns an event as a flat object: `type` (such as `task_started`), then its fields."""
    kind = re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()
    fields: dict[str, Any] = plain(event)
    # Messages have a `type` of their own: LangChain's.
    if "type" in fields:
        fields["message_type"] = fields.pop("type")
    return {"type": kind, **fields}


def plain(value: object) -> Any:
    """Returns what `json.dumps` takes: times as RFC 3339 in UTC, durations in seconds."""
    match value:
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case timedelta():
            return value.total_seconds()
        case Mapping():
            return {key: plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return value
