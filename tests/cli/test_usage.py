"""Help, and what is said to wrong usage."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
from graphwire import _settings
from graphwire_server.cli.commands.serve import serve
from graphwire_server.cli.connection import DEFAULT_TARGET
from graphwire_server.settings import Settings

from tests.cli.command import call

#: What `serve` can be told that is no setting.
OWN_OPTIONS = {"context", "reload", "settings", "worker_link"}
COMMANDS = {
    "serve": "Serve a LangGraph project over gRPC.",
    "run": "Run an assistant, and watch it: tokens, tools, pauses.",
    "attach": "Join a thread: watch it, pause it, go on with it, look back.",
    "inbox": "List the pauses of all threads, and answer them.",
    "inbox list": "List open pauses, those that have waited longest first.",
    "inbox show": "Show a pause, and how it is answered.",
    "inbox answer": "Answer a question.",
    "inbox approve": "Let what waits at a breakpoint run.",
    "inbox reject": "Reject the tool calls that wait at a breakpoint.",
    "graph": "Draw an assistant's graph.",
    "version": "Show the versions of this client and of its server.",
    "threads": "List, show and delete threads.",
    "threads list": "List threads, newest first.",
    "threads show": "Show a thread, and what it is paused at.",
    "threads history": "List a thread's checkpoints, newest first.",
    "threads state": "Show a thread's state.",
    "threads delete": "Delete threads with their runs and checkpoints.",
    "db": "Look after the database of a server.",
    "db status": "Show which version a database's schema has.",
    "db upgrade": "Bring a database's schema to this program's version.",
    "db prune": "Remove old threads, events and checkpoints.",
    "new-token": "Make a service token for a caller.",
    "runs": "List, show, watch and cancel runs.",
    "runs list": "List a thread's runs, newest first.",
    "runs show": "Show a run.",
    "runs cancel": "Cancel a run, and wait until it has ended.",
    "runs join": "Watch a run, from its first event to its end; also one that is over.",
}

SERVE_HELP = " ".join(call("serve", "--help", env={"COLUMNS": "250"}).out.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_a_line_about_it(command: str) -> None:
    result = call(*command.split(), "--help", env={"COLUMNS": "100"})
    assert (result.code, result.err) == (0, "")
    assert f"Usage: graphwire {command} " in result.out
    assert COMMANDS[command] in result.out


def test_the_help_lists_every_command() -> None:
    result = call("-h", env={"COLUMNS": "100"})
    for command, about in COMMANDS.items():
        if " " not in command:
            assert re.search(rf"{command} +{re.escape(about)}", result.out)


def test_help_loads_neither_engine_nor_client_nor_settings() -> None:
    code = """
import sys
from graphwire_server.cli.app import _app
sys.argv = ["graphwire", "--help"]
try:
    _app()(prog_name="graphwire")
except SystemExit:
    heavy = {"grpc", "langgraph", "langchain_core", "pydantic_settings", "google.protobuf"}
    print(sorted(heavy & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_client_commands_do_not_load_the_engine(weather: str) -> None:
    code = f"""
import sys
from graphwire_server.cli.app import _app
sys.argv = ["graphwire", "threads", "list", "--server", "{weather}"]
try:
    _app()(prog_name="graphwire")
except SystemExit:
    heavy = {{"langgraph", "langchain_core", "pydantic_settings", "structlog"}}
    print(sorted(heavy & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "args, message",
    [
        (["run"], "there is nothing to run: give a MESSAGE, --input, or --resume with --thread"),
        (["run", "a", "b", "--input", "{}"], "MESSAGE and --input can't be given together"),
        (["run", "a", "b", "--resume"], "MESSAGE and --resume can't be given together"),
        (["run", "--resume"], "--resume needs --thread"),
        (["run", "a", "b", "--thread", ""], "--thread: the id is empty"),
        (
            ["run", "a", "b", "--thread", "t", "--stateless"],
            "--stateless and --thread can't be given together",
        ),
        (
            ["run", "a", "b", "--create"],
            "--create needs --thread: without one, a new thread is created anyway",
        ),
        (
            ["run", "--resume", "--thread", "t", "--discard"],
            "--resume goes on with what is there: leave out --discard and --create",
        ),
        (
            ["run", "--resume", "--thread", "t", "--answer", "1", "--answers", "{}"],
            "--answer and --answers can't be given together",
        ),
        (
            ["run", "a", "b", "--answer", "yes"],
            "--answer, --answers, --pause and --clear-breakpoints need --resume",
        ),
        (
            ["run", "a", "--input", '{"a" 1}'],
            "--input: not JSON: Expecting ':' delimiter (line 1, column 6)",
        ),
        (["run", "a", "--input", "[" * 100_000], "--input: nested too deep"),
        (
            ["run", "--resume", "--thread", "t", "--answer", '{"ok": tru}'],
            "--answer: not JSON: Expecting value (column 8)",
        ),
        (
            ["run", "a", "--input", "@/nowhere.json"],
            "--input: /nowhere.json: No such file or directory",
        ),
        (
            ["run", "a", "b", "--metadata", "[1]"],
            "--metadata: must be a JSON object, such as '{\"key\": 1}'",
        ),
        (
            ["run", "a", "b", "--config", '{"recursion": 1}'],
            "--config: there is no recursion; there are: recursion_limit, tags, configurable",
        ),
        (
            ["run", "a", "b", "--mode", "tokens"],
            "--mode: 'tokens' is not one of values, updates, messages, tasks, checkpoints, "
            "custom, debug",
        ),
        (
            ["threads", "list", "--status", "asleep", "--server", "127.0.0.1:1"],
            "--status: 'asleep' is not one of idle, busy, interrupted, error",
        ),
        (
            ["runs", "list", "t", "--status", "done", "--server", "127.0.0.1:1"],
            "--status: 'done' is not one of pending, running, interrupted, succeeded, failed, "
            "cancelled, timed_out",
        ),
        (
            ["run", "a", "b", "--server", "example.com:1", "--token", "secret"],
            "the token would go to example.com:1 in plain text: use --tls",
        ),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(args: list[str], message: str) -> None:
    result = call(*args)
    assert result.err == f"graphwire: {message}\n"
    assert (result.code, result.out) == (2, "")


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    file = tmp_path / "input.json"
    file.write_bytes(b"\xff")
    result = call("run", "a", "--input", f"@{file}")
    assert result.err == f"graphwire: --input: {file}: not UTF-8 text\n"


def test_unknown_commands_and_options_are_code_2() -> None:
    assert call("fly").code == 2
    assert call("run", "--fly").code == 2
    assert call("threads", "list", "--limit", "0").code == 2


def test_no_server_is_code_3() -> None:
    result = call("threads", "list", server="127.0.0.1:1")
    assert result.err == (
        "graphwire: no server at 127.0.0.1:1: start one with `graphwire serve`, "
        "or name another with --server\n"
    )
    assert (result.code, result.out) == (3, "")


def test_the_default_server_is_the_clients_and_the_servers() -> None:
    assert DEFAULT_TARGET == _settings.DEFAULT_TARGET == Settings.model_fields["listen"].default


@pytest.mark.parametrize("name", sorted(inspect.signature(serve).parameters.keys() - OWN_OPTIONS))
def test_an_option_of_serve_is_a_setting_in_its_own_words(name: str) -> None:
    field = Settings.model_fields[name]
    default = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
    option = "PROJECT" if name == "project" else f"--{name.replace('_', '-')} "
    about = f"{field.description}{f' [default: ({default})]' if default else ''}"
    assert option in SERVE_HELP
    assert about in SERVE_HELP


def test_the_documentation_names_only_options_that_exist() -> None:
    option = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
    documentation = Path(__file__).parents[2] / "docs" / "command-line.md"
    helps = [call(*command.split(), "--help").out for command in ["", *COMMANDS]]
    known = set(option.findall("".join(helps)))
    assert set(option.findall(documentation.read_text())) - known == set()


def test_the_version_option_names_the_version_alone() -> None:
    assert re.fullmatch(r"graphwire \d+\.\d+\.\d+\n", call("--version").out)
