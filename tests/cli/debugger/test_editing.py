"""Editing the state, of the thread or of a subgraph, at a pause."""

from __future__ import annotations

from tests.cli.command import AtATerminal

from .prompts import LOG, PROMPT, before_action


def test_what_is_no_json_is_edited_again_or_dropped(weather: str) -> None:
    editor = {"EDITOR": "sed -i s/}//"}
    with before_action(weather, env=editor) as run:
        run.answer(PROMPT, "e 1")
        run.read_until("not JSON: Expecting ',' delimiter (line 4, column 1)\n")
        run.answer("edit it again? [y/n] ", "n")
        run.read_until("nothing was changed\n")
        run.answer(PROMPT, "q")
        assert run.wait() == 4


def test_the_state_is_edited_in_the_editor(weather: str) -> None:
    editor = {"EDITOR": "sed -i s/San.Francisco/Oslo/"}
    with before_action(weather, env=editor) as run:
        run.answer(PROMPT, "edit")
        run.read_until('  1  get_weather(city="Oslo")\n')
        run.read_until(
            "state, since the last pause\n"
            '  ~ messages[0].content  …ther in San Francisco?" → …ther in Oslo?"\n'
            '  ~ messages[1].content  …ther in San Francisco." → …ther in Oslo."\n'
            '  ~ messages[1].tool_calls[0].args.city  "San Francisco" → "Oslo"\n'
        )
        run.answer(PROMPT, "history")
        run.read_until(" 1 ▶   2      update    action ")
        run.read_until(" 2     1      loop      action ")
        run.answer(PROMPT, "c")
        run.read_until("It is -2 °C and snowy in Oslo")
        assert run.wait() == 0


def test_an_edited_list_is_what_was_saved_whatever_its_reducer_does(zoo: str) -> None:
    editor = {"EDITOR": """sed -i 's/"a"/"x"/'"""}
    with AtATerminal("run", "linear", *LOG, "-b", "c", "-s", zoo, env=editor) as run:
        run.answer(PROMPT, "edit")
        run.read_until('state, since the last pause\n  ~ log[0]  "a" → "x"\n(graphwire) ')
        run.type("edit as b c\n")
        run.read_until("edit what? `edit` the state, `edit as NODE`, or `edit 1`, a call\n")
        run.answer(PROMPT, "state log")
        run.read_until('[\n  "x",\n  "b"\n]\n')
        run.answer(PROMPT, "q")
        assert run.wait() == 4


def test_in_a_subgraph_its_own_state_is_edited(zoo: str) -> None:
    editor = {"EDITOR": """sed -i 's/"first"/"x"/'"""}
    words = ("run", "ask_in_child", *LOG, "-b", "child/ask")
    with AtATerminal(*words, "-s", zoo, env=editor) as run:
        run.answer(PROMPT, "edit")
        run.read_until('state of child, since the last pause\n  ~ log[1]  "first" → "x"\n')
        run.answer(PROMPT, "c")
        run.answer(PROMPT, "a Ann")
        run.read_until('log ["before", "x", "child: \'Ann\'"]')
        assert run.wait() == 0


def test_an_edit_as_another_node_changes_what_comes_next(zoo: str) -> None:
    with AtATerminal("run", "linear", *LOG, "-b", "*", "-s", zoo, env={"EDITOR": "true"}) as run:
        run.answer(PROMPT, "edit as b")
        run.read_until("▶ before c\n")
        run.answer(PROMPT, "c")
        assert run.wait() == 0
    assert "● b" not in run.screen


def test_an_edit_as_a_node_asks_before_other_branches_are_left_behind(zoo: str) -> None:
    with AtATerminal("run", "ask_parallel", *LOG, "-s", zoo, env={"EDITOR": "true"}) as run:
        asked = (
            "right would no longer wait: only what follows left would come next\n"
            "edit all the same? [y/n] "
        )
        run.answer(PROMPT, "edit as left")
        run.read_until(asked)
        run.type("\n")
        run.read_until("nothing was changed\n")
        run.answer(PROMPT, "edit as left")
        run.read_until("edit all the same? [y/n] ")
        run.type("y\n")
        run.read_until("▶ before done\n")
        run.answer(PROMPT, "q")
        assert run.wait() == 4
    # What follows from the node comes next again: nothing is left behind.
    words = ("run", "ask_parallel", *LOG, "-b", "left", "-b", "right", "-s", zoo)
    with AtATerminal(*words, env={"EDITOR": "true"}) as run:
        run.answer(PROMPT, "edit as __start__")
        run.read_until("2 ▶ before right\n")
        run.answer(PROMPT, "q")
        assert run.wait() == 4
    assert "no longer wait" not in run.screen


def test_without_an_editor_that_works_nothing_is_changed(weather: str) -> None:
    editor = {"EDITOR": "false"}
    with before_action(weather, env=editor) as run:
        run.answer(PROMPT, "edit")
        run.read_until("false ended with code 1: nothing was changed\n")
        run.answer(PROMPT, "q")
        assert run.wait() == 4
