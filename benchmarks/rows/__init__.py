"""The rows of the benchmark, in the order in which they are measured."""

from __future__ import annotations

from benchmarks.figures import Row
from benchmarks.rows import (
    condition,
    first_event,
    growth,
    listing,
    memory,
    rates,
    readers,
    replay,
    resume,
    tokens,
)

ROWS: dict[str, Row] = {
    module.ROW.name: module.ROW
    for module in (
        rates,
        condition,
        first_event,
        memory,
        listing,
        resume,
        growth,
        replay,
        readers,
        tokens,
    )
}
