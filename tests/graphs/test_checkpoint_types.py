"""langgraph.json names the types that checkpoints may be read into, besides the graphs' own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from graphwire_server.graphs.project import ProjectError, load_project

TYPES = "checkpointer.serde.allowed_msgpack_modules"


def project(folder: Path, checkpointer: object) -> Path:
    (folder / "graph.py").write_text("")
    config = {"graphs": {"a": "./graph.py:graph"}, "checkpointer": checkpointer}
    (folder / "langgraph.json").write_text(json.dumps(config))
    return folder


def test_types_are_pairs_of_module_and_name(tmp_path: Path) -> None:
    serde = {"allowed_msgpack_modules": [["shop.models", "Order"], ["shop.models", "Item"]]}
    loaded = load_project(project(tmp_path, {"serde": serde}))
    assert loaded.checkpoint_types == {("shop.models", "Order"), ("shop.models", "Item")}
    assert loaded.unhonoured == ()


def test_what_means_nothing_here_is_said(tmp_path: Path) -> None:
    serde = {"allowed_json_modules": True, "pickle_fallback": False}
    loaded = load_project(project(tmp_path, {"ttl": {}, "serde": serde}))
    assert loaded.checkpoint_types == frozenset()
    assert loaded.unhonoured == (
        "checkpointer.serde.allowed_json_modules",
        "checkpointer.serde.pickle_fallback",
        "checkpointer.ttl",
    )


@pytest.mark.parametrize(
    ("checkpointer", "key"),
    [
        ([], "checkpointer"),
        ({"serde": []}, "checkpointer.serde"),
        ({"serde": {"pickle_fallback": True}}, "checkpointer.serde.pickle_fallback"),
        ({"serde": {"allowed_msgpack_modules": True}}, TYPES),
        ({"serde": {"allowed_msgpack_modules": [["shop", "Order"], "shop"]}}, f"{TYPES}[1]"),
        ({"serde": {"allowed_msgpack_modules": [["shop"]]}}, f"{TYPES}[0]"),
        ({"serde": {"allowed_msgpack_modules": [["shop", ""]]}}, f"{TYPES}[0]"),
    ],
)
def test_a_mistake_is_refused_by_its_key(tmp_path: Path, checkpointer: object, key: str) -> None:
    with pytest.raises(ProjectError) as refused:
        load_project(project(tmp_path, checkpointer))
    assert refused.value.key == key
