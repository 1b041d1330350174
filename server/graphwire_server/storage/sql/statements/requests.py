"""The statements on request ids."""

from __future__ import annotations

from graphwire_server.storage.sql.statements.parts import insert

REQUEST_COLUMNS = "principal, method, request_id, fingerprint, subject, create_time"

INSERT_REQUEST = insert("gw_requests", REQUEST_COLUMNS)

REQUEST = f"""
    SELECT {REQUEST_COLUMNS} FROM gw_requests
    WHERE principal = ? AND method = ? AND request_id = ?
"""

FORGET_REQUESTS = "DELETE FROM gw_requests WHERE create_time < ?"
