"""Importing what a langgraph.json names: names of modules, import paths, and failures."""

from __future__ import annotations

import importlib
import os
import pickle
import subprocess
import sys
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from graphwire_server.graphs.load_errors import GraphLoadError
from graphwire_server.graphs.loader import load_object, prepare
from graphwire_server.graphs.project import load_project

WriteProject = Callable[..., Path]


def load(root: Path, name: str = "agent") -> Any:
    project = load_project(root)
    prepare(project)
    return load_object(project, project.graphs[name])


def refusal(root: Path, name: str = "agent") -> GraphLoadError:
    with pytest.raises(GraphLoadError) as caught:
        load(root, name)
    assert caught.value.graph == name
    return caught.value


def one(target: str, **more: object) -> Mapping[str, object]:
    return {"graphs": {"agent": target}, **more}


def alias(name: str, relative: str) -> str:
    return f"{name}_{zlib.crc32(relative.encode()):08x}"


# --- the environment and the import path


def test_env_is_set_but_never_overrides(
    write_project: WriteProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GW_SET", "outside")
    monkeypatch.delenv("GW_NEW", raising=False)
    root = write_project({"a.py": ""}, one("./a.py:x", env={"GW_SET": "inside", "GW_NEW": "new"}))
    prepare(load_project(root))
    assert os.environ["GW_SET"] == "outside"
    assert os.environ["GW_NEW"] == "new"


def test_import_paths_go_behind_what_is_importable_already(write_project: WriteProject) -> None:
    root = write_project(
        {"a.py": "", "libs/one/pyproject.toml": "", "libs/one/src/pkg/__init__.py": ""},
        one("./a.py:x", dependencies=[".", "./libs/one"]),
    )
    before = list(sys.path)
    prepare(load_project(root))
    prepare(load_project(root))
    added = [root, root / "libs" / "one", root / "libs" / "one" / "src"]
    assert sys.path == [*before, *map(str, added)]


def test_a_module_of_the_project_does_not_replace_the_standard_library(
    write_project: WriteProject,
) -> None:
    root = write_project(
        {"colorsys.py": "raise RuntimeError", "a.py": "from colorsys import rgb_to_hls as graph"},
        one("./a.py:graph"),
    )
    assert load(root).__module__ == "colorsys"


def test_distributions_that_are_not_installed_are_warned_of(write_project: WriteProject) -> None:
    dependencies = [
        ".",
        "pytest",
        "PyTest_AsyncIO>=1",
        "langgraph[extra]~=1.2",
        "no-such-dist",
        "no-such-other[fast]>=2,<3",
        "no-such-marker; python_version < '3'",
        "git+https://example.org/thing.git",
        "vendored-thing",
    ]
    root = write_project(
        {"a.py": "", "vendored_thing.py": ""}, one("a:x", dependencies=dependencies)
    )
    assert prepare(load_project(root)) == (
        'dependencies: "no-such-dist" is not installed in the environment of this server',
        'dependencies: "no-such-other[fast]>=2,<3" is not installed in the environment '
        "of this server",
    )


def test_an_env_file_that_is_not_there_is_warned_of(write_project: WriteProject) -> None:
    root = write_project({"a.py": ""}, one("a:x", env=".env"))
    assert prepare(load_project(root)) == ("env: there is no file .env, so it sets nothing",)


# --- files and modules


def test_a_file_in_no_package_is_named_by_its_path_and_sees_its_neighbours(
    write_project: WriteProject,
) -> None:
    root = write_project(
        {
            "src/agent/graph.py": """
                from neighbour import WORD
                class State: ...
                graph = (__name__, WORD)
            """,
            "src/agent/neighbour.py": "WORD = 'hello'",
        },
        one("./src/agent/graph.py:graph"),
    )
    assert load(root) == ("src.agent.graph", "hello")
    module = sys.modules["src.agent.graph"]
    assert importlib.import_module("src.agent.graph") is module
    assert pickle.loads(pickle.dumps(module.State)) is module.State


def test_a_file_in_a_package_is_imported_as_its_part(write_project: WriteProject) -> None:
    root = write_project(
        {
            "src/team/__init__.py": "",
            "src/team/flows/__init__.py": "",
            "src/team/flows/main.py": """
                from . import sibling
                from ..shared import WORD
                from team.flows import sibling as absolute
                graph = (__name__, WORD, sibling is absolute)
            """,
            "src/team/flows/sibling.py": "",
            "src/team/shared.py": "WORD = 'hello'",
        },
        one("./src/team/flows/main.py:graph"),
    )
    assert load(root) == ("team.flows.main", "hello", True)


def test_the_init_file_of_a_package_can_hold_the_graph(write_project: WriteProject) -> None:
    root = write_project(
        {"team/__init__.py": "from .flow import graph", "team/flow.py": "graph = __name__"},
        one("./team/__init__.py:graph"),
    )
    assert load(root) == "team.flow"


def test_a_module_is_found_in_the_src_folder_of_a_dependency(write_project: WriteProject) -> None:
    root = write_project(
        {
            "pyproject.toml": "",
            "src/team/__init__.py": "",
            "src/team/flow.py": "from team import helper; graph = helper.WORD",
            "src/team/helper.py": "WORD = 'hello'",
        },
        one("team.flow:graph", dependencies=["."]),
    )
    assert load(root) == "hello"


def test_a_file_is_executed_once_for_all_its_graphs(write_project: WriteProject) -> None:
    root = write_project(
        {
            "flows.py": """
                import os
                os.environ["GW_COUNT"] = os.environ.get("GW_COUNT", "") + "x"
                one, two = object(), object()
            """
        },
        {"graphs": {"one": "./flows.py:one", "two": "flows:two", "again": "./flows.py:one"}},
    )
    first, second, again = (load(root, name) for name in ("one", "two", "again"))
    assert first is again is not second
    assert os.environ["GW_COUNT"] == "x"


def test_files_of_the_same_name_are_different_modules(write_project: WriteProject) -> None:
    root = write_project(
        {"a/graph.py": "graph = __name__", "b/graph.py": "graph = __name__"},
        {"graphs": {"a": "./a/graph.py:graph", "b": "./b/graph.py:graph"}},
    )
    assert (load(root, "a"), load(root, "b")) == ("a.graph", "b.graph")


def test_a_file_named_like_an_installed_module_is_itself(write_project: WriteProject) -> None:
    root = write_project(
        {"pytest.py": "graph = __name__", "json/flow.py": "graph = __name__"},
        {"graphs": {"one": "./pytest.py:graph", "two": "./json/flow.py:graph"}},
    )
    assert load(root, "one") == alias("pytest", "pytest.py")
    assert load(root, "two") == alias("flow", "json/flow.py")
    assert sys.modules["pytest"] is pytest


def test_a_package_named_like_an_installed_one_is_itself(write_project: WriteProject) -> None:
    root = write_project(
        {
            "pytest/__init__.py": "",
            "pytest/flow.py": "from .words import WORD; graph = (__name__, WORD)",
            "pytest/words.py": "WORD = 'hello'",
        },
        one("./pytest/flow.py:graph"),
    )
    assert load(root) == (alias("pytest", "pytest/__init__.py") + ".flow", "hello")
    assert importlib.import_module("pytest") is pytest


def test_packages_of_the_same_name_do_not_mix(write_project: WriteProject) -> None:
    files = {
        f"{service}/agent/{file}": text
        for service in ("billing", "support")
        for file, text in {
            "__init__.py": "",
            "graph.py": "from .words import WORD; graph = (__name__, WORD)",
            "words.py": f"WORD = '{service}'",
        }.items()
    }
    root = write_project(
        files,
        {
            "graphs": {
                "billing": "./billing/agent/graph.py:graph",
                "support": "./support/agent/graph.py:graph",
            }
        },
    )
    assert load(root, "billing") == ("agent.graph", "billing")
    assert load(root, "support") == (
        alias("agent", "support/agent/__init__.py") + ".graph",
        "support",
    )


@pytest.mark.parametrize(
    ("files", "clash"),
    [
        (
            {"a/flow.py": "import state", "a/state.py": "", "b/flow.py": "x = 1\nimport state",
             "b/state.py": ""},
            "`state` is a/state.py in this process, not b/state.py; rename one of them, or make "
            "the folders packages (an __init__.py in each) and import relatively",
        ),
        (
            {"a/p/__init__.py": "", "a/p/flow.py": "", "b/p/__init__.py": "",
             "b/p/flow.py": "x = 1\nfrom p.tools import t", "b/p/tools.py": ""},
            "`p` is a/p/__init__.py in this process, not b/p/__init__.py; rename one of them, or "
            "make the folders packages (an __init__.py in each) and import relatively",
        ),
    ],
)  # fmt: skip
def test_an_import_that_would_get_another_graphs_module_is_refused(
    write_project: WriteProject, files: dict[str, str], clash: str
) -> None:
    flows = [file for file in files if file.endswith("flow.py")]
    files |= {file: files[file] + "\ngraph = 1" for file in flows}
    root = write_project(
        files, {"graphs": {name: f"./{flow}:graph" for name, flow in zip("ab", flows, strict=True)}}
    )
    load(root, "a")
    error = refusal(root, "b")
    assert error.reason == clash
    assert (error.file, error.line) == (flows[1], 2)


@pytest.mark.parametrize("file", ["my-agent/graph.py", "v1.2/graph.py", "../shared/graph.py"])
def test_paths_that_are_no_module_names_work_and_keep_their_name(
    write_project: WriteProject, file: str
) -> None:
    root = write_project(
        {file: "from words import WORD; graph = (__name__, WORD)",
         str(Path(file).with_name("words.py")): "WORD = 'hello'"},
        one(f"./{file}:graph"),
    )  # fmt: skip
    assert load(root) == (alias("graph", file), "hello")


def test_names_of_modules_are_the_same_in_the_next_process(write_project: WriteProject) -> None:
    root = write_project(
        {"a/graph.py": "graph = __name__", "x-y/graph.py": "graph = __name__"},
        {"graphs": {"a": "./a/graph.py:graph", "xy": "./x-y/graph.py:graph"}},
    )
    script = (
        "import pathlib, sys\n"
        "from graphwire_server.graphs import loader, project\n"
        "p = project.load_project(pathlib.Path(sys.argv[1]))\n"
        "loader.prepare(p)\n"
        "print([loader.load_object(p, p.graphs[n]) for n in sys.argv[2:]])"
    )
    for order in (["a", "xy"], ["xy", "a"]):
        done = subprocess.run(
            [sys.executable, "-c", script, str(root), *order],
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        assert done.stdout == f"{[load(root, name) for name in order]}\n"


def test_names_follow_symbolic_links_by_their_own_name(write_project: WriteProject) -> None:
    mounted = write_project(
        {
            "flows/graph.py": "from words import WORD; graph = (__name__, WORD)",
            "flows/words.py": "WORD = 'hello'",
        },
        one("./flows/graph.py:graph"),
        name="..2026_11_01",
    )
    root = write_project(name="app")
    for name in ("flows", "langgraph.json"):
        (root / name).symlink_to(mounted / name)
    assert load_project(root).root == root
    assert load(root) == ("flows.graph", "hello")


def test_two_projects_in_one_process_do_not_mix(write_project: WriteProject) -> None:
    roots = [
        write_project(
            {
                "graph.py": f"graph = {number}",
                "pkg/__init__.py": "",
                "pkg/flow.py": "from .n import graph",
                "pkg/n.py": f"graph = {number}",
            },
            {"graphs": {"agent": "./graph.py:graph", "flow": "./pkg/flow.py:graph"}},
            name=f"project{number}",
        )
        for number in range(3)
    ]
    assert [load(root) for root in roots] == [0, 1, 2]
    assert [load(root, "flow") for root in roots] == [0, 1, 2]


# --- failures


def test_a_failure_names_the_innermost_line_of_the_project(write_project: WriteProject) -> None:
    root = write_project(
        {
            "flow.py": "import helper\ngraph = helper.make()\n",
            "helper.py": "import json\n\ndef make():\n    return json.loads('{')\n",
        },
        one("./flow.py:graph"),
    )
    error = refusal(root)
    assert (error.file, error.line, error.source) == ("helper.py", 4, "return json.loads('{')")
    assert error.reason.startswith("JSONDecodeError: Expecting property name")
    assert str(error) == (
        f"graph \"agent\" can't be loaded: helper.py:4: {error.reason}\n    return json.loads('{{')"
    )
    assert type(error.__cause__).__name__ == "JSONDecodeError"


def test_a_syntax_error_names_its_line(write_project: WriteProject) -> None:
    root = write_project({"flow.py": "x = 1\ngraph = (\n"}, one("./flow.py:graph"))
    error = refusal(root)
    assert (error.file, error.line, error.source) == ("flow.py", 2, "graph = (")
    assert error.reason == "SyntaxError: '(' was never closed"


def test_a_syntax_error_in_another_file_of_the_project_names_that_file(
    write_project: WriteProject,
) -> None:
    root = write_project(
        {"flow.py": "import broken\ngraph = 1\n", "broken.py": "\n\ndef f(:\n"},
        one("./flow.py:graph"),
    )
    error = refusal(root)
    assert (error.file, error.line, error.source) == ("broken.py", 3, "def f(:")


def test_a_failure_in_a_file_outside_of_the_project_names_its_line(
    write_project: WriteProject,
) -> None:
    root = write_project({"../shared/flow.py": "graph = 1 / 0"}, one("./../shared/flow.py:graph"))
    error = refusal(root)
    assert (error.file, error.line) == (str(root.parent / "shared" / "flow.py"), 1)
    assert error.reason == "ZeroDivisionError: division by zero"


def test_a_module_that_is_not_installed_says_what_to_do(write_project: WriteProject) -> None:
    root = write_project(
        {"flow.py": "import os\nimport no_such_library.sub\n"}, one("./flow.py:graph")
    )
    error = refusal(root)
    assert (error.file, error.line) == ("flow.py", 2)
    assert error.reason == (
        "ModuleNotFoundError: No module named 'no_such_library'; install it in the environment "
        "of this server, or name its folder in `dependencies`"
    )


def test_a_module_missing_in_a_package_that_is_there_is_not_to_be_installed(
    write_project: WriteProject,
) -> None:
    root = write_project({"flow.py": "import json.nothing\n"}, one("./flow.py:graph"))
    assert refusal(root).reason == "ModuleNotFoundError: No module named 'json.nothing'"


def test_a_graphs_own_module_that_is_not_found_says_where_it_was_looked_for(
    write_project: WriteProject,
) -> None:
    root = write_project({}, one("no_such.module:graph"))
    error = refusal(root)
    assert (error.file, error.line) == ("no_such.module", None)
    assert error.reason == (
        "ModuleNotFoundError: No module named 'no_such'; it was looked for among the installed "
        "packages, in the project's folder and in its local dependencies; a file is named with "
        "its path"
    )


def test_a_missing_symbol_lists_what_is_close(write_project: WriteProject) -> None:
    root = write_project(
        {"flow.py": "my_agent = 1\nagents = 2\nother = 3\n"}, one("./flow.py:agent")
    )
    error = refusal(root)
    assert (error.file, error.line) == ("flow.py", None)
    assert error.reason == 'it has no "agent"; did you mean agents or my_agent?'


def test_a_missing_symbol_with_nothing_close(write_project: WriteProject) -> None:
    root = write_project({"flow.py": "zzz = 1\n"}, one("flow:agent"))
    error = refusal(root)
    assert (error.file, error.reason) == ("flow.py", 'it has no "agent"')


def test_a_module_that_exits_does_not_end_the_server(write_project: WriteProject) -> None:
    root = write_project({"flow.py": "import sys\nsys.exit(3)\n"}, one("./flow.py:graph"))
    error = refusal(root)
    assert (error.file, error.line, error.reason) == ("flow.py", 2, "SystemExit: 3")


def test_a_file_that_failed_is_executed_again_when_it_is_loaded_again(
    write_project: WriteProject,
) -> None:
    root = write_project({"x-y/flow.py": "raise ValueError('first')\n"}, one("./x-y/flow.py:graph"))
    assert refusal(root).reason == "ValueError: first"
    write_project({"x-y/flow.py": "graph = 'second, and longer'\n"})
    assert load(root) == "second, and longer"
