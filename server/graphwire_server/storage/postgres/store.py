"""LangGraph's own store, in the same database, on connections of its own.

Importing this module imports LangGraph.
"""

from __future__ import annotations

import asyncio

import psycopg
import structlog
from langgraph.store.postgres.aio import AsyncPostgresStore
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from graphwire_server.storage.locations import PostgresAddress
from graphwire_server.storage.postgres.connection import PATIENCE
from graphwire_server.storage.postgres.errors import reason
from graphwire_server.storage.postgres.schema import changing_schema
from graphwire_server.storage.sql.errors import unusable

_log = structlog.get_logger("graphwire.storage")

#: How long closing waits for the operations under way, in seconds.
_CLOSING = 3.0

#: How many batches of the store's operations run at once.
_CONNECTIONS = 4


class Store(AsyncPostgresStore):
    """LangGraph's store on a pool of connections, which works through another pooler."""

    def __init__(self, pool: AsyncConnectionPool[psycopg.AsyncConnection[DictRow]]) -> None:
        super().__init__(pool)
        self._pool = pool

    @classmethod
    async def open(cls, address: PostgresAddress) -> Store:
        """Connects.

        Raises:
            StorageError: The server can't be reached, or refuses.
        """
        pool = AsyncConnectionPool(
            kwargs=address.parameters()
            | {"autocommit": True, "prepare_threshold": None, "row_factory": dict_row},
            connection_class=psycopg.AsyncConnection[DictRow],
            min_size=1,
            max_size=_CONNECTIONS,
            timeout=PATIENCE,
            check=AsyncConnectionPool.check_connection,
            open=False,
            name="graphwire-store",
        )
        try:
            await pool.open(wait=True, timeout=PATIENCE)
        except PoolTimeout as error:
            raise unusable(address, error) from error
        except BaseException:
            await pool.close()
            raise
        return cls(pool)

    async def close(self) -> None:
        """Finishes the operations under way, if it can, and closes the connections."""
        try:
            async with asyncio.timeout(_CLOSING):
                # They are done in order: when this one is, so are those before it.
                await self.aget(("graphwire",), "closing", refresh_ttl=False)
        except (psycopg.Error, TimeoutError) as error:
            _log.warning("store_not_finished", reason=" ".join(str(error).split()))
        finally:
            if self._task is not None:
                self._task.cancel()
                await asyncio.wait([self._task])
            await self._pool.close()


def migrate_store(postgres: psycopg.Connection, address: PostgresAddress) -> None:
    """Makes the store's tables, as its `setup` would, but in one transaction and one at a time.

    Raises:
        StorageError: They can't be made.
    """
    try:
        with changing_schema(postgres):
            postgres.execute("CREATE TABLE IF NOT EXISTS store_migrations (v INTEGER PRIMARY KEY)")
            row = postgres.execute("SELECT COALESCE(MAX(v), -1) FROM store_migrations").fetchone()
            assert row is not None
            for version, script in enumerate(AsyncPostgresStore.MIGRATIONS):
                if version > row[0]:
                    # An index can't be made CONCURRENTLY in a transaction.
                    postgres.execute(script.replace("CONCURRENTLY", ""))
                    postgres.execute("INSERT INTO store_migrations (v) VALUES (%s)", (version,))
    except psycopg.Error as error:
        raise unusable(address, reason(error)) from error
