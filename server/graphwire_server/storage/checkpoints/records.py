"""What is kept of LangGraph's checkpoints, as plain rows. What the bytes mean is not known here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """A checkpoint, without the values of its channels.

    Attributes:
        thread_id: Its thread.
        namespace: The graph in the thread: empty for the root, else the subgraph's path.
        checkpoint_id: Its id.
        parent_checkpoint_id: The one that it was made from; empty for the first.
        run_id: The run that made it, as its metadata says; empty if none.
        metadata: LangGraph's metadata, a JSON object, as text.
        body: Which version of each channel it holds, and more: see `body`.
        number: Its place in the order of writing, over all threads; 0 before it is stored.
        history: Whether it was pruned, and stays for what was written at it alone.
    """

    thread_id: str
    namespace: str
    checkpoint_id: str
    parent_checkpoint_id: str
    run_id: str
    metadata: str
    body: bytes
    number: int = 0
    history: bool = False


@dataclass(frozen=True, slots=True)
class ChannelValueRecord:
    """The value of a channel at one version, which never changes.

    Attributes:
        thread_id: Its thread.
        namespace: The graph in the thread.
        channel: The channel's name.
        version: The channel's version.
        base_version: The version that `body` is a delta against; empty if it stands alone.
        body: The value, or the delta: see `values`.
    """

    thread_id: str
    namespace: str
    channel: str
    version: str
    base_version: str
    body: bytes


@dataclass(frozen=True, slots=True)
class WriteRecord:
    """What a task wrote in one go, before the step that it belongs to was over.

    Attributes:
        thread_id: Its thread.
        namespace: The graph in the thread.
        checkpoint_id: The checkpoint that the step started from.
        task_id: The task.
        task_path: Where the task stands in the step; empty if that is not known.
        body: The writes: see `writes`.
    """

    thread_id: str
    namespace: str
    checkpoint_id: str
    task_id: str
    task_path: str
    body: bytes


@dataclass(frozen=True, slots=True)
class CheckpointFilter:
    """Which checkpoints; what is given must all be true.

    Attributes:
        thread_id: Of this thread; None for any.
        namespace: Of this graph in it; None for any.
        checkpoint_id: Only this one; None for any.
        before: Only those written before this one, which may be of another namespace of the
            thread; empty for all. If it is not there, those with a lesser id.
        metadata: Metadata that contains this JSON object (text), as in `records.ThreadFilter`;
            None for any.
    """

    thread_id: str | None = None
    namespace: str | None = None
    checkpoint_id: str | None = None
    before: str = ""
    metadata: str | None = None
