"""A file that has changed is seen to have, however that was done."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from graphwire_server.file_versions import version_of
from graphwire_server.rpc.tls import TlsFiles


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file."""
    file = tmp_path / "file"
    file.write_text("one")
    return file


def test_a_file_that_nobody_touches_stays_the_same(file: Path) -> None:
    assert version_of(file) == version_of(file) is not None
    file.read_text()
    link = file.with_name("link")
    link.symlink_to(file)
    assert version_of(link) == version_of(file)


def test_one_that_is_not_there_has_no_version(file: Path) -> None:
    assert version_of(file.with_name("other")) is None
    assert version_of(file / "below") is None


def test_another_file_in_its_place_is_another_version(file: Path) -> None:
    before = version_of(file)
    new = file.with_name("new")
    new.write_text("two")
    os.utime(new, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    os.replace(new, file)
    assert version_of(file) != before


def test_what_is_written_counts_also_where_the_time_is_put_back(file: Path) -> None:
    found = file.stat()
    files = TlsFiles(file, file, None)
    before, before_of_all = version_of(file), files.versions()
    while file.stat().st_ctime_ns == found.st_ctime_ns:  # the file system's clock has not ticked
        file.write_text("two")
        os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))
    after = version_of(file)
    assert before is not None
    assert after is not None
    assert after[:4] == before[:4]
    assert files.versions() != before_of_all
