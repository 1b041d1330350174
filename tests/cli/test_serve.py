"""`graphwire serve`: what it says, how it fails to start, how it stops."""

from __future__ import annotations

import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.cli.command import COMMAND, Result, call, environment, refused_start
from tests.e2e.gates import Gate, until
from tests.processes import Program
from tests.servers import WEATHER, ServerProcess

GRAPH = """
import time
from pathlib import Path
from typing import TypedDict
from langgraph.graph import START, StateGraph


class State(TypedDict, total=False):
    path: str


def sleep(state):
    Path(state["path"] + ".begun").touch()
    time.sleep(1000)


builder = StateGraph(State)
builder.add_node("node", lambda state: {})
builder.add_edge(START, "node")
graph = builder.compile()

builder = StateGraph(State)
builder.add_node("sleep", sleep)
builder.add_edge(START, "sleep")
sleeps = builder.compile()
"""

#: The command, with a client that gives its server up after a moment and not after a minute.
IMPATIENT = """
from graphwire import Client
from graphwire.__main__ import main

Client.__init__.__kwdefaults__["rejoin_timeout"] = 2.0
main()
"""


def write_project(folder: Path) -> Path:
    """Makes a project with two graphs and keys that are not honoured."""
    (folder / "graph.py").write_text(GRAPH)
    described = {"path": "./graph.py:graph", "description": "Knows the answer."}
    config = {
        "dependencies": ["."],
        "graphs": {"known": described, "sleeps": "./graph.py:sleeps"},
        "store": {"index": {"dims": 3}},
        "http": {"cors": {}},
        "python_version": "3.11",
    }
    (folder / "langgraph.json").write_text(json.dumps(config))
    return folder


def test_it_says_where_it_listens_what_it_serves_and_what_to_try(
    weather_server: ServerProcess,
) -> None:
    address = weather_server.address
    until(lambda: "/CreateThread\n\n" in weather_server.log)
    # On a busy machine it may tell of that in between.
    lines = weather_server.log.splitlines(keepends=True)
    said = "".join(line for line in lines if "event_loop_blocked" not in line)
    assert said.startswith(
        f"""
  graphwire {version("graphwire")}  langgraph {version("langgraph")}

  agent  Answers questions about the weather, looking it up with a tool.

  project  {WEATHER}
  data     {weather_server.database}

  try      graphwire run agent "Hello!" --server {address}
           grpcurl -plaintext {address} list
           grpcurl -plaintext -d '{{}}' {address} graphwire.v1.Threads/CreateThread

"""
    )


def test_where_callers_have_tokens_what_to_try_has_one(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    made = call("new-token", "me", "--into", str(tokens))
    env = environment(GRAPHWIRE_AUTH_TOKENS=str(tokens))
    server = ServerProcess(tmp_path / "data.db", WEATHER, env=env).start()
    try:
        address = server.address
        until(lambda: "CreateThread" in server.log)
        shown = server.log[server.log.index("  callers") :].rstrip().splitlines()
        header = '-H "authorization: Bearer $GRAPHWIRE_TOKEN"'
        assert shown == [
            "  callers  need a token  (GRAPHWIRE_TOKEN for the commands below)",
            "",
            f'  try      graphwire run agent "Hello!" --server {address}',
            f"           grpcurl -plaintext {header} {address} list",
            f"           grpcurl -plaintext {header} -d '{{}}' {address} "
            "graphwire.v1.Threads/CreateThread",
        ]
        words = shlex.split(shown[2])[2:]
        assert call(*words, env={"GRAPHWIRE_TOKEN": made.out.strip()}).code == 0
        assert call(*words).code != 0
    finally:
        server.stop()


def test_it_names_the_keys_that_it_does_not_honour(server: ServerProcess) -> None:
    until(lambda: "/CreateThread\n\n" in server.log)
    ignored = [line for line in server.log.splitlines() if line.startswith("  ignored ")]
    assert ignored == ["  ignored  http  (in langgraph.json: not supported by this version)"]


@dataclass(frozen=True)
class Stopped:
    """A server with JSON logs that was stopped while a node slept in a thread.

    Attributes:
        project: Its project.
        address: Where it listened.
        code: Its exit code.
        seconds: How long it took to stop.
        rest: What it wrote to stdout after the line that says where it listens.
        log: The lines of its log.
        run: What became of the run.
    """

    project: Path
    address: str
    code: int
    seconds: float
    rest: str
    log: list[dict[str, Any]]
    run: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    """A server that was stopped."""
    folder = write_project(tmp_path_factory.mktemp("stopped"))
    gate = Gate(folder / "gate")
    server = Program(
        [*COMMAND, "serve", "--listen", "127.0.0.1:0", "--shutdown-grace-seconds", "0"],
        cwd=folder,
        env=environment(GRAPHWIRE_LOG_FORMAT="json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with server:
        assert server.stdout is not None
        assert server.stderr is not None
        address = server.stdout.readline().removeprefix("listening on ").strip()
        command = [sys.executable, "-c", IMPATIENT, "run", "sleeps", "-s", address]
        command += ["--input", gate.input.json]
        run = Program(
            command,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with run:
            gate.wait_begun()
            began = time.monotonic()
            server.send_signal(signal.SIGTERM)
            rest, log = server.communicate(timeout=60)
            seconds = time.monotonic() - began
            out, err = run.communicate(timeout=60)
    return Stopped(
        project=folder,
        address=address,
        code=server.returncode,
        seconds=seconds,
        rest=rest,
        log=[json.loads(line) for line in log.splitlines()],
        run=subprocess.CompletedProcess(command, run.returncode, out, err),
    )


def test_a_node_that_never_returns_does_not_keep_the_process(stopped: Stopped) -> None:
    assert stopped.code == 0
    assert stopped.seconds < 30
    # The run goes on when somebody serves the project again.
    assert stopped.run.returncode == 3
    assert "to watch the run again:" in stopped.run.stderr


def test_with_json_logs_every_line_is_json(stopped: Stopped) -> None:
    serving, stopping, *_ = stopped.log
    assert serving.pop("timestamp").endswith("Z")
    assert serving == {
        "level": "info",
        "logger": "graphwire.server",
        "event": "serving",
        "address": stopped.address,
        "admin_address": "",
        "tls": "off",
        "assistants": ["known", "sleeps"],
        "project": str(stopped.project / "langgraph.json"),
        "database": str(stopped.project / ".graphwire" / "graphwire.db"),
        "not_honoured": ["http", "store"],
        "only_for_images": ["python_version"],
    }
    assert stopping["event"] == "stopping"


def test_stdout_says_where_it_listens_and_nothing_else(stopped: Stopped) -> None:
    assert stopped.address.startswith("127.0.0.1:")
    assert stopped.rest == ""


def test_by_default_data_is_kept_in_the_project(stopped: Stopped) -> None:
    assert (stopped.project / ".graphwire" / "graphwire.db").is_file()


@pytest.mark.parametrize(
    "config, code, message",
    [
        (
            None,
            "",
            "{project}: there is no langgraph.json here; name the folder of a LangGraph "
            "project, or its langgraph.json",
        ),
        (
            '{"graphs": }',
            "",
            "{project}/langgraph.json:1:12: not JSON: Expecting value",
        ),
        (
            '{"graphs": {"agent": "./graph.py:graph"}}',
            "import os\n\ngraph = undefined\n",
            "graph \"agent\" can't be loaded: graph.py:3: NameError: name 'undefined' is not "
            "defined\n    graph = undefined",
        ),
    ],
    ids=["no project", "no JSON", "a graph that raises"],
)
def test_a_project_that_can_not_be_served_is_code_3_without_a_trace(
    tmp_path: Path, config: str | None, code: str, message: str
) -> None:
    if config is not None:
        (tmp_path / "langgraph.json").write_text(config)
    (tmp_path / "graph.py").write_text(code)
    done = refused_start(str(tmp_path))
    assert done == Result(3, "", f"graphwire: {message.format(project=tmp_path)}\n")


def test_secrets_in_headers_of_webhooks_need_named_domains(tmp_path: Path) -> None:
    config = {
        "graphs": {"known": "./graph.py:graph"},
        "webhooks": {"headers": {"Authorization": "Bearer ${{ env.LG_WEBHOOK_TOKEN }}"}},
        "env": {"LG_WEBHOOK_TOKEN": "the-token"},
    }
    write_project(tmp_path)
    (tmp_path / "langgraph.json").write_text(json.dumps(config))
    env = {"GRAPHWIRE_WEBHOOK_UNSIGNED": "true"}
    done = refused_start(str(tmp_path), env=env)
    assert done.err.splitlines()[-1] == (
        "graphwire: langgraph.json sends the header Authorization of its webhooks.headers, with a "
        "value from the environment, to every URL that a caller names, who could read it there: "
        "say where webhooks may go, with webhooks.url.allowed_domains in langgraph.json or with "
        "GRAPHWIRE_WEBHOOK_ALLOWED_DOMAINS"
    )
    assert (done.code, done.out) == (3, "")
    assert "the-token" not in done.err


def test_an_address_in_use_is_code_3(zoo: str) -> None:
    result = call("serve", str(WEATHER), "--listen", zoo)
    assert result.err == f"graphwire: can't listen on {zoo}: Address already in use\n"
    assert result.code == 3


def test_a_database_that_can_not_be_used_is_code_3(tmp_path: Path) -> None:
    (tmp_path / "data.db").write_text("this is no database, but text of some length\n" * 100)
    done = refused_start(str(WEATHER), "--database", str(tmp_path / "data.db"))
    message = f"the database {tmp_path / 'data.db'} can't be used: file is not a database"
    assert done == Result(3, "", f"graphwire: {message}\n")


@pytest.mark.parametrize(
    "args, env, message",
    [
        (
            ["--database", "postgresql://me:s@cret@db/agents"],
            {},
            "--database: the address of the database can't be read: it is to be "
            "postgresql://user:password@host:port/database, and in the user name and the "
            "password, @ is written %40, / %2F, : %3A, ? %3F, # %23 and % %25",
        ),
        (
            ["--database", "host=db password=secret"],
            {},
            "--database: it looks like the address of a Postgres database, but does not begin "
            "with postgresql://: write postgresql://user:password@host:port/database, not "
            "keywords such as host=…; if a file is called that, sqlite:///path",
        ),
        (
            ["--database", "mysql://me:secret@db"],
            {},
            "--database: no database's address begins with mysql://: name a file, "
            "sqlite:///path, or postgresql://user@host/database",
        ),
        (
            ["--listen", "50051"],
            {},
            "--listen: '50051' is no address: write host:port, such as 127.0.0.1:50051, "
            "or unix:/path",
        ),
        (
            ["--listen", "127.0.0.1:65536"],
            {},
            "--listen: '127.0.0.1:65536' is no address: write host:port, such as 127.0.0.1:50051, "
            "or unix:/path",
        ),
        (
            ["--log-level", "loud"],
            {},
            "--log-level: should be 'debug', 'info', 'warning' or 'error', and is 'loud'",
        ),
        (
            ["--max-concurrent-runs", "none"],
            {"GRAPHWIRE_HEARTBEAT_SECONDS": "0"},
            "--max-concurrent-runs: should be a valid integer, unable to parse string as an "
            "integer, and is 'none'; GRAPHWIRE_HEARTBEAT_SECONDS: should be greater than 0, and "
            "is '0'",
        ),
        (
            [],
            {"GRAPHWIRE_WEBHOOK_SECRETS": "hush", "GRAPHWIRE_WEBHOOK_ALLOWED_PORTS": "https"},
            "GRAPHWIRE_WEBHOOK_SECRETS: should be whsec_ and 24 to 64 bytes in base64, which "
            "secret 1 of 1 is not; GRAPHWIRE_WEBHOOK_ALLOWED_PORTS: should be ports from 1 to "
            "65535, which 'https' is not, and is 'https'",
        ),
    ],
)
def test_wrong_settings_are_named_in_one_line_and_code_2(
    args: list[str], env: dict[str, str], message: str
) -> None:
    result = call("serve", str(WEATHER), *args, env=env)
    assert result.err == f"graphwire: {message}\n"
    assert (result.code, result.out) == (2, "")


def test_settings_are_listed_with_their_values() -> None:
    result = call(
        "serve",
        "--settings",
        "--listen",
        "[::1]:7",
        env={
            "GRAPHWIRE_LOG_LEVEL": "error",
            "GRAPHWIRE_DATABASE": "postgresql://me:secret@db/agents",
            "GRAPHWIRE_WEBHOOK_SECRETS": f"whsec_{'A' * 32}",
        },
    )
    assert "AAAA" not in result.out
    rows = {line.split()[0]: line.split()[1] for line in result.out.splitlines()}
    assert rows["GRAPHWIRE_LISTEN"] == "[::1]:7"
    assert rows["GRAPHWIRE_LOG_LEVEL"] == "error"
    assert rows["GRAPHWIRE_DATABASE"] == "postgresql://me@db/agents"
    assert rows["GRAPHWIRE_MAX_CONCURRENT_RUNS"] == "64"
    assert rows["GRAPHWIRE_WEBHOOK_SECRETS"] == "(hidden)"
    assert result.code == 0


@pytest.mark.parametrize("name", ["ca.pem", "nowhere.pem"])
def test_a_file_of_certificates_that_is_none_stops_the_start(tmp_path: Path, name: str) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    file = tmp_path / name
    env = {"GRAPHWIRE_WEBHOOK_UNSIGNED": "true", "GRAPHWIRE_WEBHOOK_CA_FILE": str(file)}
    done = refused_start(str(WEATHER), "--database", str(tmp_path / "d"), env=env)
    assert f"GRAPHWIRE_WEBHOOK_CA_FILE: {file} is no file of certificates in PEM" in done.err
    assert done.code == 3


def test_what_looks_like_a_setting_and_is_none_is_named() -> None:
    misspelt = {"GRAPHWIRE_MAX_CONCURENT_RUNS": "3", "GRAPHWIRE_TARGET": "127.0.0.1:1"}
    result = call("serve", "--settings", env=misspelt)
    assert result.err == (
        "graphwire: GRAPHWIRE_MAX_CONCURENT_RUNS in the environment is no setting of the server; "
        "did you mean GRAPHWIRE_MAX_CONCURRENT_RUNS?\n"
    )
    assert result.code == 0


def test_a_server_on_postgres_never_shows_the_password(postgres_url: str) -> None:
    url = postgres_url.replace("postgres@", "postgres:top-secret@")
    server = Program(
        [*COMMAND, "serve", str(WEATHER), "--listen", "127.0.0.1:0"],
        env=environment(
            GRAPHWIRE_DATABASE=url, GRAPHWIRE_LOG_LEVEL="debug", GRAPHWIRE_LOG_FORMAT="json"
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with server:
        assert server.stdout is not None
        out = server.stdout.readline()
        # Its connections are lost, which it has something to say about.
        with psycopg.connect(postgres_url, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        result = call("threads", "list", server=out.removeprefix("listening on ").strip())
        server.send_signal(signal.SIGTERM)
        rest, log = server.communicate(timeout=60)
    assert (result.code, server.returncode) == (0, 0)
    lines = [json.loads(line) for line in log.splitlines()]
    (serving,) = [line for line in lines if line["event"] == "serving"]
    assert serving["database"] == postgres_url
    assert [line for line in lines if line["event"] == "database_connected_again"]
    assert "top-secret" not in out + rest + log


def test_reloading_follows_the_files_of_the_project_also_when_it_can_not_be_loaded(
    tmp_path: Path,
) -> None:
    project = write_project(tmp_path)
    graph = project / "graph.py"
    graph.write_text(GRAPH + "graph = 1\n")
    with Reloading(project) as server:
        server.read_until("graphwire: waiting for the project to change")
        assert 'graphwire: graph "known" can\'t be loaded: graph.py:' in server.log
        (project / "notes.txt").write_text("of no interest")
        graph.write_text(GRAPH)
        server.read_until("graphwire: graph.py changed: starting again")
        server.read_until("/CreateThread")
        port = int(server.log.rpartition(" 127.0.0.1:")[2].split()[0])
        graph.write_text(GRAPH + "# once more\n")
        server.read_until("graphwire: graph.py changed: starting again")
        assert server.stop(signal.SIGINT) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port)).close()


class Reloading:
    """A server that is started again when its project changes.

    Attributes:
        log: What it has written so far.
    """

    def __init__(self, project: Path) -> None:
        """Starts it."""
        self.log = ""
        self._process = subprocess.Popen(
            [*COMMAND, "serve", str(project), "--reload", "--listen", "127.0.0.1:0"],
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Reloading:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.stop(signal.SIGTERM)
        assert self._process.stderr is not None
        self._process.stderr.close()

    def read_until(self, text: str) -> None:
        """Reads on until it has written a line with a text."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.log += line
            if text in line:
                return
        raise AssertionError(f"it ended without {text!r}:\n{self.log}")

    def stop(self, number: signal.Signals) -> int:
        """Stops it, and returns its exit code."""
        self._process.send_signal(number)
        return self._process.wait(30)


def test_the_run_that_is_suggested_fits_what_the_graph_takes(server: ServerProcess) -> None:
    until(lambda: "CreateThread" in server.log)
    [suggested] = re.findall(r"^  try      graphwire (run .*)$", server.log, re.MULTILINE)
    words = shlex.split(suggested)
    assert "--input" in words
    result = call(*words)
    assert (result.code, result.err) == (0, "")
