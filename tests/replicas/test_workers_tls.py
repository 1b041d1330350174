"""Several workers behind one port with TLS: each of them renews its certificate."""

from __future__ import annotations

import ssl
from pathlib import Path

from tests.certificates import Authority
from tests.e2e.drive import DEADLINE
from tests.replicas.group import Group

#: So many connections that each worker has some.
MANY = 40


def shown(group: Group) -> set[bytes]:
    """The certificates that new connections are shown."""
    host, _, port = group.address.rpartition(":")
    return {
        ssl.get_server_certificate((host, int(port)), timeout=DEADLINE).encode()
        for _ in range(MANY)
    }


def test_every_worker_renews_its_certificate(database: str, tmp_path: Path) -> None:
    authority = Authority()
    before = authority.issue("graphwire", addresses=["127.0.0.1"])
    chain, key = before.write(tmp_path)
    group = Group(
        database,
        env={"GRAPHWIRE_TLS_CERTIFICATE_FILE": str(chain), "GRAPHWIRE_TLS_KEY_FILE": str(key)},
    )
    group.start()
    try:
        assert shown(group) == {before.chain}
        after = authority.issue("graphwire", addresses=["127.0.0.1"])
        after.write(tmp_path)
        assert shown(group) == {after.chain}
    finally:
        assert group.stop() == 0
