"""Everything here runs over each implementation of the storage."""

from __future__ import annotations

import pytest
from graphwire_server.storage.checkpoints.saver import Saver
from graphwire_server.storage.interface import Storage


@pytest.fixture
async def saver(storage: Storage) -> Saver:
    """The checkpointer of an empty storage."""
    return storage.checkpointer
