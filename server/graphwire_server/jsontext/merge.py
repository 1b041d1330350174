"""JSON Merge Patch (RFC 7396)."""

from __future__ import annotations

from typing import Any


def merge_patch(target: Any, patch: Any) -> Any:
    """Returns `target` with `patch` applied; neither is changed.

    A null in the patch removes the member, an object goes into the member, and anything
    else replaces it.
    """
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    open_objects = [(result, patch)]
    while open_objects:
        into, changes = open_objects.pop()
        for key, change in changes.items():
            if change is None:
                into.pop(key, None)
            elif isinstance(change, dict):
                old = into.get(key)
                into[key] = new = dict(old) if isinstance(old, dict) else {}
                open_objects.append((new, change))
            else:
                into[key] = change
    return result
