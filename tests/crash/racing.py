"""Calls at once: what comes of each, a response or a refusal."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from tests.crash.errors import RefusedError


def race(*calls: Callable[[], Any]) -> list[Any]:
    """Makes calls at the same time, each on a thread of its own.

    Returns what each has returned, or the RefusedError that it raised. Any other exception is
    raised again.
    """
    results: list[Any] = [None] * len(calls)
    start = threading.Barrier(len(calls))

    def make(place: int, call: Callable[[], Any]) -> None:
        start.wait()
        try:
            results[place] = call()
        except Exception as error:  # noqa: BLE001 (raised again below)
            results[place] = error

    threads = [
        threading.Thread(target=make, args=(place, call), daemon=True)
        for place, call in enumerate(calls)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, Exception) and not isinstance(result, RefusedError):
            raise result
    return results
