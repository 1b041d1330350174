"""Editing the state, of the thread or of a subgraph, at a pause."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from graphwire import Client
from graphwire.enums import PauseStatus

from tests.cli.command import ID, AtATerminal

from .prompts import LOG, PROMPT, TWO_CITIES, before_action

AGAIN = "edit it again? [y/n] "


def editor(folder: Path, *lines: str) -> dict[str, str]:
    """Returns an environment with an editor that does one line after the other, call by call.

    A line of a shell; the file that is edited is `$1`. It keeps what it was given each time, as
    `1`, `2` and so on in the folder.
    """
    script = folder / "editor"
    cases = "\n".join(f"{number}) {line} ;;" for number, line in enumerate(lines, 1))
    script.write_text(
        f'#!/bin/sh\nn=$(($(ls {folder} | grep -c "^[0-9]") + 1))\n'
        f'cp "$1" {folder}/$n\ncase $n in\n{cases}\nesac\n'
    )
    script.chmod(0o700)
    return {"EDITOR": str(script)}


def test_what_is_no_json_is_edited_again_or_dropped(weather: str) -> None:
    with before_action(weather, env={"EDITOR": "sed -i s/}//"}) as run:
        run.answer(PROMPT, "e 1")
        run.read_until("not JSON: Expecting ',' delimiter (line 4, column 1)\n")
        run.answer("edit it again? [y/n] ", "n")
        run.read_until("nothing was changed\n")
        run.answer(PROMPT, "q")
        assert run.wait() == 4


def test_the_state_is_edited_in_the_editor(weather: str) -> None:
    env = {"EDITOR": "sed -i s/San.Francisco/Oslo/"}
    with before_action(weather, env=env) as run:
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


def test_what_was_decided_before_an_edit_is_dropped_by_it(weather: str) -> None:
    editor = {"EDITOR": "sed -i s/San.Francisco/Cairo/"}
    with before_action(weather, TWO_CITIES, env=editor) as run:
        run.answer(PROMPT, "reject 2 too cold")
        run.answer(PROMPT, "edit")
        run.read_until(
            "what was decided before action is dropped: your edit has superseded the pause\n"
        )
        run.read_until('  1  get_weather(city="Cairo")\n  2  get_weather(city="Oslo")\n\n')
        run.answer(PROMPT, "q")
        assert run.wait() == 4


def test_an_edited_list_is_what_was_saved_whatever_its_reducer_does(zoo: str) -> None:
    env = {"EDITOR": """sed -i 's/"a"/"x"/'"""}
    with AtATerminal("run", "linear", *LOG, "-b", "c", "-s", zoo, env=env) as run:
        run.answer(PROMPT, "edit")
        run.read_until('state, since the last pause\n  ~ log[0]  "a" → "x"\n(graphwire) ')
        run.type("edit as b c\n")
        run.read_until("edit what? `edit` the state, `edit as NODE`, or `edit 1`, a call\n")
        run.answer(PROMPT, "state log")
        run.read_until('[\n  "x",\n  "b"\n]\n')
        run.answer(PROMPT, "q")
        assert run.wait() == 4
    with Client(zoo) as client:
        thread = ID.findall(run.screen)[0]
        # Nobody was asked to approve a state that was not what is wanted.
        made_by = [(state.metadata or {}).get("source") for state in client.threads.history(thread)]
        assert made_by.count("update") == 1
        changed = client.pauses.list(statuses=[PauseStatus.SUPERSEDED], thread_id=thread)
        assert len(list(changed)) == 1


def test_in_a_subgraph_its_own_state_is_edited(zoo: str) -> None:
    env = {"EDITOR": """sed -i 's/"first"/"x"/'"""}
    words = ("run", "ask_in_child", *LOG, "-b", "child/ask")
    with AtATerminal(*words, "-s", zoo, env=env) as run:
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
    env = {"EDITOR": "false"}
    with before_action(weather, env=env) as run:
        run.answer(PROMPT, "edit")
        run.read_until("false ended with code 1: nothing was changed\n")
        run.answer(PROMPT, "q")
        assert run.wait() == 4


def test_an_editor_that_leaves_no_file_is_asked_for_again(weather: str, tmp_path: Path) -> None:
    env = editor(tmp_path, 'rm -r "$(dirname "$1")"', "sed -i s/San.Francisco/Oslo/ $1")
    with before_action(weather, env=env) as run:
        run.answer(PROMPT, "e 1")
        run.read_until("the editor has left no file that can be read: No such file or directory\n")
        run.answer(AGAIN, "y")
        run.read_until('  1  get_weather(city="San Francisco")\n     ✎ get_weather(city="Oslo")\n')
        run.answer(PROMPT, "q")
        assert run.wait() == 4
    assert (tmp_path / "2").read_bytes() == (tmp_path / "1").read_bytes()


def test_what_is_not_utf_8_is_kept_for_another_edit(weather: str, tmp_path: Path) -> None:
    latin = r"""printf '{\n"city": "Reyk\355av\355k"}' > $1"""
    env = editor(tmp_path, latin, r"""printf '\357\273\277{"city": "Oslo"}' > $1""")
    with before_action(weather, env=env) as run:
        run.answer(PROMPT, "e 1")
        run.read_until("not UTF-8 text (line 2): save it as UTF-8\n")
        run.answer(AGAIN, "y")
        run.read_until('     ✎ get_weather(city="Oslo")\n')
        run.answer(PROMPT, "q")
        assert run.wait() == 4
    assert (tmp_path / "2").read_bytes() == b'{\n"city": "Reyk\xedav\xedk"}'


@pytest.mark.parametrize(
    ("saved", "reason"),
    [
        ('[\\"Oslo\\"]', 'the arguments are a JSON object, such as {"city": "Paris"}\n'),
        ('{\\"city\\": NaN}', "not JSON: it has no NaN\n"),
    ],
)
def test_arguments_that_can_not_be_are_edited_again(
    weather: str, tmp_path: Path, saved: str, reason: str
) -> None:
    env = editor(tmp_path, f'printf "{saved}" > $1', """printf '{"city": "Oslo"}' > $1""")
    with before_action(weather, env=env) as run:
        run.answer(PROMPT, "e 1")
        run.read_until(reason)
        run.answer(AGAIN, "")
        run.read_until('     ✎ get_weather(city="Oslo")\n')
        run.answer(PROMPT, "q")
        assert run.wait() == 4
    assert (tmp_path / "2").read_text() == saved.replace("\\", "")


def test_a_state_that_the_server_refuses_is_edited_again(weather: str, tmp_path: Path) -> None:
    env = editor(
        tmp_path,
        """sed -i 's/"human"/"nobody"/' $1""",
        """sed -i -e 's/"nobody"/"human"/' -e 's/"messages"/"notes": 1, "messages"/' $1""",
        """sed -i 's/"messages"/"others"/' $1""",
        """sed -i -e 's/"notes": 1, "others"/"messages"/' -e 's/San Francisco/Oslo/' $1""",
    )
    with before_action(weather, env=env) as run:
        run.answer(PROMPT, "edit")
        run.read_until("nobody")
        run.answer(AGAIN, "y")
        run.read_until("notes")
        run.answer(AGAIN, "y")
        run.read_until("a key can't be taken away: messages; it can be null\n")
        run.answer(AGAIN, "y")
        run.read_until('  1  get_weather(city="Oslo")\n')
        run.answer(PROMPT, "q")
        assert run.wait() == 4
    assert (tmp_path / "2").read_text() == (tmp_path / "1").read_text().replace("human", "nobody")


def test_an_edit_goes_on_from_where_the_thread_has_moved_meanwhile(
    zoo: str, tmp_path: Path
) -> None:
    thread_id = str(uuid4())
    meddles = tmp_path / "meddles.py"
    meddles.write_text(
        f"""
from graphwire import Client
with Client("{zoo}") as client:
    client.threads.update_state("{thread_id}", {{"count": 2, "log": ["theirs"]}})
"""
    )
    env = editor(
        tmp_path,
        f"""sed -i -e 's/"p"/"mine"/' -e 's/"a"/"A"/' $1; {sys.executable} {meddles}""",
        "true",
    )
    given = ("--input", '{"log": [], "path": "p", "count": 1}')
    words = ("run", "linear", *given, "-b", "b", "--thread", thread_id, "--create")
    with AtATerminal(*words, "-s", zoo, env=env, columns=300) as run:
        run.answer(PROMPT, "edit")
        run.read_until("state, since the last pause\n")
        run.read_until(
            "what you have changed is put into the state of now, in the place of what others "
            "have made of: log\n"
        )
        run.answer(AGAIN, "y")
        run.read_until('~ log[0]  "a" → "A"\n')
        run.answer(PROMPT, "state")
        run.answer(PROMPT, "q")
        assert run.wait() == 4
    state = {"log": ["A"], "count": 2, "path": "mine"}
    assert json.loads((tmp_path / "2").read_text()) == state
    with Client(zoo) as client:
        assert client.threads.state(thread_id).values == state
