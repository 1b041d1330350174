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

_Pair = tuple[str, str]


def keep_latest(transaction: CheckpointKeeper, thread_id: str) -> None:
    """Deletes all checkpoints of a thread but the head of each namespace."""
    for namespace in transaction.checkpoint_namespaces(thread_id):
        head = transaction.checkpoint(thread_id, namespace)
        kept = "" if head is None else head.checkpoint_id
        _drop(transaction, thread_id, namespace, partial(_is_not, kept))


def delete_for_runs(transaction: CheckpointKeeper, run_ids: Collection[str]) -> None:
    """Deletes the checkpoints that runs have made, in all threads."""
    for thread_id, namespace in transaction.checkpoint_places(run_ids):
        _drop(transaction, thread_id, namespace, lambda c: c.run_id in run_ids)


def _is_not(checkpoint_id: str, checkpoint: CheckpointRecord) -> bool:
    return checkpoint.checkpoint_id != checkpoint_id


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
) -> None:
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
