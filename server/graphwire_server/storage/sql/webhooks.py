"""The statements on webhooks, as parts of the storage's `Reader` and `Transaction`.

What the methods promise is said in `storage.webhooks`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from graphwire_server.storage.sql.session import Cursor, Parameters, Row
from graphwire_server.storage.sql.statements import insert, locked
from graphwire_server.storage.sql.statements.parts import marks
from graphwire_server.storage.webhooks import ClaimedWebhooks, WebhookRecord, WebhookStatus

_COLUMNS = (
    "webhook_id, run_id, thread_id, kind, url, host, create_time, due_time, status, attempt, "
    "attempt_time, end_time, status_code, error"
)
WEBHOOK_COLUMNS = f"{_COLUMNS}, body"
INSERT_WEBHOOK = insert("gw_webhooks", WEBHOOK_COLUMNS)

#: How many webhooks, and how many hosts, a claim looks at; where more hosts wait, they are looked
#: at in turns.
MOST_LOOKED_AT = 256

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


#: Those that have waited longest, whatever their hosts. Parameters: the time, how many at most.
LONGEST_DUE = """
    SELECT host, due_time FROM gw_webhooks WHERE status = 'PENDING' AND due_time <= ?
    ORDER BY due_time, number LIMIT ?
"""

_NEXT_HOST = "SELECT MIN(q.host) FROM gw_webhooks q WHERE q.status = 'PENDING' AND q.host > {after}"
_FIRST_OF_HOST = (
    "SELECT MIN(w.due_time) FROM gw_webhooks w WHERE w.status = 'PENDING' AND w.host = waits.host"
)
#: The hosts that something is to be sent to, in order, and when the first of it is or was due: a
#: walk from one to the next, however much there is of each. Parameters: the host after which to
#: begin, how many at most.
WAITING_HOSTS = f"""
    WITH RECURSIVE waits (host, place) AS (
        SELECT ({_NEXT_HOST.format(after="?")}), 1
        UNION ALL
        SELECT ({_NEXT_HOST.format(after="waits.host")}), waits.place + 1 FROM waits
        WHERE waits.host IS NOT NULL AND waits.place < ?
    )
    SELECT waits.host, ({_FIRST_OF_HOST}) FROM waits WHERE waits.host IS NOT NULL
"""

#: Those of a host that have waited longest. Parameters: the host, the time, how many at most.
DUE_OF_HOST = """
    SELECT w.due_time, w.number FROM gw_webhooks w
    WHERE w.status = 'PENDING' AND w.host = ? AND w.due_time <= ?
    ORDER BY w.due_time, w.number LIMIT ?
"""
LOCKED_DUE_OF_HOST = locked(DUE_OF_HOST, "w", skip=True)


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
        self, *, lapse: int, limit: int, per_host: int, busy: Mapping[str, int], after: str = ""
    ) -> ClaimedWebhooks:
        now = self.now()
        select = LOCKED_DUE_OF_HOST if self._locks else DUE_OF_HOST
        waiting, place = self._waiting_hosts(
            now, limit=limit, per_host=per_host, busy=busy, after=after
        )
        found: list[Row] = []
        for host, first in sorted(waiting.items(), key=lambda item: item[1]):
            if len(found) == limit and found[-1][0] <= first:
                break  # what is left has not waited as long
            room = min(per_host - busy.get(host, 0), limit)
            found = sorted([*found, *self._execute(select, (host, now, room))])[:limit]
        numbers = tuple(number for _, number in found)
        if not numbers:
            return ClaimedWebhooks([], place)
        self._execute(_take(len(numbers)), (now, now + lapse, *numbers))
        taken = self._execute(_taken(len(numbers)), numbers)
        return ClaimedWebhooks([_record(row) for row in taken], place)

    def _waiting_hosts(
        self, now: int, *, limit: int, per_host: int, busy: Mapping[str, int], after: str
    ) -> tuple[dict[str, int], str]:
        """Returns the hosts that may be sent to, each with the time since when, and the place.

        Mostly those that have waited longest are all there is to look at. Where they are the
        backlog of hosts that are busy, it is not walked: the hosts are.
        """
        front = self._execute(LONGEST_DUE, (now, MOST_LOOKED_AT)).fetchall()
        waiting: dict[str, int] = {}
        counts = Counter(busy)
        room = 0
        for host, due in front:
            if counts[host] < per_host:
                counts[host] += 1
                room += 1
                waiting.setdefault(host, due)
        if room >= limit or len(front) < MOST_LOOKED_AT:
            return waiting, after
        hosts = self._execute(WAITING_HOSTS, (after, MOST_LOOKED_AT)).fetchall()
        if after and len(hosts) < MOST_LOOKED_AT:
            hosts += self._execute(WAITING_HOSTS, ("", MOST_LOOKED_AT - len(hosts))).fetchall()
        for host, due in hosts:
            if due <= now and busy.get(host, 0) < per_host:
                waiting.setdefault(host, due)
        return waiting, hosts[-1][0] if len(hosts) == MOST_LOOKED_AT else ""

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
