"""CancelRun for a run that its thread is paused at: what waits is given up, not passed."""

from __future__ import annotations

from graphwire.v1 import run_pb2

from tests.e2e.drive import cancel, get_run, join, payload, shapes, wait
from tests.e2e.driven import DrivenThread

INTERRUPTED, SUCCEEDED = run_pb2.RUN_STATUS_INTERRUPTED, run_pb2.RUN_STATUS_SUCCEEDED


def test_the_pauses_are_cancelled_and_the_run_stays_as_it_is(thread: DrivenThread) -> None:
    run_id = thread.start("linear", interrupt_before=["b"])[0].run_id
    before, events = get_run(thread.runs_stub, run_id), join(thread.runs_stub, run_id)
    (pause,) = thread.pauses
    assert cancel(thread.runs_stub, run_id, wait=True) == before
    assert thread.stands() == ("IDLE", ["b"], [])
    assert wait(thread.runs_stub, run_id).run.status == INTERRUPTED
    assert join(thread.runs_stub, run_id) == events
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        thread.resume(pause_ids=[pause.pause_id])
    with thread.refused("FAILED_PRECONDITION", "RUN_ENDED") as refusal:
        cancel(thread.runs_stub, run_id)
    assert refusal.metadata == {"run_id": run_id, "status": "INTERRUPTED"}


def test_nothing_is_approved_by_it(thread: DrivenThread) -> None:
    run_id = thread.start("linear", interrupt_before=["b"])[0].run_id
    (pause,) = thread.pauses
    cancel(thread.runs_stub, run_id)
    assert shapes(thread.resume()) == [
        ("interrupted", [("BREAKPOINT_BEFORE", "b")], ["b"]),
        ("end", "INTERRUPTED"),
    ]
    (again,) = thread.pauses
    assert again.pause_id != pause.pause_id
    assert shapes(thread.resume())[-1] == ("end", "SUCCEEDED")
    assert thread.log == ["in", "a", "b", "c"]


def test_of_two_breakpoints_after_a_step_the_one_given_up_is_not_approved(
    thread: DrivenThread,
) -> None:
    thread.start("ask_parallel", interrupt_after=["left", "right"])
    thread.resume(answers={pause.pause_id: "yes" for pause in thread.pauses})
    left, right = thread.pauses
    run_id = thread.resume(pause_ids=[left.pause_id])[0].run_id
    assert [pause.pause_id for pause in thread.pauses] == [right.pause_id]
    cancel(thread.runs_stub, run_id)
    assert thread.stands() == ("IDLE", ["done"], [])
    thread.resume()
    assert thread.stands() == ("INTERRUPTED", ["done"], [("BREAKPOINT_AFTER", "right")])
    thread.resume()
    assert thread.log[-1] == "done"


def test_a_question_is_asked_again_in_a_new_pause(thread: DrivenThread) -> None:
    run_id = thread.start("ask")[0].run_id
    (pause,) = thread.pauses
    cancel(thread.runs_stub, run_id)
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        thread.resume(answers={pause.pause_id: "late"})
    assert shapes(thread.resume()) == [
        ("interrupted", [("INTERRUPT", "ask", {"question": "name"})], ["ask"]),
        ("end", "INTERRUPTED"),
    ]
    assert thread.pauses[0].pause_id != pause.pause_id
    thread.resume(answer="Ada")
    assert thread.log == ["in", "name: 'Ada'", "after"]


def test_new_input_needs_no_leave_any_more(thread: DrivenThread) -> None:
    run_id = thread.start("ask")[0].run_id
    with thread.refused("FAILED_PRECONDITION", "THREAD_INTERRUPTED"):
        thread.start("ask")
    cancel(thread.runs_stub, run_id)
    thread.start("ask", {"log": ["other"]})
    assert thread.stands()[0] == "INTERRUPTED"
    thread.resume(answer="Ada")
    assert thread.log == ["in", "other", "name: 'Ada'", "after"]


def test_all_pauses_of_the_thread_go_those_of_earlier_runs_too(thread: DrivenThread) -> None:
    first = thread.start("ask_parallel")[0].run_id
    left, right = sorted(thread.pauses, key=lambda pause: pause.node)
    second = thread.resume(answers={left.pause_id: "l"})[0].run_id
    assert [pause.pause_id for pause in thread.pauses] == [right.pause_id]
    with thread.refused("FAILED_PRECONDITION", "RUN_ENDED"):
        cancel(thread.runs_stub, first)
    cancel(thread.runs_stub, second)
    assert thread.stands() == ("IDLE", ["right"], [])


def test_what_is_queued_behind_the_pause_goes_on(thread: DrivenThread) -> None:
    first = thread.create(
        assistant_id="ask", input=payload({"log": ["in"]}), start_delay={"seconds": 1}
    )
    queued = thread.create(
        assistant_id="ask",
        input=payload({"log": ["second"]}),
        multitask_strategy=run_pb2.MULTITASK_STRATEGY_ENQUEUE,
    )
    assert thread.wait(first).run.status == INTERRUPTED
    cancel(thread.runs_stub, first)
    assert thread.wait(queued).run.status == INTERRUPTED
    assert [pause.run_id for pause in thread.pauses] == [queued]
