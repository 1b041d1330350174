"""Reading a langgraph.json: every form that is accepted, and what each mistake is told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from graphwire_server.graphs.project import GraphSpec, ProjectError, load_project

AGENT = {"agent": "./agent.py:graph"}


def write(root: Path, config: object) -> Path:
    (root / "agent.py").touch()
    file = root / "langgraph.json"
    file.write_text(config if isinstance(config, str) else json.dumps(config), encoding="utf-8")
    return file


def refusal(root: Path, config: object) -> ProjectError:
    write(root, config)
    with pytest.raises(ProjectError) as caught:
        load_project(root)
    return caught.value


def test_a_folder_and_its_langgraph_json_are_the_same_project(tmp_path: Path) -> None:
    file = write(tmp_path, {"graphs": AGENT})
    assert load_project(tmp_path) == load_project(file)
    assert load_project(tmp_path).root == tmp_path
    assert load_project(tmp_path).file == file


def test_a_config_of_another_name_is_read_when_it_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"graphs": AGENT}).rename(tmp_path / "langgraph.prod.json")
    assert load_project(tmp_path / "langgraph.prod.json").file.name == "langgraph.prod.json"


def test_the_three_forms_of_a_graph(tmp_path: Path) -> None:
    (tmp_path / "src" / "team").mkdir(parents=True)
    (tmp_path / "src" / "team" / "flow.py").touch()
    write(
        tmp_path,
        {
            "graphs": {
                "path": "./src/team/flow.py:graph",
                "module": "team.flow:make_graph",
                "object": {"path": "src/team/flow.py:graph", "description": "Does it."},
                "bare": "agent.py:graph",
                "windows": "src\\team\\flow.py:graph",
            }
        },
    )
    flow = tmp_path / "src" / "team" / "flow.py"
    assert dict(load_project(tmp_path).graphs) == {
        "path": GraphSpec("path", "./src/team/flow.py", "graph", "", flow),
        "module": GraphSpec("module", "team.flow", "make_graph", "", None),
        "object": GraphSpec("object", "src/team/flow.py", "graph", "Does it.", flow),
        "bare": GraphSpec("bare", "agent.py", "graph", "", tmp_path / "agent.py"),
        "windows": GraphSpec("windows", "src\\team\\flow.py", "graph", "", flow),
    }


def test_graphs_keep_the_order_of_the_file_and_cannot_be_changed(tmp_path: Path) -> None:
    write(tmp_path, {"graphs": dict.fromkeys("cab", "./agent.py:graph")})
    graphs: Any = load_project(tmp_path).graphs
    assert list(graphs) == ["c", "a", "b"]
    with pytest.raises(TypeError):
        graphs["d"] = graphs["a"]


@pytest.mark.parametrize("name", ["a", "my agent", "Agent (v2)", "é", "team/agent", "x" * 128])
def test_names_that_langgraph_allows_are_names(tmp_path: Path, name: str) -> None:
    write(tmp_path, {"graphs": {name: "./agent.py:graph"}})
    assert list(load_project(tmp_path).graphs) == [name]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("", 'graphs[""]'),
        (" agent", 'graphs[" agent"]'),
        ("a\nb", 'graphs["a\\nb"]'),
        ("x" * 129, "graphs." + "x" * 129),
    ],
)
def test_names_that_no_id_can_be_are_refused(tmp_path: Path, name: str, key: str) -> None:
    error = refusal(tmp_path, {"graphs": {name: "./agent.py:graph"}})
    assert error.key == key
    assert error.reason == (
        "the name of a graph is the id of its assistant: "
        "1 to 128 printable characters, no blanks at its ends"
    )


@pytest.mark.parametrize(
    ("graphs", "key", "reason"),
    [
        (None, "graphs", 'is missing; it maps names to graphs: {"agent": "./path/to/file.py:symbo'),
        ({}, "graphs", "is empty; name at least one graph"),
        ([], "graphs", "has to be an object, not a list"),
        ({"a": 1}, "graphs.a", 'has to be text or {"path": …, "description": …}, not a number'),
        ({"a": {}}, "graphs.a.path", 'is missing; write "./path/to/file.py:symbol" or "package'),
        ({"a": {"path": 7}}, "graphs.a.path", "has to be text, not a number"),
        (
            {"a": {"path": "./agent.py:g", "description": []}},
            "graphs.a.description",
            "has to be text, not a list",
        ),
        ({"a": "./agent.py"}, "graphs.a", '"./agent.py" does not name a graph; write "./path/to/'),
        ({"a": ":graph"}, "graphs.a", '":graph" does not name a graph; write'),
        ({"a": "./agent.py:"}, "graphs.a", '"./agent.py:" does not name a graph; write'),
        ({"a": "./agent.py:a-b"}, "graphs.a", '"a-b" is not a Python name; write'),
        ({"a": "my-agent:graph"}, "graphs.a", '"my-agent" is neither a module nor a path (one'),
        ({"a": "./none.py:graph"}, "graphs.a", 'there is no file "./none.py" in {root}'),
        ({"a": "./pkg:graph"}, "graphs.a", '"./pkg" is a folder; name the file in it: "./pkg/<fi'),
        ({"a": "./notes.txt:graph"}, "graphs.a", '"./notes.txt" is not a .py file'),
        ({"a": "./a\0b.py:graph"}, "graphs.a", 'there is no file "./a\0b.py" in {root}'),
        ({"a": "./" + "x" * 300 + ".py:graph"}, "graphs.a", 'there is no file "./xxxx'),
        ({"a": "./agent.ts:graph"}, "graphs.a", '"./agent.ts" is JavaScript or TypeScript; only'),
        ({"a": {"path": "./a.mjs:g"}}, "graphs.a.path", '"./a.mjs" is JavaScript or TypeScript; '),
        ({"a": "./agent.js"}, "graphs.a", '"./agent.js" is JavaScript or TypeScript; only graphs'),
    ],
)
def test_a_wrong_graph_is_told_where_and_what_would_be_right(
    tmp_path: Path, graphs: object, key: str, reason: str
) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "notes.txt").touch()
    error = refusal(tmp_path, {"graphs": graphs})
    assert error.key == key
    assert error.reason.startswith(reason.replace("{root}", str(tmp_path)))
    assert str(error) == f"{tmp_path / 'langgraph.json'}: {key}: {error.reason}"


def test_json_that_does_not_parse_is_told_its_line_and_column(tmp_path: Path) -> None:
    error = refusal(tmp_path, '{\n  "graphs": {,}\n}')
    assert (error.line, error.column) == (2, 14)
    assert str(error).startswith(f"{tmp_path / 'langgraph.json'}:2:14: not JSON: ")


def test_a_key_that_stands_twice_is_refused_instead_of_losing_a_graph(tmp_path: Path) -> None:
    error = refusal(tmp_path, '{"graphs": {"a": "./agent.py:x", "a": "./agent.py:y"}}')
    assert error.reason == 'the key "a" stands twice in one object; keep one'


def test_json_that_is_no_object_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, "[]").reason == "has to be an object, not a list"
    assert refusal(tmp_path, "null").reason == "has to be an object, not null"


def test_json_nested_without_end_is_refused(tmp_path: Path) -> None:
    deep = '{"graphs": ' + "[" * 100_000 + "]" * 100_000 + "}"
    assert refusal(tmp_path, deep).reason == "not a langgraph.json: it is nested too deep"


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "langgraph.json").write_bytes(b'{"graphs": "\xff"}')
    with pytest.raises(ProjectError, match="can't be read as UTF-8 text"):
        load_project(tmp_path)


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    write(tmp_path, "\ufeff" + json.dumps({"graphs": AGENT}))
    assert list(load_project(tmp_path).graphs) == ["agent"]


def test_a_folder_without_langgraph_json_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"there is no langgraph\.json here; name the folder"):
        load_project(tmp_path)


def test_a_path_that_does_not_exist_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="there is no such file or folder"):
        load_project(tmp_path / "nowhere")


def test_dependencies_are_sorted_into_folders_and_distributions(tmp_path: Path) -> None:
    (tmp_path / "libs" / "one").mkdir(parents=True)
    (tmp_path / "vendored").mkdir()
    dependencies = [".", "./libs/one", "langchain-openai>=0.3", "vendored", " numpy "]
    write(tmp_path, {"graphs": AGENT, "dependencies": dependencies})
    project = load_project(tmp_path)
    assert project.dependencies == (".", "./libs/one", "langchain-openai>=0.3", "vendored", "numpy")
    assert project.local_dependencies == (
        tmp_path,
        tmp_path / "libs" / "one",
        tmp_path / "vendored",
    )
    assert project.distributions == ("langchain-openai>=0.3", "numpy")
    assert project.source_roots == (tmp_path, *project.local_dependencies)


@pytest.mark.parametrize(
    ("dependencies", "key", "reason"),
    [
        (".", "dependencies", "has to be a list of texts, not text"),
        (
            [1],
            "dependencies[0]",
            'has to be a folder such as "." or a distribution\'s name, but is',
        ),
        ([".", " "], "dependencies[1]", 'has to be a folder such as "." or a distribution\'s name'),
        ([".", "./no"], "dependencies[1]", 'there is no folder "./no" in {root}; a local depende'),
        (["/no/such"], "dependencies[0]", 'there is no folder "/no/such" in {root}; a local dep'),
    ],
)
def test_wrong_dependencies_are_refused(
    tmp_path: Path, dependencies: object, key: str, reason: str
) -> None:
    error = refusal(tmp_path, {"graphs": AGENT, "dependencies": dependencies})
    assert error.key == key
    assert error.reason.startswith(reason.replace("{root}", str(tmp_path)))


def test_env_as_a_map(tmp_path: Path) -> None:
    write(tmp_path, {"graphs": AGENT, "env": {"MODEL": "x", "EMPTY": ""}})
    project = load_project(tmp_path)
    assert dict(project.env) == {"MODEL": "x", "EMPTY": ""}
    assert project.env_file is None


def test_env_as_a_dotenv_file_beside_the_langgraph_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST", "example.org")
    (tmp_path / "prod.env").write_text(
        "# of production\nexport KEY='a b'\nURL=https://${HOST}/x\nBARE\n", encoding="utf-8"
    )
    write(tmp_path, {"graphs": AGENT, "env": "prod.env"})
    project = load_project(tmp_path)
    assert dict(project.env) == {"KEY": "a b", "URL": "https://example.org/x"}
    assert project.env_file == tmp_path / "prod.env"


def test_an_env_file_need_not_exist(tmp_path: Path) -> None:
    write(tmp_path, {"graphs": AGENT, "env": ".env"})
    project = load_project(tmp_path)
    assert dict(project.env) == {}
    assert project.env_file == tmp_path / ".env"


@pytest.mark.parametrize(
    ("env", "key", "reason"),
    [
        ([], "env", "has to be the path of a file or an object of texts, not a list"),
        ({"A": True}, "env.A", 'has to be text: "…", not true'),
        ({"A": 1}, "env.A", 'has to be text: "…", not a number'),
        ({"A=B": "x"}, 'env["A=B"]', "can't be an environment variable: an empty name, = or NUL"),
        ({"A": "x\0"}, "env.A", "can't be an environment variable: an empty name, = or NUL"),
        (".", "env", '"." is a folder; name a file of NAME=value lines'),
        ("latin.env", "env", '"latin.env" can\'t be read: '),
    ],
)
def test_wrong_env_is_refused(tmp_path: Path, env: object, key: str, reason: str) -> None:
    (tmp_path / "latin.env").write_bytes(b"A=\xff\n")
    error = refusal(tmp_path, {"graphs": AGENT, "env": env})
    assert error.key == key
    assert error.reason.startswith(reason)


def test_keys_that_are_not_honoured_are_named_and_build_keys_apart(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "$schema": "https://langgra.ph/schema.json",
            "graphs": {"a": {"path": "./agent.py:graph", "color": "red"}},
            "dependencies": ["."],
            "env": {},
            "python_version": "3.12",
            "dockerfile_lines": [],
            "store": {"index": {"dims": 3}},
            "encryption": {"path": "./keys.py:keys"},
            "http": None,
            "made_up": 1,
        },
    )
    project = load_project(tmp_path)
    assert project.unhonoured == ("encryption", "graphs.a.color", "made_up", "store")
    assert project.build_only == ("dockerfile_lines", "python_version")


def test_null_is_the_same_as_leaving_a_key_out(tmp_path: Path) -> None:
    write(tmp_path, {"graphs": AGENT, "dependencies": None, "env": None, "store": None})
    project = load_project(tmp_path)
    assert project.dependencies == ()
    assert dict(project.env) == {}
    assert project.unhonoured == ()


def test_reading_a_project_does_not_import_langgraph() -> None:
    check = (
        "import sys, graphwire_server.graphs.project, graphwire_server.graphs.loader\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('langgraph', 'langchain_core')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"
