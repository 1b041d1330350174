from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from graphwire_server.storage.checkpoints.saver import Saver

from .storages import SqliteStorage


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[SqliteStorage]:
    storage = SqliteStorage(tmp_path / "x.db")
    yield storage
    storage.sqlite.close()


@pytest.fixture
async def saver(storage: SqliteStorage) -> Saver:
    return Saver(storage)
