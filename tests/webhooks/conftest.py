"""Fixtures for tests of webhooks."""

from __future__ import annotations

import pytest

from tests.webhooks.receiver import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority, whose file servers can be told to believe."""
    return Authority.make(tmp_path_factory.mktemp("authority"))
