"""The statements on webhooks, as parts of the storage's `Reader` and `Transaction`.

What the methods promise is said in `storage.webhooks`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphwire_server.storage.sql.session import Cursor, Parameters, Row
from graphwire_server.storage.sql.statements import insert, locked
from graphwire_server.storage.sql.statements.parts import marks
from graphwire_server.storage.webhooks import WebhookRecord, WebhookStatus

_COLUMNS = (
    "webhook_id, run_id, thread_id, kind, url, host, create_time, due_time, status, attempt, "
    "attempt_time, end_time, status_code, error"
)
INSERT_WEBHOOK = insert("gw_webhooks", f"{_COLUMNS}, body")

_NEXT = "SELECT MIN(due_time) FROM gw_webhooks WHERE status = 'PENDING'"
# The attempt is checked too: whoever took it later has the word.
_RETRY = """
    UPDATE gw_webhooks SET due_time = ?, status_code = ?, error = ?
    WHERE webhook_id = ? AND attempt = ? AND status = 'PENDING'
"""
_END = """
    UPDATE gw_webhooks SET status = ?, end_time = ?, status_code = ?, error = ?, body = ''
    WHERE webhook_id = ? AND attempt = ? AND status = 'PENDING'
"""
_REMOVE_ENDED = """
    DELETE FROM gw_webhooks WHERE number IN (
        SELECT number FROM gw_webhooks WHERE status <> 'PENDING' AND end_time < ?
        ORDER BY end_time LIMIT ?)
"""
_REMOVE_UNSENT = """
    DELETE FROM gw_webhooks WHERE number IN (
        SELECT number FROM gw_webhooks WHERE status = 'PENDING' AND create_time < ?
        ORDER BY create_time LIMIT ?)
"""


def _due(hosts: int) -> str:
    """Returns the SELECT of webhooks that are due, but for those of so many hosts."""
    others = f" AND w.host NOT IN ({marks(hosts)})" if hosts else ""
    return (
        "SELECT w.number, w.host FROM gw_webhooks w"
        f" WHERE w.status = 'PENDING' AND w.due_time <= ?{others}"
        " ORDER BY w.due_time, w.number LIMIT ?"
    )


def _take(webhooks: int) -> str:
    return (
        "UPDATE gw_webhooks SET attempt = attempt + 1, attempt_time = ?, due_time = ?"
        f" WHERE number IN ({marks(webhooks)})"
    )


def _taken(webhooks: int) -> str:
    return (
        f"SELECT {_COLUMNS}, body FROM gw_webhooks WHERE number IN ({marks(webhooks)})"
        " ORDER BY number"
    )


def _of_runs(runs: int) -> str:
    return f"SELECT {_COLUMNS} FROM gw_webhooks WHERE run_id IN ({marks(runs)})"


def webhook_row(webhook: WebhookRecord) -> Row:
    """Returns a webhook as a row for INSERT_WEBHOOK."""
    return (
        webhook.webhook_id,
        webhook.run_id,
        webhook.thread_id,
        webhook.kind,
        webhook.url,
        webhook.host,
        webhook.create_time,
        webhook.due_time,
        webhook.status,
        webhook.attempt,
        webhook.attempt_time,
        webhook.end_time,
        webhook.status_code,
        webhook.error,
        webhook.body,
    )


def _record(row: Row) -> WebhookRecord:
    return WebhookRecord(
        webhook_id=row[0],
        run_id=row[1],
        thread_id=row[2],
        kind=row[3],
        url=row[4],
        host=row[5],
        create_time=row[6],
        due_time=row[7],
        status=WebhookStatus(row[8]),
        attempt=row[9],
        attempt_time=row[10],
        end_time=row[11],
        status_code=row[12],
        error=row[13],
        body=row[14] if len(row) > 14 else "",
    )


class WebhookReads:
    """`WebhookReader` in the session of a reader."""

    def _execute(self, statement: str, parameters: Parameters = ()) -> Cursor:
        raise NotImplementedError

    def webhooks_of(self, run_ids: Sequence[str]) -> dict[str, WebhookRecord]:
        if not run_ids:
            return {}
        rows = self._execute(_of_runs(len(run_ids)), tuple(run_ids))
        return {row[1]: _record(row) for row in rows}

    def next_webhook_time(self) -> int | None:
        time: int | None = self._execute(_NEXT).fetchone()[0]
        return time


class WebhookWrites(WebhookReads):
    """`WebhookKeeper` in the session of a transaction, but for what is announced."""

    _locks: bool

    def now(self) -> int:
        raise NotImplementedError

    def claim_webhooks(
        self, *, lapse: int, limit: int, per_host: int, busy: Mapping[str, int]
    ) -> list[WebhookRecord]:
        now = self.now()
        full = tuple(host for host, count in busy.items() if count >= per_host)
        select = _due(len(full))
        if self._locks:
            select = locked(select, "w", skip=True)
        counts = dict(busy)
        numbers = []
        for number, host in self._execute(select, (now, *full, limit)).fetchall():
            if counts.get(host, 0) < per_host:
                counts[host] = counts.get(host, 0) + 1
                numbers.append(number)
        if not numbers:
            return []
        self._execute(_take(len(numbers)), (now, now + lapse, *numbers))
        return [_record(row) for row in self._execute(_taken(len(numbers)), tuple(numbers))]

    def retry_webhook(
        self, webhook_id: str, attempt: int, *, after: int, status_code: int, error: str
    ) -> bool:
        parameters = (self.now() + after, status_code, error, webhook_id, attempt)
        return self._execute(_RETRY, parameters).rowcount == 1

    def end_webhook(
        self, webhook_id: str, attempt: int, to: WebhookStatus, *, status_code: int, error: str
    ) -> bool:
        parameters = (to, self.now(), status_code, error, webhook_id, attempt)
        return self._execute(_END, parameters).rowcount == 1

    def remove_webhooks(self, *, ended_before: int, made_before: int, limit: int) -> int:
        ended = self._execute(_REMOVE_ENDED, (ended_before, limit)).rowcount
        return ended + self._execute(_REMOVE_UNSENT, (made_before, limit)).rowcount
