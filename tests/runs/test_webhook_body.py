"""The body of a webhook: what is in it, and what is left out when it is too long."""

from __future__ import annotations

import json
from typing import Any

import pytest
from graphwire_server.runs.request import RunSpec
from graphwire_server.runs.webhook_body import KINDS, webhook_body
from graphwire_server.storage.records import (
    Failure,
    PauseKind,
    PauseRecord,
    RunRecord,
    RunStatus,
)

from tests.runs.specs import a_spec

URL = "https://example.com/hook?token=hush"


def a_run(**given: Any) -> RunRecord:
    filled: dict[str, Any] = {
        "run_id": "run",
        "thread_id": "thread",
        "assistant_id": "agent",
        "status": RunStatus.INTERRUPTED,
        "spec": a_spec(webhook=URL).to_json(),
        "metadata": '{"n": 12345678901234567890123, "é": null}',
        "create_time": 1_000_000,
        "due_time": 1_000_000,
    }
    return RunRecord(**(filled | given))


def a_pause(**given: Any) -> PauseRecord:
    filled: dict[str, Any] = {
        "pause_id": "pause",
        "thread_id": "thread",
        "run_id": "run",
        "kind": PauseKind.INTERRUPT,
        "node": "ask",
        "namespace": ("child:1",),
        "checkpoint_id": "c",
        "create_time": 1_500_000,
        "value": '{"ok": 1.0}',
        "tool_calls": '[{"id": "1", "name": "refund", "args": {"amount": 7}}]',
    }
    return PauseRecord(**(filled | given))


def body(run: RunRecord, *pauses: PauseRecord, values: str | None = None, most: int = 99) -> Any:
    return json.loads(webhook_text(run, *pauses, values=values, most=most))


def webhook_text(run: RunRecord, *pauses: PauseRecord, values: str | None, most: int) -> str:
    return webhook_body("msg_1", run, pauses, values, now=2_500_000, max_values=most)


def test_each_end_of_a_run_has_its_kind() -> None:
    ends = {status for status in RunStatus if status.ended}
    assert set(KINDS) == ends
    for status, kind in KINDS.items():
        assert body(a_run(status=status))["type"] == kind


def test_what_is_in_it() -> None:
    found = body(a_run(end_time=2_500_000), a_pause(), values='{"log": []}')
    run, [pause] = found.pop("run"), found.pop("pauses")
    assert found == {
        "id": "msg_1",
        "type": "run.interrupted",
        "time": "1970-01-01T00:00:02.500Z",
        "thread_id": "thread",
        "values": {"log": []},
        "omitted": [],
    }
    assert (run["run_id"], run["status"]) == ("run", "RUN_STATUS_INTERRUPTED")
    assert (run["create_time"], run["end_time"]) == (
        "1970-01-01T00:00:01Z",
        "1970-01-01T00:00:02.500Z",
    )
    assert "start_time" not in run
    assert "error" not in run
    assert (pause["kind"], pause["namespace"], pause["value"]) == (
        "PAUSE_KIND_INTERRUPT",
        ["child:1"],
        {"ok": 1.0},
    )
    assert pause["tool_calls"] == [{"tool_call_id": "1", "name": "refund", "args": {"amount": 7}}]


def test_json_is_sent_as_it_is_kept() -> None:
    text = webhook_text(a_run(), values='{"big": 12345678901234567890123, "f": 1.0}', most=99)
    assert '"values":{"big": 12345678901234567890123, "f": 1.0}' in text
    assert '"metadata":{"n": 12345678901234567890123, "é": null}' in text


def test_a_failure_is_told() -> None:
    error = Failure("ValueError", "no", node="b", namespace=("child:1",))
    found = body(a_run(status=RunStatus.FAILED, error=error))
    assert found["run"]["error"] == {
        "type": "ValueError",
        "message": "no",
        "node": "b",
        "namespace": ["child:1"],
    }
    assert found["values"] is None


def test_the_query_of_the_url_is_not_in_it() -> None:
    assert "hush" not in json.dumps(body(a_run()))


@pytest.mark.parametrize(("values", "sent"), [('"12345678"', True), ('"é2345678"', False)])
def test_the_length_of_values_is_in_bytes(values: str, sent: bool) -> None:
    found = body(a_run(), values=values, most=10)
    assert (found["values"] is not None) is sent
    assert found["omitted"] == ([] if sent else ["values"])


def test_without_room_for_values_there_are_none() -> None:
    assert body(a_run(), values="{}", most=0)["omitted"] == ["values"]
    assert body(a_run(), values=None, most=0)["omitted"] == []


def test_what_is_long_in_pauses_is_left_out_and_who_waits_is_not() -> None:
    long = json.dumps("x" * 300_000)
    found = body(a_run(), a_pause(value=long), a_pause(pause_id="other"), values="{}")
    assert found["values"] == {}
    assert found["omitted"] == ["pauses.value", "pauses.tool_calls", "pauses.breakpoints"]
    assert [pause["pause_id"] for pause in found["pauses"]] == ["pause", "other"]
    assert "metadata" in found["run"]


def test_long_metadata_is_left_out() -> None:
    metadata = json.dumps({"text": "x" * 300_000})
    assert "run.metadata" in body(a_run(metadata=metadata))["omitted"]


def test_what_a_run_was_asked_for_is_not_read_where_it_names_no_webhook() -> None:
    spec = a_spec()
    text = spec.to_json()
    assert text.endswith(',"webhook":""}')
    assert RunSpec.webhook_in(text) == ("", 0)
    # Not even looked at: this is no JSON.
    assert RunSpec.webhook_in("broken" + text[-14:]) == ("", 0)
    named = a_spec(webhook=URL, webhook_values=7)
    assert RunSpec.webhook_in(named.to_json()) == (URL, 7)
    assert RunSpec.from_json(named.to_json()) == named


@pytest.mark.parametrize("value", ['","webhook":""}', {"webhook": ""}, [{"webhook": ""}]])
def test_no_input_hides_a_webhook(value: Any) -> None:
    named = a_spec(value=value, configurable={"webhook": ""}, webhook=URL)
    assert RunSpec.webhook_in(named.to_json())[0] == URL


def test_a_spec_of_before_there_were_webhooks_has_none() -> None:
    assert RunSpec.webhook_in('{"kind":"input"}') == ("", 0)
