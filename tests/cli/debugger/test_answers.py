"""Answers to questions at a pause."""

from __future__ import annotations

import pytest
from graphwire import Client, Resume

from tests.cli.command import ID, AtATerminal, call

from .prompts import LOG, PROMPT, before_action


def test_an_answer_that_does_not_fit_leaves_the_question_open(zoo: str) -> None:
    with AtATerminal("run", "ask_schema", *LOG, "-s", zoo) as run:
        run.read_until("? at a question of ask\n")
        run.read_until('"question": "amount"')
        run.read_until('  answer: {"type": "object", "properties": {"amount": ')
        run.answer(PROMPT, 'answer {"amount": 0}')
        run.read_until("the answer does not fit the response schema at $.amount: 0\nis less than")
        run.answer(PROMPT, "answer {")
        run.read_until("not JSON: Expecting property name enclosed in double quotes (column 2)\n")
        run.answer(PROMPT, "continue")
        run.answer("ask › ", "")
        run.read_until("type an answer: text, or JSON\n")
        run.answer("ask › ", '{"amount": 7}')
        run.read_until("log [\"amount: {'amount': 7}\"]")
        assert run.wait() == 0


def test_an_answer_that_does_not_fit_is_refused_when_it_is_typed_and_the_others_kept(
    zoo: str,
) -> None:
    with AtATerminal("run", "ask_both", *LOG, "-s", zoo, columns=100) as run:
        run.answer(PROMPT, "answer 2 green")
        run.read_until("not answered yet: at a question of age\n")
        run.answer(PROMPT, "answer 1 -1")
        run.read_until(
            "at a question of age: the answer does not fit the response schema at $: -1 is less "
            "than the minimum \nof 0\n"
        )
        run.answer(PROMPT, "c")
        run.answer("age › ", "-2")
        run.read_until("at a question of age: the answer does not fit the response schema at $: ")
        run.answer("age › ", "7")
        run.read_until("✓ succeeded")
        assert run.wait() == 0
    assert '  log ["age: 7"]\n' in run.screen
    assert "  log [\"colour: 'green'\"]\n" in run.screen


def test_what_the_server_refuses_takes_back_only_the_answer_that_it_is_about(zoo: str) -> None:
    with AtATerminal("run", "ask_both", *LOG, "-s", zoo) as run:
        run.answer(PROMPT, "answer 1 7")
        run.read_until("not answered yet: at a question of colour\n")
        [thread] = ID.findall(run.screen)[:1]
        with Client(zoo) as client:
            age = client.threads.get(thread).pauses[0].pause_id
            client.runs.run(thread, resume=Resume(answers={age: 8}))
        run.answer(PROMPT, "answer 2 green")
        run.read_until("at a question of age: pause ")
        run.read_until("? at a question of colour\n")
        run.read_until("  ↩ answered: green\n")
        run.answer(PROMPT, "c")
        run.read_until("✓ succeeded")
        assert run.wait() == 0
    assert "› " not in run.screen
    assert "  log [\"colour: 'green'\"]\n" in run.screen


def test_until_checks_its_node_before_it_asks_for_an_answer(zoo: str) -> None:
    with AtATerminal("run", "ask", *LOG, "-s", zoo) as run:
        run.answer(PROMPT, "until nowhere")
        run.read_until("the graph has no node 'nowhere'; it has: ask, after\n")
        run.answer(PROMPT, "q")
        assert run.wait() == 4
    with AtATerminal("run", "ask_in_child", *LOG, "-s", zoo) as child:
        child.answer(PROMPT, "until child/nowhere")
        child.read_until("the graph has no node 'child/nowhere'; it has: child/")
        child.answer(PROMPT, "q")
        assert child.wait() == 4
    assert "ask › " not in run.screen


@pytest.mark.parametrize("typed", ["w", "b", "h", "q", "?", "where", "until ask", "state log"])
def test_a_command_is_no_answer_unless_it_is_meant_as_one(zoo: str, typed: str) -> None:
    with AtATerminal("run", "ask", *LOG, "-s", zoo) as run:
        run.answer(PROMPT, "c")
        run.answer("ask › ", typed)
        run.answer(f"send '{typed}' as the answer? [y/N] ", "")
        run.read_until("nothing was sent: commands are typed here, at (graphwire)\n")
        run.answer(PROMPT, "c")
        run.answer("ask › ", typed)
        run.answer(f"send '{typed}' as the answer? [y/N] ", "y")
        run.read_until(f"log [\"name: '{typed}'\"]")
        assert run.wait() == 0


@pytest.mark.parametrize("typed", ["a trip to Oslo", "next", "quit smoking", "whereabouts"])
def test_what_only_begins_like_a_command_is_an_answer(zoo: str, typed: str) -> None:
    with AtATerminal("run", "ask", *LOG, "-s", zoo) as run:
        # What follows `answer` is an answer, whatever it is.
        if typed == "next":
            run.answer(PROMPT, f"answer {typed}")
        else:
            run.answer(PROMPT, "c")
            run.answer("ask › ", typed)
        run.read_until(f"log [\"name: '{typed}'\"]")
        assert run.wait() == 0
    assert "[y/N]" not in run.screen


def test_of_two_questions_each_is_answered_by_its_number(zoo: str) -> None:
    with AtATerminal("run", "ask_parallel", *LOG, "-s", zoo) as run:
        run.read_until("1 ? at a question of left\n")
        run.read_until("2 ? at a question of right\n")
        run.answer(PROMPT, "answer yes")
        run.read_until("which of the questions? By its number, as in: answer 2 yes\n")
        run.answer(PROMPT, "answer 2 yes")
        run.read_until("not answered yet: at a question of left\n")
        run.answer(PROMPT, "answer 1 1")
        run.read_until("✓ succeeded")
        assert run.wait() == 0
    assert '  log ["left: 1"]\n' in run.screen
    assert "  log [\"right: 'yes'\"]\n" in run.screen


def test_an_answer_that_is_kept_is_shown_with_its_question(zoo: str) -> None:
    with AtATerminal("run", "ask_parallel", *LOG, "-s", zoo) as run:
        run.answer(PROMPT, "answer 2 yes")
        run.answer(PROMPT, "show")
        run.read_until("1 ? at a question of left\n")
        run.read_until("2 ? at a question of right\n")
        run.read_until("\n    ↩ answered: yes\n")
        run.answer(PROMPT, "where")
        run.read_until("1 ? at a question of left  a question\n")
        run.read_until("2 ? at a question of right  a question\n")
        run.read_until("\n    ↩ answered: yes\n")
        run.answer(PROMPT, "answer 1 no")
        assert run.wait() == 0
    assert run.screen.count("↩ answered") == 2


def test_the_pauses_that_commands_are_about_are_chosen_by_number(zoo: str) -> None:
    with AtATerminal("run", "both_stop", *LOG, "-s", zoo) as run:
        run.read_until("1 ▶ before left › danger\n")
        run.read_until("2 ▶ before right › danger\n")
        run.answer(PROMPT, "use 3")
        run.read_until("use which pauses? Numbers from 1 to 2, or all\n")
        run.answer(PROMPT, "2")
        run.read_until("1 · before left › danger\n")
        run.read_until("2 ▶ before right › danger\n")
        run.answer(PROMPT, "where")
        run.read_until("1 ▶ before left › danger  a breakpoint  not in use\n")
        run.read_until("2 ▶ before right › danger  a breakpoint\n")
        run.answer(PROMPT, "c")
        run.read_until("‖ paused")
        run.read_until("▶ before left › danger\n")
        run.answer(PROMPT, "c")
        assert run.wait() == 0


def test_an_answer_to_what_others_have_answered_is_said_to_be_dropped(zoo: str) -> None:
    with AtATerminal("run", "ask_parallel", *LOG, "-s", zoo) as run:
        run.answer(PROMPT, "a 1 mine")
        run.read_until("not answered yet: at a question of right\n")
        [thread] = ID.findall(run.screen)[:1]
        with Client(zoo) as client:
            left = client.threads.get(thread).pauses[0].pause_id
            client.runs.run(thread, resume=Resume(answers={left: "theirs"}, answered_by="ann"))
        run.answer(PROMPT, "where")
        run.read_until(
            "what was decided at a question of left is dropped: the pause was resolved meanwhile "
            "by ann\n"
        )
        run.answer(PROMPT, "a yes")
        run.read_until("✓ succeeded")
        assert run.wait() == 0
    assert run.screen.count("is dropped") == 1


def test_somebody_else_may_be_faster(weather: str) -> None:
    with before_action(weather) as run:
        run.read_until(PROMPT)
        [thread] = ID.findall(run.screen)[:1]
        assert call("run", "-t", thread, "--resume", "--clear-breakpoints", "-s", weather).code == 0
        run.type("c\n")
        run.read_until("is not open any more: it was resumed \nat ")
        run.read_until("■ idle  nothing is next\n")
        run.answer(PROMPT, "q")
        assert run.wait() == 0
