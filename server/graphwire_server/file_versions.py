"""What tells whether a file has changed since it was read."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class FileVersion(NamedTuple):
    """What `stat` says of a file that is another for each of its versions.

    Another file in its place shows in the first two, what is written into it in the others:
    also by a tool that puts the time of the last change back.
    """

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int


def version_of(path: Path) -> FileVersion | None:
    """Returns which version of a file is there, links followed; None: none can be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return FileVersion(
        found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
    )
