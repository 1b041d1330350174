"""What a server exposes, what the page says, what the dashboard asks for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "observability.md"
DASHBOARD = ROOT / "deploy" / "grafana-dashboard.json"

_NAME = re.compile(r"\b(?:graphwire|process)_[a-z_]+\b")
_SUFFIX = re.compile(r"_(?:bucket|sum|count)$")
_ROW = re.compile(r"^\| `(?P<name>graphwire_[a-z_]+)` \| (?P<labels>[a-z, ]*) ?\|", re.MULTILINE)


def kinds(text: str) -> dict[str, str]:
    """The metrics of ours in what a server exposes, and what kind each is."""
    found = re.findall(r"^# TYPE (graphwire_\w+) (\w+)$", text, re.MULTILINE)
    return dict(found)


def labels(text: str) -> dict[str, set[str]]:
    """The labels of those that have values."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        name = family.name + ("_total" if family.type == "counter" else "")
        for sample in family.samples:
            found.setdefault(name, set()).update(set(sample.labels) - {"le"})
    return found


def sample(text: str, name: str, **wanted: str) -> float:
    """The value of a sample; 0 if there is none."""
    for family in text_string_to_metric_families(text):
        for each in family.samples:
            if each.name == name and wanted.items() <= each.labels.items():
                return each.value
    return 0.0


def documented() -> dict[str, set[str]]:
    """The metrics in the table of the page, with their labels."""
    page = PAGE.read_text()
    table = page[page.index("<!-- test: metrics -->") : page.index("<!-- end of metrics -->")]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    found = {m["name"]: set(m["labels"].replace(",", " ").split()) for m in _ROW.finditer(table)}
    assert len(found) == len(rows)
    return found


def expressions() -> Iterator[str]:
    """What the dashboard asks for."""
    dashboard: dict[str, Any] = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]


def asked_for(expression: str) -> set[str]:
    """The metrics in an expression."""
    return {_SUFFIX.sub("", name) for name in _NAME.findall(expression)}


def labels_used(expression: str) -> set[str]:
    """The labels in an expression, but for those that Prometheus adds."""
    grouped = re.findall(r"\bby \(([^)]*)\)", expression)
    names = {name.strip() for group in grouped for name in group.split(",")}
    selected = re.findall(r"[{,]\s*([a-z]+)\s*(?:=~|!~|!=|=)", expression)
    return (names | set(selected)) - {"le", "job", "instance"}
