"""Chat messages as typed pieces: what is sent once, what adds up, what comes whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from graphwire.v1 import run_event_pb2, run_pb2, runs_pb2_grpc, threads_pb2, threads_pb2_grpc

from tests.e2e.drive import DEADLINE, join, namespace, new_thread, payload, stream, value
from tests.servers import WEATHER, ServerProcess

MESSAGES = [run_pb2.STREAM_MODE_MESSAGES]
HELLO = payload({"messages": [{"role": "user", "content": "Hello!"}]})
USER, ASSISTANT, SYSTEM, TOOL = (
    run_event_pb2.MESSAGE_ROLE_USER,
    run_event_pb2.MESSAGE_ROLE_ASSISTANT,
    run_event_pb2.MESSAGE_ROLE_SYSTEM,
    run_event_pb2.MESSAGE_ROLE_TOOL,
)


@dataclass
class Told:
    """A message, put together from its pieces."""

    start: run_event_pb2.MessageStart
    where: str
    content: list[tuple[str, Any]] = field(default_factory=list)
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    usage: tuple[int, int, int] | None = None
    ended: bool = False
    pieces: int = 0

    @property
    def text(self) -> str:
        return "".join(said for kind, said in self.content if kind == "text")

    def add(self, piece: run_event_pb2.MessageEvent) -> None:
        self.pieces += 1
        for part in piece.content:
            kind = part.WhichOneof("piece") or ""
            said = value(part.block) if kind == "block" else getattr(part, kind)
            assert 0 <= part.index <= len(self.content), "content blocks come in order"
            if part.index == len(self.content):
                self.content.append((kind, said))
            else:
                assert self.content[part.index][0] == kind
                self.content[part.index] = kind, self.content[part.index][1] + said
        for call in piece.tool_calls:
            if call.index == len(self.calls):
                assert call.id
                assert call.name
                self.calls.append((call.id, call.name, call.args))
            else:
                assert not call.id, "the id comes with the first piece only"
                assert not call.name, "the name comes with the first piece only"
                call_id, name, args = self.calls[call.index]
                self.calls[call.index] = call_id, name, args + call.args
        if piece.HasField("usage"):
            usage = piece.usage
            self.usage = usage.input_tokens, usage.output_tokens, usage.total_tokens
        self.ended = piece.last


def told(events: Iterable[run_event_pb2.RunEvent]) -> dict[str, Told]:
    """Puts the messages of a run together, as a client does; checks each piece's place."""
    messages: dict[str, Told] = {}
    for event in events:
        if event.WhichOneof("event") != "message":
            continue
        piece = event.message
        assert piece.HasField("start") == (piece.message_id not in messages), "start comes once"
        if piece.HasField("start"):
            messages[piece.message_id] = Told(piece.start, namespace(event.namespace))
        message = messages[piece.message_id]
        assert not message.ended, "nothing comes after the last piece"
        assert message.where == namespace(event.namespace)
        message.add(piece)
    return messages


def state_messages(threads: threads_pb2_grpc.ThreadsStub, thread_id: str) -> list[Any]:
    request = threads_pb2.GetThreadStateRequest(thread_id=thread_id)
    state = threads.GetThreadState(request, timeout=DEADLINE).state
    messages: list[Any] = value(state.values)["messages"]
    return messages


# Pieces are joined that come within 20 ms of each other.
@pytest.fixture(scope="module", params=["0", "0.03"], ids=["at once", "token by token"])
def weather(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[runs_pb2_grpc.RunsStub, threads_pb2_grpc.ThreadsStub, bool]]:
    """The weather agent, and whether its tokens come one by one."""
    database = tmp_path_factory.mktemp("weather") / "graphwire.db"
    process = ServerProcess(database, WEATHER, env={"WEATHER_TOKEN_DELAY": request.param}).start()
    with grpc.insecure_channel(process.address) as channel:
        slowly = request.param != "0"
        yield runs_pb2_grpc.RunsStub(channel), threads_pb2_grpc.ThreadsStub(channel), slowly
    process.stop()


def test_an_agents_messages_add_up_to_those_in_its_state(
    weather: tuple[runs_pb2_grpc.RunsStub, threads_pb2_grpc.ThreadsStub, bool],
) -> None:
    runs, threads, slowly = weather
    thread = new_thread(threads)
    question = {"role": "user", "content": "What is the weather in Paris and in São Paulo?"}
    events = stream(
        runs,
        thread_id=thread,
        assistant_id="agent",
        input=payload({"messages": [question]}),
        stream_modes=MESSAGES,
    )
    messages = told(events)
    call, paris, sao_paulo, answer = messages.values()

    assert [(m.start.role, m.start.node, m.start.type) for m in messages.values()] == [
        (ASSISTANT, "agent", "ai"),
        (TOOL, "action", "tool"),
        (TOOL, "action", "tool"),
        (ASSISTANT, "agent", "ai"),
    ]
    assert all(message.ended for message in messages.values())

    assert call.content == [("text", "I'll look up the weather in Paris and São Paulo.")]
    assert [(name, args) for _, name, args in call.calls] == [
        ("get_weather", '{"city": "Paris"}'),
        ("get_weather", '{"city": "São Paulo"}'),
    ]
    assert [(m.start.name, m.start.tool_call_id) for m in (paris, sao_paulo)] == [
        ("get_weather", call.calls[0][0]),
        ("get_weather", call.calls[1][0]),
    ]
    assert '"temperature_c": 21' in paris.text
    assert '"temperature_c": 24' in sao_paulo.text
    assert answer.text == (
        "It is 21 °C and sunny in Paris, with wind at 9 km/h. It is 24 °C and stormy in "
        "São Paulo, with wind at 17 km/h. São Paulo is the warmest, by 3 degrees."
    )
    assert not answer.calls

    # In the state: the same ids, texts, calls and counts.
    kept = {message["id"]: message for message in state_messages(threads, thread)[1:]}
    assert list(kept) == list(messages)
    assert {i: m.text for i, m in messages.items()} == {i: m["content"] for i, m in kept.items()}
    for message_id, message in messages.items():
        usage = kept[message_id].get("usage_metadata")
        if message.start.role == ASSISTANT:
            counts = usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]
            assert message.usage == counts
        else:
            assert message.usage is None
    calls = [(c["id"], c["name"], c["args"]) for c in kept[next(iter(kept))]["tool_calls"]]
    assert calls == [
        (call.calls[0][0], "get_weather", {"city": "Paris"}),
        (call.calls[1][0], "get_weather", {"city": "São Paulo"}),
    ]

    # Tokens that come one by one are shown one by one; a message of a tool is one piece.
    assert (paris.pieces, sao_paulo.pieces) == (1, 1)
    if slowly:
        assert call.pieces > 5
        assert answer.pieces > 10
    # Joining what is over gives the very pieces that were shown.
    assert join(runs, events[0].run_id) == events


def test_reasoning_text_and_other_blocks_keep_their_order_and_their_kinds(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    events = stream(
        runs,
        thread_id=new_thread(threads),
        assistant_id="thoughts",
        input=HELLO,
        stream_modes=MESSAGES,
    )
    (message,) = told(events).values()
    cat = {"type": "image", "url": "https://example.org/cat.png", "index": 2}
    assert message.content == [
        ("reasoning", "Hmm."),
        ("text", "Look: "),
        ("block", cat),
        ("text", "a cat."),
    ]
    assert message.ended


def test_models_that_speak_at_the_same_time_are_told_apart_by_message_id(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread = new_thread(threads)
    events = stream(runs, thread_id=thread, assistant_id="duet", input=HELLO, stream_modes=MESSAGES)
    messages = told(events)
    assert {m.start.node: (m.text, m.ended) for m in messages.values()} == {
        "left": ("abcde", True),
        "right": ("vwxyz", True),
    }
    assert set(messages) == {message["id"] for message in state_messages(threads, thread)[1:]}


def test_messages_that_no_model_spoke_come_whole_with_role_name_and_id(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    events = stream(
        runs,
        thread_id=new_thread(threads),
        assistant_id="quotes",
        input=HELLO,
        stream_modes=MESSAGES,
    )
    messages = told(events)
    assert [
        (i, m.start.role, m.start.type, m.start.name, m.start.node, m.text, m.pieces, m.ended)
        for i, m in messages.items()
    ] == [
        ("question", USER, "human", "ann", "quote", "Who spoke?", 1, True),
        ("rule", SYSTEM, "system", "", "quote", "Be brief.", 1, True),
        ("reply", ASSISTANT, "ai", "", "quote", "Both.", 1, True),
    ]


def test_the_input_is_not_sent_back_as_a_message(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread = new_thread(threads)
    for _ in range(2):
        events = stream(
            runs, thread_id=thread, assistant_id="chat", input=HELLO, stream_modes=MESSAGES
        )
        (message,) = told(events).values()
        assert (message.start.node, message.text, message.ended) == (
            "speak",
            "one two three",
            True,
        )


def test_with_subgraphs_a_message_of_a_subgraph_comes_in_pieces_from_there(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    events = stream(
        runs,
        thread_id=new_thread(threads),
        assistant_id="talk_in_child",
        input=HELLO,
        stream_modes=MESSAGES,
        stream_subgraphs=True,
    )
    messages = told(events)
    assert [(i, m.where, m.start.node, m.text, m.ended) for i, m in messages.items()] == [
        ("answer", "child", "speak", "one two three", True)
    ]


def test_without_subgraphs_it_comes_whole_from_the_node_that_the_subgraph_is(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    events = stream(
        runs,
        thread_id=new_thread(threads),
        assistant_id="talk_in_child",
        input=HELLO,
        stream_modes=MESSAGES,
    )
    messages = told(events)
    assert [(i, m.where, m.start.node, m.text, m.pieces) for i, m in messages.items()] == [
        ("answer", "", "child", "one two three", 1)
    ]


def test_a_model_that_breaks_off_leaves_its_message_without_a_last_piece(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    # Twice: the model raises the very same exception object each time.
    for _ in range(2):
        events = stream(
            runs,
            thread_id=new_thread(threads),
            assistant_id="broken_speech",
            input=HELLO,
            stream_modes=MESSAGES,
        )
        (message,) = told(events).values()
        assert (message.text, message.ended) == ("one two ", False)
        end = events[-1].end
        assert end.status == run_pb2.RUN_STATUS_FAILED
        assert (end.error.type, end.error.message) == ("ConnectionError", "cut off")
        assert (end.error.node, list(end.error.namespace)) == ("speak", [])


def test_the_pieces_of_a_long_answer_are_the_same_for_all_who_read_it(
    weather: tuple[runs_pb2_grpc.RunsStub, threads_pb2_grpc.ThreadsStub, bool],
) -> None:
    runs, threads, _ = weather
    question = "What is the weather in Paris, Oslo, Cairo, Tokyo and Sydney?"
    events = stream(
        runs,
        thread_id=new_thread(threads),
        assistant_id="agent",
        input=payload({"messages": [{"role": "user", "content": question}]}),
        stream_modes=MESSAGES,
    )
    for after in range(len(events)):
        assert join(runs, events[0].run_id, after) == events[after:]
