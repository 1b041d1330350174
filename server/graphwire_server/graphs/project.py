"""Reads a langgraph.json. Imports nothing of langgraph, so that a mistake shows at once."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dotenv import dotenv_values

from graphwire_server.graphs.auth_entry import AuthEntry, read_auth
from graphwire_server.graphs.checkpoint_types import TypeName, read_checkpoint_types
from graphwire_server.graphs.webhook_config import WebhookConfig, read_webhooks

#: The name of the file that makes a folder a LangGraph project.
CONFIG_NAME = "langgraph.json"

#: Keys that say how an image is built; they mean nothing to a server that runs.
BUILD_ONLY_KEYS = frozenset(
    {
        "_INTERNAL_docker_tag",
        "api_version",
        "base_image",
        "dockerfile_lines",
        "image_distro",
        "keep_pkg_tools",
        "node_version",
        "pip_config_file",
        "pip_installer",
        "python_version",
        "source",
    }
)

_HONOURED_KEYS = frozenset({"auth", "checkpointer", "dependencies", "env", "graphs", "webhooks"})
_EDITOR_KEYS = frozenset({"$schema"})
_GRAPH_KEYS = frozenset({"path", "description"})
_JAVASCRIPT = frozenset({".ts", ".mts", ".cts", ".tsx", ".js", ".mjs", ".cjs", ".jsx"})
_MAX_NAME = 128
_PATH_FORM = "./path/to/file.py:symbol"
_FORMS = f'write "{_PATH_FORM}" or "package.module:symbol"'


class ProjectError(Exception):
    """A langgraph.json can't be used.

    Attributes:
        file: The file, or the path that was given for it.
        key: Where in the file, such as `graphs.agent`; empty if it is no key.
        line: The line of a JSON error, from 1; None for other errors.
        column: The column of a JSON error, from 1; None for other errors.
        reason: What is wrong, and what would be right.
    """

    def __init__(
        self,
        file: Path,
        reason: str,
        *,
        key: str = "",
        line: int | None = None,
        column: int | None = None,
    ) -> None:
        """Makes the error; its text is `file:line:column: key: reason`."""
        self.file = file
        self.key = key
        self.line = line
        self.column = column
        self.reason = reason
        position = "" if line is None else f":{line}:{column}"
        super().__init__(f"{file}{position}: {f'{key}: ' if key else ''}{reason}")


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """One entry of `graphs`.

    Attributes:
        name: Its name, which is the id of its assistant.
        target: The file or module, as written: `./src/agent/graph.py` or `agent.graph`.
        symbol: The name in that module.
        description: What langgraph.json says about it; may be empty.
        file: The absolute path of the file; None if `target` is a module.
        label: What it is called in errors, if it is no graph.
    """

    name: str
    target: str
    symbol: str
    description: str = ""
    file: Path | None = None
    label: str = ""


@dataclass(frozen=True, slots=True)
class Project:
    """A LangGraph project.

    Attributes:
        root: The absolute path of the folder with the langgraph.json.
        file: The absolute path of the langgraph.json.
        graphs: The graphs by name, in the order of the file. Never empty.
        dependencies: `dependencies` as written.
        local_dependencies: Those of them that are folders, as absolute paths.
        distributions: Those of them that are to be installed, as written.
        env: The environment variables that `env` brings.
        env_file: The file that `env` names, if it names one; it need not exist.
        unhonoured: The keys that mean something to LangGraph's server, or to somebody,
            and nothing to this one; sorted. Keys of a graph's own entry come as paths.
        build_only: The keys that matter only when an image is built; sorted.
        checkpoint_types: The (module, name) of types that checkpoints may be read into, besides
            those that the graphs' schemas name.
        auth: Who finds out who calls; None if the project leaves that to the server.
        webhooks: What is sent with webhooks, and where they may go.
    """

    root: Path
    file: Path
    graphs: Mapping[str, GraphSpec]
    dependencies: tuple[str, ...] = ()
    local_dependencies: tuple[Path, ...] = ()
    distributions: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    env_file: Path | None = None
    unhonoured: tuple[str, ...] = ()
    build_only: tuple[str, ...] = ()
    checkpoint_types: frozenset[TypeName] = frozenset()
    auth: AuthEntry | None = None
    webhooks: WebhookConfig = field(default_factory=WebhookConfig)

    @property
    def source_roots(self) -> tuple[Path, ...]:
        """Returns the folders whose code is the project's own."""
        return (self.root, *self.local_dependencies)


def load_project(path: Path) -> Project:
    """Reads a project from its folder or from its langgraph.json (whatever its name).

    Raises:
        ProjectError: It is not there, not JSON, or says something that can't be.
    """
    file = _find(path)
    return _Reader(file).project(_parse(file))


def _find(path: Path) -> Path:
    if path.is_dir():
        file = path / CONFIG_NAME
        if not file.is_file():
            raise ProjectError(
                path,
                f"there is no {CONFIG_NAME} here; name the folder of a LangGraph project, "
                f"or its {CONFIG_NAME}",
            )
        return _absolute(file)
    if not path.is_file():
        raise ProjectError(
            path,
            "there is no such file or folder; name the folder of a LangGraph project, "
            f"or its {CONFIG_NAME}",
        )
    return _absolute(path)


def _absolute(path: Path) -> Path:
    """Returns an absolute path without `..`; symbolic links stay what they are called.

    Where files are mounted as links, what they lead to has a new name at each deployment.
    """
    return Path(os.path.abspath(path))


def _parse(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(file, f"can't be read as UTF-8 text: {error}") from error

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise ProjectError(file, f'the key "{key}" stands twice in one object; keep one')
            found[key] = value
        return found

    try:
        config = json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise ProjectError(
            file, f"not JSON: {error.msg}", line=error.lineno, column=error.colno
        ) from error
    except RecursionError:
        raise ProjectError(file, "not a langgraph.json: it is nested too deep") from None
    if not isinstance(config, dict):
        raise ProjectError(file, f"has to be an object, not {_kind(config)}")
    return config


class _Reader:
    """Turns the keys of one file into a Project."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._root = file.parent

    def project(self, config: dict[str, Any]) -> Project:
        # A key that is null is a key left out, as for LangGraph's own tools.
        config = {key: value for key, value in config.items() if value is not None}
        graphs, extra = self._graphs(config.get("graphs"))
        dependencies = self._dependencies(config.get("dependencies", []))
        local = self._local_dependencies(dependencies)
        env, env_file = self._env(config.get("env", {}))
        types, more = read_checkpoint_types(config.get("checkpointer", {}), self._error)
        auth, of_auth = None, list[str]()
        if "auth" in config:
            auth, of_auth = read_auth(config["auth"], self._error, self._auth)
        webhooks, others = read_webhooks(
            config.get("webhooks", {}), {**env, **os.environ}, self._error
        )
        unknown = config.keys() - _HONOURED_KEYS - _EDITOR_KEYS - BUILD_ONLY_KEYS
        return Project(
            root=self._root,
            file=self._file,
            graphs=MappingProxyType(graphs),
            dependencies=dependencies,
            local_dependencies=tuple(dict.fromkeys(local.values())),
            distributions=tuple(text for text in dependencies if text not in local),
            env=MappingProxyType(env),
            env_file=env_file,
            unhonoured=tuple(sorted([*unknown, *extra, *more, *of_auth, *others])),
            checkpoint_types=types,
            auth=auth,
            webhooks=webhooks,
            build_only=tuple(sorted(config.keys() & BUILD_ONLY_KEYS)),
        )

    def _error(self, key: str, reason: str) -> ProjectError:
        return ProjectError(self._file, reason, key=key)

    def _graphs(self, value: object) -> tuple[dict[str, GraphSpec], list[str]]:
        if value is None:
            raise self._error(
                "graphs", f'is missing; it maps names to graphs: {{"agent": "{_PATH_FORM}"}}'
            )
        if not isinstance(value, dict):
            raise self._error("graphs", f"has to be an object, not {_kind(value)}")
        if not value:
            raise self._error("graphs", "is empty; name at least one graph")
        specs: dict[str, GraphSpec] = {}
        extra: list[str] = []
        for name, entry in value.items():
            key = _path("graphs", name)
            self._check_name(key, name)
            if isinstance(entry, str):
                specs[name] = self._graph(key, name, entry, "")
            elif isinstance(entry, dict):
                specs[name] = self._graph_object(key, name, entry)
                extra.extend(_path(key, other) for other in entry.keys() - _GRAPH_KEYS)
            else:
                raise self._error(
                    key, f'has to be text or {{"path": …, "description": …}}, not {_kind(entry)}'
                )
        return specs, extra

    def _check_name(self, key: str, name: str) -> None:
        if not 1 <= len(name) <= _MAX_NAME or not name.isprintable() or name != name.strip():
            raise self._error(
                key,
                "the name of a graph is the id of its assistant: "
                f"1 to {_MAX_NAME} printable characters, no blanks at its ends",
            )

    def _graph_object(self, key: str, name: str, entry: dict[str, Any]) -> GraphSpec:
        target, description = entry.get("path"), entry.get("description")
        if target is None:
            raise self._error(_path(key, "path"), f"is missing; {_FORMS}")
        if not isinstance(target, str):
            raise self._error(_path(key, "path"), f"has to be text, not {_kind(target)}")
        if not isinstance(description, str | None):
            raise self._error(
                _path(key, "description"), f"has to be text, not {_kind(description)}"
            )
        return self._graph(_path(key, "path"), name, target, description or "")

    def _graph(self, key: str, name: str, text: str, description: str) -> GraphSpec:
        return self._place(
            key, text, GraphSpec(name, "", "", description), "a graph", "graphs in Python"
        )

    def _auth(self, key: str, text: str) -> GraphSpec:
        spec = GraphSpec("auth", "", "", label="the project's auth")
        return self._place(key, text, spec, "an auth object", "an auth in Python")

    def _place(self, key: str, text: str, spec: GraphSpec, what: str, only: str) -> GraphSpec:
        """Returns the entry with the place that a text names: a file or module, and a symbol."""
        # From the right: a Windows path has a colon of its own.
        target, colon, symbol = text.rpartition(":")
        bare = target if colon else symbol
        if Path(bare).suffix.lower() in _JAVASCRIPT:
            raise self._error(
                key, f'"{bare}" is JavaScript or TypeScript; only {only} can be served'
            )
        if not target or not symbol:
            raise self._error(key, f'"{text}" does not name {what}; {_FORMS}')
        if not symbol.isidentifier():
            raise self._error(key, f'"{symbol}" is not a Python name; {_FORMS}')
        if "/" in target or "\\" in target or target.endswith(".py"):
            file = self._graph_file(key, target, symbol)
            return replace(spec, target=target, symbol=symbol, file=file)
        if not all(part.isidentifier() for part in target.split(".")):
            raise self._error(
                key, f'"{target}" is neither a module nor a path (one has a "/"); {_FORMS}'
            )
        return replace(spec, target=target, symbol=symbol)

    def _graph_file(self, key: str, target: str, symbol: str) -> Path:
        # os.path's tests, unlike Path's, also answer for what can be no path at all.
        file = _absolute(self._root / target.replace("\\", "/"))
        if os.path.isdir(file):
            raise self._error(
                key, f'"{target}" is a folder; name the file in it: "{target}/<file>.py:{symbol}"'
            )
        if not os.path.isfile(file):
            raise self._error(key, f'there is no file "{target}" in {self._root}')
        if file.suffix != ".py":
            raise self._error(key, f'"{target}" is not a .py file')
        return file

    def _dependencies(self, value: object) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise self._error("dependencies", f"has to be a list of texts, not {_kind(value)}")
        for index, item in enumerate(value):
            if not isinstance(item, str) or not item.strip():
                found = "empty" if isinstance(item, str) else _kind(item)
                raise self._error(
                    f"dependencies[{index}]",
                    f'has to be a folder such as "." or a distribution\'s name, but is {found}',
                )
        return tuple(item.strip() for item in value)

    def _local_dependencies(self, dependencies: tuple[str, ...]) -> dict[str, Path]:
        """Returns the folders among the dependencies; the others are to be installed."""
        local: dict[str, Path] = {}
        for index, text in enumerate(dependencies):
            folder = _absolute(self._root / text)
            if os.path.isdir(folder):
                local[text] = folder
            elif text.startswith(".") or Path(text).is_absolute():
                raise self._error(
                    f"dependencies[{index}]",
                    f'there is no folder "{text}" in {self._root}; '
                    "a local dependency is a folder with Python code",
                )
        return local

    def _env(self, value: object) -> tuple[dict[str, str], Path | None]:
        if isinstance(value, dict):
            for name, text in value.items():
                self._check_variable(_path("env", name), name, text)
            return value, None
        if not isinstance(value, str):
            raise self._error(
                "env", f"has to be the path of a file or an object of texts, not {_kind(value)}"
            )
        if not value:
            return {}, None
        file = _absolute(self._root / value)
        if os.path.isdir(file):
            raise self._error("env", f'"{value}" is a folder; name a file of NAME=value lines')
        try:
            found = dotenv_values(file) if os.path.exists(file) else {}
        except (OSError, UnicodeDecodeError) as error:
            raise self._error("env", f'"{value}" can\'t be read: {error}') from error
        env = {name: text for name, text in found.items() if text is not None}
        for name, text in env.items():
            self._check_variable(_path("env", name), name, text)
        return env, file

    def _check_variable(self, key: str, name: str, value: object) -> None:
        if not isinstance(value, str):
            raise self._error(key, f'has to be text: "…", not {_kind(value)}')
        if not name or "=" in name or "\0" in name or "\0" in value:
            raise self._error(key, "can't be an environment variable: an empty name, = or NUL")


def _path(parent: str, key: str) -> str:
    plain = re.fullmatch(r"[\w-]+", key)
    return f"{parent}.{key}" if plain else f"{parent}[{json.dumps(key, ensure_ascii=False)}]"


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "an object"
