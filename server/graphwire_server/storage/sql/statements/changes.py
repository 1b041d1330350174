"""The statements on the log of changes."""

from __future__ import annotations

from graphwire_server.storage.sql.statements.parts import insert, marks


def insert_changes(changes: int) -> str:
    """Returns the INSERT of so many changes. Parameters: for each those of `Change`."""
    rows = ", ".join(["(graphwire_xid(), ?, ?, ?, ?)"] * changes)
    return f"INSERT INTO gw_changes (xid, time, kind, subject, belonged) VALUES {rows}"


# The plus keeps it from being taken for the way into the index.
_SETTLED = "+xid < graphwire_settled_xid()"

# Each part walks the index in order. Of a comparison of both columns SQLite uses the first alone,
# which is the same in all of its rows.
#: Parameters: xid, number and limit; xid and limit; the limit.
CHANGES = f"""
    SELECT * FROM (
        SELECT xid, number, time, kind, subject, belonged FROM gw_changes
        WHERE {_SETTLED} AND xid = ? AND number > ? ORDER BY number LIMIT ?
    ) AS page
    UNION ALL SELECT * FROM (
        SELECT xid, number, time, kind, subject, belonged FROM gw_changes
        WHERE {_SETTLED} AND xid > ? ORDER BY xid, number LIMIT ?
    ) AS page
    ORDER BY xid, number LIMIT ?
"""

LAST_CHANGE = f"""
    SELECT xid, number FROM gw_changes WHERE {_SETTLED} ORDER BY xid DESC, number DESC LIMIT 1
"""

#: Those that can be seen, but not be read yet.
CHANGES_AHEAD = "SELECT number FROM gw_changes WHERE xid >= graphwire_settled_xid()"

#: Two servers may have noted one each.
CHANGES_REMOVED = """
    SELECT xid, number FROM gw_changes_removed ORDER BY xid DESC, number DESC LIMIT 1
"""
FORGET_CHANGES_REMOVED = "DELETE FROM gw_changes_removed WHERE (xid, number) < (?, ?)"
NOTE_CHANGES_REMOVED = insert("gw_changes_removed", "xid, number")

#: Parameters: the limit, the time.
OLDEST_CHANGES = """
    SELECT xid, number FROM (
        SELECT xid, number, time FROM gw_changes ORDER BY number LIMIT ?
    ) AS oldest
    WHERE time < ? AND number < (SELECT MAX(number) FROM gw_changes)
"""


def remove_changes(changes: int) -> str:
    """Returns the DELETE of so many changes, by their numbers."""
    return f"DELETE FROM gw_changes WHERE number IN ({marks(changes)})"
