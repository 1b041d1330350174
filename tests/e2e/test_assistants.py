"""Assistants: one for each graph of langgraph.json, its drawing and its schemas."""

from __future__ import annotations

import json
from typing import Any

import pytest
from graphwire.v1 import assistants_pb2 as pb
from graphwire.v1 import assistants_pb2_grpc, payload_pb2, server_pb2, server_pb2_grpc

from tests.e2e.drive import DEADLINE, refused, value
from tests.servers import ZOO

Assistants = assistants_pb2_grpc.AssistantsStub

GRAPHS: dict[str, Any] = json.loads((ZOO / "langgraph.json").read_text())["graphs"]


def get(assistants: Assistants, name: str) -> pb.Assistant:
    """Returns an assistant."""
    request = pb.GetAssistantRequest(assistant_id=name)
    return assistants.GetAssistant(request, timeout=DEADLINE).assistant


def drawn(assistants: Assistants, name: str, depth: int = 0) -> pb.GetAssistantGraphResponse:
    """Returns the drawing of an assistant's graph."""
    request = pb.GetAssistantGraphRequest(assistant_id=name, depth=depth)
    return assistants.GetAssistantGraph(request, timeout=DEADLINE)


def schemas(assistants: Assistants, name: str) -> dict[str, Any]:
    """Returns those of an assistant's schemas that there are, by field."""
    request = pb.GetAssistantSchemasRequest(assistant_id=name)
    response = assistants.GetAssistantSchemas(request, timeout=DEADLINE)
    return {field.name: value(payload) for field, payload in response.ListFields()}


def test_each_graph_of_the_project_is_an_assistant(assistants: Assistants) -> None:
    listed = assistants.ListAssistants(pb.ListAssistantsRequest(page_size=1000), timeout=DEADLINE)
    graphs = [assistant for assistant in listed.assistants if assistant.built_in]
    assert [assistant.assistant_id for assistant in graphs] == sorted(GRAPHS)
    for assistant in graphs:
        assert assistant.graph_id == assistant.name == assistant.assistant_id
        assert assistant.version == 1
        graph = GRAPHS[assistant.assistant_id]
        described = graph.get("description", "") if isinstance(graph, dict) else ""
        assert assistant.description == described
        assert get(assistants, assistant.assistant_id) == assistant


def test_an_assistant_was_made_when_the_server_loaded_it(
    assistants: Assistants, server_stub: server_pb2_grpc.ServerStub
) -> None:
    info = server_stub.GetServerInfo(server_pb2.GetServerInfoRequest(), timeout=DEADLINE)
    made = get(assistants, "linear").create_time.ToDatetime()
    assert abs((info.start_time.ToDatetime() - made).total_seconds()) < 60


def test_an_assistant_says_where_its_graph_was_compiled_to_pause(assistants: Assistants) -> None:
    stops, linear = get(assistants, "stops"), get(assistants, "linear")
    assert (list(stops.interrupt_before), list(stops.interrupt_after)) == (["b"], ["c"])
    assert (list(linear.interrupt_before), list(linear.interrupt_after)) == ([], [])


def cut(text: str) -> str:
    """A text as an error carries it, which has to fit into trailers."""
    return text if len(text) <= 1000 else f"{text[:999]}…"


def test_an_unknown_assistant_is_answered_with_those_there_are(assistants: Assistants) -> None:
    with refused("NOT_FOUND", "ASSISTANT_NOT_FOUND") as refusal:
        get(assistants, "liner")
    request = pb.ListAssistantsRequest(page_size=100, order_by=pb.ASSISTANT_ORDER_ASSISTANT_ID)
    listed = assistants.ListAssistants(request, timeout=DEADLINE)
    names = ", ".join(each.assistant_id for each in listed.assistants)
    assert refusal.metadata == {"assistants": cut(names)}
    assert refusal.resource == ("assistant", "liner")
    hint = "did you mean 'linear'? There are"
    assert refusal.text == cut(f"there is no assistant 'liner'; {hint}: {names}")


def test_a_graph_is_drawn_as_nodes_and_edges_and_mermaid(assistants: Assistants) -> None:
    drawing = drawn(assistants, "router")
    assert [node.node_id for node in drawing.nodes] == [
        "__start__",
        "start",
        "left",
        "right",
        "__end__",
    ]
    assert all(node.name == node.node_id for node in drawing.nodes)
    edges = [(edge.source, edge.target, edge.conditional) for edge in drawing.edges]
    assert edges == [
        ("__start__", "start", False),
        ("start", "left", True),
        ("start", "right", True),
        ("left", "__end__", False),
        ("right", "__end__", False),
    ]
    assert "graph TD;" in drawing.mermaid
    assert "start -.-> left;" in drawing.mermaid


def test_a_drawing_shows_the_breakpoints_that_are_compiled_in(assistants: Assistants) -> None:
    nodes = drawn(assistants, "stops").nodes
    assert [node.node_id for node in nodes if node.interrupt_before] == ["b"]
    assert [node.node_id for node in nodes if node.interrupt_after] == ["c"]


@pytest.mark.parametrize(
    ("depth", "nodes", "before"),
    [
        (0, ["__start__", "child", "after", "__end__"], []),
        (1, ["__start__", "after", "__end__", "child:one", "child:two"], ["child:two"]),
        (100, ["__start__", "after", "__end__", "child:one", "child:two"], ["child:two"]),
    ],
)
def test_subgraphs_are_opened_to_a_depth_with_their_own_breakpoints(
    assistants: Assistants, depth: int, nodes: list[str], before: list[str]
) -> None:
    drawing = drawn(assistants, "stop_in_child", depth)
    assert [node.node_id for node in drawing.nodes] == nodes
    assert [node.node_id for node in drawing.nodes if node.interrupt_before] == before
    names = {node.node_id: node.name for node in drawing.nodes}
    assert names.get("child:two", "two") == "two"


@pytest.mark.parametrize("name", sorted(GRAPHS))
def test_every_graph_can_be_drawn_and_described(assistants: Assistants, name: str) -> None:
    drawing = drawn(assistants, name, depth=2)
    ids = {node.node_id for node in drawing.nodes}
    assert {"__start__"} < ids
    assert {end for edge in drawing.edges for end in (edge.source, edge.target)} <= ids
    assert drawing.mermaid
    described = schemas(assistants, name)
    assert {"input", "output"} <= set(described)
    assert all(isinstance(schema, dict) for schema in described.values())


def test_schemas_are_those_of_the_graph(assistants: Assistants) -> None:
    log = {
        "type": "object",
        "title": "Log",
        "description": "A log, and whatever single values a graph needs.",
        "properties": {
            "log": {"type": "array", "items": {"type": "string"}, "title": "Log"},
            "count": {"type": "integer", "title": "Count"},
            "path": {"type": "string", "title": "Path"},
        },
    }
    assert schemas(assistants, "linear") == {"input": log, "output": log, "state": log}
    context = schemas(assistants, "contextual")["context"]
    # Pydantic leaves it out before 2.13.
    assert context.pop("description", "The context of `contextual`.") == (
        "The context of `contextual`."
    )
    assert context == {
        "type": "object",
        "title": "Person",
        "properties": {
            "name": {"type": "string", "title": "Name"},
            "language": {"type": "string", "title": "Language", "default": "en"},
        },
        "required": ["name"],
    }


def test_an_entrypoint_has_no_state_schema(assistants: Assistants) -> None:
    assert set(schemas(assistants, "echo")) == {"input", "output"}


def test_schemas_can_be_had_in_value_form(assistants: Assistants) -> None:
    request = pb.GetAssistantSchemasRequest(assistant_id="linear")
    response = assistants.GetAssistantSchemas(
        request, timeout=DEADLINE, metadata=(("graphwire-payload", "value"),)
    )
    assert response.state.WhichOneof("form") == "value"
    assert response.context == payload_pb2.Payload()
    assert response.state.value.struct_value["title"] == "Log"
