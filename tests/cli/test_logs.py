"""Log lines: one form for ours and everybody else's, on stderr."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import logging, sys, warnings
import structlog
from graphwire_server.logs import configure_logging

configure_logging(*sys.argv[1:])
log = structlog.get_logger("graphwire.test")
log.debug("unseen")
log.info("ours", run_id="r", error=ValueError("x"))
logging.getLogger("langgraph.pregel").warning("theirs: %s", 1, extra={"node": "agent"})
logging.getLogger("aiosqlite").debug("chatter")
warnings.warn("deprecated", DeprecationWarning)
try:
    secret = "hunter2"
    raise RuntimeError("broken")
except RuntimeError:
    log.exception("failed")
"""


def logged(*args: str, script: str = SCRIPT) -> list[str]:
    """Returns the lines that a script writes to stderr; to stdout it writes none."""
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", script, *args],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_json_lines_have_time_level_logger_and_event() -> None:
    ours, theirs, warning, failed = (json.loads(line) for line in logged("info", "json"))
    assert ours.pop("timestamp").endswith("Z")
    assert ours == {
        "level": "info",
        "logger": "graphwire.test",
        "event": "ours",
        "run_id": "r",
        "error": "ValueError('x')",
    }
    assert (theirs["level"], theirs["logger"]) == ("warning", "langgraph.pregel")
    assert (theirs["event"], theirs["node"]) == ("theirs: 1", "agent")
    assert warning["logger"] == "py.warnings"
    assert "DeprecationWarning: deprecated" in warning["event"]
    assert failed["exception"].endswith("RuntimeError: broken")


HANG_UPS = """
import logging
from graphwire_server.logs import configure_logging

configure_logging("debug", "json")
log = logging.getLogger("grpc._cython.cygrpc")
log.error("ExecuteBatchError raised in core by servicer method [%s]", "/a/B")
log.error("Exception in servicer method [%s]", "/a/B")
"""


POOL = """
import logging
from graphwire_server.logs import configure_logging

configure_logging("debug", "json")
for name in ("psycopg.pool", "psycopg"):
    logging.getLogger(name).info("the connection is new")
    logging.getLogger(name).warning("the connection is lost")
"""


def test_of_pools_of_connections_there_are_warnings_alone() -> None:
    lines = [json.loads(line) for line in logged(script=POOL)]
    assert [(line["logger"], line["level"]) for line in lines] == [
        ("psycopg.pool", "warning"),
        ("psycopg", "info"),
        ("psycopg", "warning"),
    ]


def test_a_caller_who_hangs_up_is_no_error_of_the_server() -> None:
    (line,) = logged(script=HANG_UPS)
    assert json.loads(line)["event"] == "Exception in servicer method [/a/B]"


def test_traces_carry_no_values_of_variables() -> None:
    for form in ("json", "human"):
        text = "\n".join(logged("info", form))
        assert "RuntimeError: broken" in text
        assert text.count("hunter2") == 0


def test_long_traces_are_cut_in_the_middle() -> None:
    script = (
        SCRIPT
        + """
try:
    raise ValueError("begin " + "x" * 5_000_000 + " end")
except ValueError:
    log.exception("too much")
"""
    )
    for form in ("json", "human"):
        text = "\n".join(logged("info", form, script=script))
        assert len(text) < 30_000
        assert "ValueError: begin xxx" in text
        assert "characters left out" in text
        assert "xxx end" in text


def test_human_lines_are_plain_where_there_is_no_terminal() -> None:
    lines = logged("info", "human")
    assert "\x1b" not in "".join(lines)
    assert "[info     ] ours" in lines[0]
    assert "[graphwire.test]" in lines[0]
    assert "run_id=r" in lines[0]


def test_the_level_holds_for_all_loggers() -> None:
    assert [json.loads(line)["event"] for line in logged("error", "json")] == ["failed"]
    events = [json.loads(line)["event"] for line in logged("debug", "json")]
    assert events[0] == "unseen"
    assert "chatter" not in events
