"""Deletes checkpoints, and leaves what the others need.

- A value that is a delta needs those that it goes back to.
- A DeltaChannel has a value in a few checkpoints only; in the others it is rebuilt from what was
  written at their ancestors since. Such ancestors stay as history: nobody sees them any more, and
  nothing is kept of them but what is written there, and the value that they start from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial

from graphwire_server.storage.checkpoints import body
from graphwire_server.storage.checkpoints import metadata as metadata_json
from graphwire_server.storage.checkpoints.interface import CheckpointKeeper
from graphwire_server.storage.checkpoints.reading import large_versions
from graphwire_server.storage.checkpoints.records import CheckpointRecord

#: LangGraph counts here, for each DeltaChannel, the steps since it last had a value.
_COUNTERS = "counters_since_delta_snapshot"

#: In a namespace, what is between a node and its task: it is of one step only.
_TASK = ":"

_Pair = tuple[str, str]


def keep_latest(
    transaction: CheckpointKeeper, thread_id: str, *, also: Collection[str] = ()
) -> int:
    """Deletes the checkpoints of a thread that are no part of where it stands.

    What stays is the head of the root, and of each subgraph that is at work in the step which
    starts from there, with all that was written at them: a thread that is paused can be resumed,
    and a step that is half done can be finished. Of a subgraph with a state of its own
    (`checkpointer=True`) the head stays in any case.

    Args:
        transaction: The database.
        thread_id: The thread.
        also: Further checkpoints of the root that stay.

    Returns:
        How many checkpoints were deleted.
    """
    heads: dict[str, CheckpointRecord] = {}
    namespaces = transaction.checkpoint_namespaces(thread_id)
    for namespace in namespaces:
        head = transaction.checkpoint(thread_id, namespace)
        if head is not None:
            heads[namespace] = head
    dropped = 0
    for namespace in namespaces:
        kept = set(also) if namespace == "" else set()
        if namespace in heads and _is_current(heads[namespace], heads):
            kept.add(heads[namespace].checkpoint_id)
        dropped += _drop(transaction, thread_id, namespace, partial(_is_none_of, kept))
    return dropped


def delete_for_runs(transaction: CheckpointKeeper, run_ids: Collection[str]) -> None:
    """Deletes the checkpoints that runs have made, in all threads."""
    for thread_id, namespace in transaction.checkpoint_places(run_ids):
        _drop(transaction, thread_id, namespace, lambda c: c.run_id in run_ids)


def roll_back(transaction: CheckpointKeeper, thread_id: str, run_id: str) -> None:
    """Deletes what a run has made on a thread, and nothing since it, in all its namespaces.

    No checkpoint that stays goes back to one that goes: what stays is older.
    """
    made: defaultdict[str, dict[str, _Checkpoint]] = defaultdict(dict)
    for record in transaction.checkpoints_of_run(thread_id, run_id):
        made[record.namespace][record.checkpoint_id] = _Checkpoint(record)
    for namespace, checkpoints in made.items():
        values = {pair for checkpoint in checkpoints.values() for pair in checkpoint.large.items()}
        for parent_id in {c.parent_id for c in checkpoints.values()} - checkpoints.keys() - {""}:
            parent = transaction.checkpoint(thread_id, namespace, parent_id)
            # Of a parent that is gone it can't be said what it has left.
            values = values - set(_Checkpoint(parent).large.items()) if parent else set()
        transaction.drop_checkpoints(thread_id, namespace, checkpoints)
        transaction.drop_channel_values(thread_id, namespace, values)
    transaction.drop_writes_of_run(thread_id, run_id)


def _is_none_of(kept: Collection[str], checkpoint: CheckpointRecord) -> bool:
    return checkpoint.checkpoint_id not in kept


def _is_current(head: CheckpointRecord, heads: Mapping[str, CheckpointRecord]) -> bool:
    """Says whether the head of a namespace belongs to the step at which the thread stands."""
    if _TASK not in head.namespace:
        return True
    # By namespace, from the root on: the checkpoint from which the step started that this
    # graph is a part of. It is a part of another step if the graph there has gone on.
    parents = metadata_json.loads(head.metadata).get("parents") or {}
    return all(
        heads[namespace].checkpoint_id == checkpoint_id
        for namespace, checkpoint_id in parents.items()
        if namespace in heads
    )


class _Checkpoint:
    """A checkpoint and what there is of its values."""

    def __init__(self, record: CheckpointRecord) -> None:
        self.id = record.checkpoint_id
        self.parent_id = record.parent_checkpoint_id
        self.metadata = metadata_json.loads(record.metadata)
        unpacked = body.unpack(record.checkpoint_id, record.body)
        self.small: Collection[str] = unpacked["channel_values"]
        self.large = large_versions(unpacked)


def _drop(
    transaction: CheckpointKeeper,
    thread_id: str,
    namespace: str,
    doomed: Callable[[CheckpointRecord], bool],
) -> int:
    """Deletes some checkpoints of a namespace; returns how many of them could be seen."""
    records = transaction.all_checkpoints(thread_id, namespace)
    checkpoints = {record.checkpoint_id: _Checkpoint(record) for record in records}
    bases = {
        (channel, version): (channel, base)
        for channel, version, base in transaction.channel_versions(thread_id, namespace)
    }
    kept = [checkpoints[r.checkpoint_id] for r in records if not (r.history or doomed(r))]
    history, seeds = _history(checkpoints, kept, bases)
    needed = [pair for checkpoint in kept for pair in checkpoint.large.items()]
    values = _with_bases([*needed, *seeds], bases)
    stay = {checkpoint.id for checkpoint in kept}
    transaction.make_history(thread_id, namespace, history - stay)
    transaction.drop_checkpoints(thread_id, namespace, checkpoints.keys() - stay - history)
    transaction.drop_channel_values(thread_id, namespace, bases.keys() - values)
    return sum(not record.history for record in records) - len(kept)


def _history(
    checkpoints: Mapping[str, _Checkpoint],
    kept: Sequence[_Checkpoint],
    stored: Collection[_Pair],
) -> tuple[set[str], set[_Pair]]:
    """Returns the ancestors that DeltaChannels of some checkpoints need, and their values."""
    delta_channels = {
        channel for c in checkpoints.values() for channel in c.metadata.get(_COUNTERS, ())
    }
    history: set[str] = set()
    seeds: set[_Pair] = set()
    # Which channels were already looked for from a checkpoint upwards.
    looked: defaultdict[str, set[str]] = defaultdict(set)
    for checkpoint in kept:
        missing = {
            channel
            for channel in delta_channels & checkpoint.large.keys()
            if (channel, checkpoint.large[channel]) not in stored
        }
        parent = checkpoints.get(checkpoint.parent_id)
        while parent is not None and (missing := missing - looked[parent.id]):
            looked[parent.id] |= missing
            history.add(parent.id)
            found = {c for c in missing if (c, parent.large.get(c, "")) in stored}
            seeds |= {(channel, parent.large[channel]) for channel in found}
            missing = missing - found - set(parent.small)
            parent = checkpoints.get(parent.parent_id)
    return history, seeds


def _with_bases(pairs: Iterable[_Pair], bases: Mapping[_Pair, _Pair]) -> set[_Pair]:
    """Returns versions with all that they go back to."""
    found: set[_Pair] = set()
    for pair in pairs:
        while pair not in found and pair in bases:
            found.add(pair)
            pair = bases[pair]
    return found
