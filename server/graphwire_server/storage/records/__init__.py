"""What is kept, as plain records. Times are integers: microseconds since 1970, UTC.

JSON is kept as text, exactly as it will be sent; nothing here parses it.
"""

from graphwire_server.storage.records.assistants import (
    AssistantFilter,
    AssistantHead,
    AssistantOrder,
    AssistantPosition,
    AssistantRecord,
)
from graphwire_server.storage.records.changes import (
    LOG_START,
    ChangeKind,
    ChangePage,
    ChangePlace,
    ChangeRecord,
    LogEnd,
)
from graphwire_server.storage.records.load import Backlog, StorageLoad
from graphwire_server.storage.records.pauses import (
    PauseFilter,
    PauseKind,
    PausePosition,
    PauseRecord,
    PauseStatus,
)
from graphwire_server.storage.records.requests import RequestRecord
from graphwire_server.storage.records.runs import (
    ACTIVE,
    MAY_LEAVE_NOTHING,
    TRANSITIONS,
    EventRecord,
    Failure,
    Lease,
    Place,
    Position,
    RunRecord,
    RunStatus,
    TakenOver,
)
from graphwire_server.storage.records.threads import (
    Amount,
    Expiry,
    Extent,
    Inheritance,
    ThreadFilter,
    ThreadOrder,
    ThreadPosition,
    ThreadRecord,
    ThreadsKept,
    ThreadSort,
    ThreadStatus,
    ThreadStorage,
)

__all__ = [
    "ACTIVE",
    "LOG_START",
    "MAY_LEAVE_NOTHING",
    "TRANSITIONS",
    "Amount",
    "AssistantFilter",
    "AssistantHead",
    "AssistantOrder",
    "AssistantPosition",
    "AssistantRecord",
    "Backlog",
    "ChangeKind",
    "ChangePage",
    "ChangePlace",
    "ChangeRecord",
    "EventRecord",
    "Expiry",
    "Extent",
    "Failure",
    "Inheritance",
    "Lease",
    "LogEnd",
    "PauseFilter",
    "PauseKind",
    "PausePosition",
    "PauseRecord",
    "PauseStatus",
    "Place",
    "Position",
    "RequestRecord",
    "RunRecord",
    "RunStatus",
    "StorageLoad",
    "TakenOver",
    "ThreadFilter",
    "ThreadOrder",
    "ThreadPosition",
    "ThreadRecord",
    "ThreadSort",
    "ThreadStatus",
    "ThreadStorage",
    "ThreadsKept",
]
