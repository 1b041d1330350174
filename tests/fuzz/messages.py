"""Requests made at random: of what fits and what is hard to bear, whole and damaged."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from graphwire.v1 import payload_pb2, runs_pb2_grpc, threads_pb2_grpc

from tests.e2e.drive import get_thread, new_thread, payload, stream

LOG = payload({"log": ["in"]})
F = FieldDescriptor


@dataclass(frozen=True)
class Words:
    """Texts for the fields of requests.

    Attributes:
        fitting: By a field's name, what means something to the server there.
        assistants: The assistant of each thread.
        hard: What is hard to bear anywhere.
    """

    fitting: dict[str, list[str]]
    assistants: dict[str, str]
    hard: Sequence[str] = (
        "",
        "*",
        "__end__",
        "\x00",
        "\u202e",
        "💥" * 50,
        "x" * 10_000,
        "'; --",
        "%s",
    )

    def choose(self, name: str, chance: random.Random) -> str:
        """A text for a field."""
        if name in self.fitting and chance.random() < 0.9:
            return chance.choice(self.fitting[name])
        return chance.choice(self.hard)


def known_words(channel: grpc.Channel) -> Words:
    """Returns names and ids of what there is, on new threads in several states."""
    runs, threads = runs_pb2_grpc.RunsStub(channel), threads_pb2_grpc.ThreadsStub(channel)
    assistants = ["linear", "stops", "ask", "ask_parallel", "stop_and_ask", "boom", "echo"]
    found: dict[str, list[str]] = defaultdict(list)
    for assistant in assistants:
        thread = new_thread(threads)
        events = stream(runs, thread_id=thread, assistant_id=assistant, input=LOG)
        now = get_thread(threads, thread)
        found["thread_id"].append(thread)
        found["run_id"].append(events[0].run_id)
        found["checkpoint_id"].append(now.checkpoint_id)
        found["pause_ids"] += [pause.pause_id for pause in now.pauses]
        found["answers"] += [pause.interrupt_id or pause.pause_id for pause in now.pauses]
    nodes = ["a", "b", "c", "ask", "left", "child", "__start__"]
    return Words(
        {
            **found,
            "assistant_id": [*assistants, "nobody"],
            "expected_checkpoint_id": found["checkpoint_id"],
            "before_checkpoint_id": found["checkpoint_id"],
            "thread_ids": found["thread_id"],
            "namespace": ["child", "child:1", "a:1"],
            "extract": ["log[-1]", "log", "count.total"],
            "paths": ["values", "thread_id", "pauses"],
            "interrupt_before": [*nodes, "*"],
            "interrupt_after": [*nodes, "*"],
            "node": nodes,
            "as_node": ["", *nodes, "__end__"],
            "request_id": ["", "once", "twice"],
            "page_token": [""],
        },
        dict(zip(found["thread_id"], assistants, strict=True)),
    )


def made(message: Message, chance: random.Random, words: Words, depth: int = 0) -> Message:
    """Fills a message at random, mostly with little: much is mostly refused at once."""
    fields: list[Any] = list(message.DESCRIPTOR.fields)
    density = chance.choice((0.0, 0.03, 0.1, 0.5))
    start = chance.choice(("input", "resume", "command"))
    # Of the others hardly any starts a run.
    starts_run = hasattr(message, "assistant_id") and hasattr(message, "input")
    if starts_run and words.assistants and chance.random() < 0.4:
        return _meant_well(message, chance, words)
    for field in fields:
        likely = field.number < 3 and not depth
        if field.containing_oneof is not None and not isinstance(message, payload_pb2.Payload):
            wanted = field.name == start
        else:
            wanted = chance.random() < (0.95 if likely else density)
        if wanted:
            _fill(message, field, chance, words, depth)
    if hasattr(message, "assistant_id") and hasattr(message, "thread_id") and chance.random() < 0.8:
        message.assistant_id = words.assistants.get(message.thread_id, message.assistant_id)
    if chance.random() < 0.02:
        message.MergeFromString(b"\x9a\x3f\x01x")
    return message


def _meant_well(message: Any, chance: random.Random, words: Words) -> Message:
    """Fills a request so that it starts a run on a new thread, or one that may be at work."""
    message.assistant_id = chance.choice(list(words.assistants.values()))
    message.input.CopyFrom(LOG)
    if chance.random() < 0.3:
        message.thread_id = chance.choice(list(words.assistants))
        message.assistant_id = words.assistants[message.thread_id]
    for field in message.DESCRIPTOR.fields:
        if field.containing_oneof is None and field.number > 2 and chance.random() < 0.01:
            _fill(message, field, chance, words, 1)
    filled: Message = message
    return filled


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Damages a message."""
    work = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(len(work) + 1)
        match chance.randrange(5):
            case 0:
                del work[at : at + chance.choice((1, 4, 1000))]
            case 1:
                work[at:at] = chance.randbytes(chance.choice((1, 3, 10)))
            case 2 if at < len(work):
                work[at] ^= 1 << chance.randrange(8)
            case 3:
                work += data[: at or 1]
            case _:
                work[at:at] = work[: chance.randrange(len(work) + 1)]
    return bytes(work)


def _fill(
    message: Any, field: FieldDescriptor, chance: random.Random, words: Words, depth: int
) -> None:
    count = chance.choice((1, 1, 1, 2)) if field.is_repeated else 1
    kind = field.message_type
    content = getattr(message, field.name)
    for _ in range(count):
        if kind is None:
            scalar = _scalar(field, chance, words)
            if field.is_repeated:
                content.append(scalar)
            else:
                setattr(message, field.name, scalar)
        elif kind.GetOptions().map_entry:
            value = kind.fields_by_name["value"].message_type
            key = words.choose(field.name, chance)
            if value is None:
                content[key] = words.choose(field.name, chance)
            elif value is payload_pb2.Payload.DESCRIPTOR:
                _payload(content[key], chance)
            else:
                made(content[key], chance, words, depth + 1)
        else:
            inner = content.add() if field.is_repeated else content
            inner.SetInParent()
            if isinstance(inner, payload_pb2.Payload):
                _payload(inner, chance)
            elif isinstance(inner, Duration):
                # None of them lets a run wait for long.
                inner.seconds = chance.choice((0, -1, 2**63 - 1))
                inner.nanos = chance.choice((0, 1000, -1, 2**31 - 1))
            else:
                made(inner, chance, words, depth + 1)


def _scalar(field: FieldDescriptor, chance: random.Random, words: Words) -> Any:
    match field.type:
        case F.TYPE_STRING:
            return words.choose(field.name, chance)
        case F.TYPE_BOOL:
            return chance.random() < 0.5
        case F.TYPE_ENUM:
            return chance.choice((0, 1, 1, 1, 2, 2, 3, 4, 5, 6, 7, 99))
        case F.TYPE_INT32:
            return chance.choice((0, 1, 1, 5, 25, 1000, 1001, -1, 2**31 - 1, -(2**31)))
        case F.TYPE_INT64:
            return chance.choice((0, 1, 2, 3, -1, 2**63 - 1, -(2**63)))
    raise AssertionError(field.full_name)


def _payload(target: payload_pb2.Payload, chance: random.Random) -> None:
    texts = [
        '{"log": ["in"]}',
        '{"log": ["in"], "count": 3}',
        '{"log": 1}',
        '{"count": "x", "path": null}',
        '{"messages": [{"role": "user", "content": "hi"}]}',
        '{"__pregel_resuming": true, "thread_id": "x"}',
        '{"nodes": -1, "name": "Ada"}',
        '{"__interrupt__": [], "__root__": 1}',
        "null",
        "{}",
        "[]",
        '"yes"',
        "1e308",
        "18446744073709551615",
        "[" * 99 + "]" * 99,
        "{",
        "",
        "\ufeff1",
        '{"a": NaN}',
        json.dumps({"k" * 2000: ["v" * 2000]}),
    ]
    match chance.randrange(16):
        case 0:
            target.Clear()
        case 1:
            target.value.number_value = chance.choice((1.0, 1e308, float("nan"), -0.0))
        case 2:
            target.value.struct_value.update({"log": ["in"], "": {"a": [None, True]}})
        case 3:
            target.value.SetInParent()
        case 4 | 5 | 6 | 7 | 8:
            target.json = chance.choice(texts)
        case _:
            target.json = texts[0]
