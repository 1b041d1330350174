"""`graphwire run` without a terminal: what it prints, and how it exits."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import ID, call, masked, run

QUESTION = "What is the weather in San Francisco?"

CALLS = """\
agent on thread <id>

● agent
  I'll look up the weather in San Francisco.
  get_weather(city="San Francisco")
"""
ANSWERS = """\
● action
  get_weather → {"city": "San Francisco", "temperature_c": 16, "sky": "foggy", "wind_kmh": 24}

● agent
  It is 16 °C and foggy in San Francisco, with wind at 24 km/h. Take a jacket.
"""


def test_a_run_shows_what_each_node_says_and_calls(weather: str) -> None:
    result = run("run", "agent", QUESTION, server=weather)
    assert masked(result.out) == f"{CALLS}\n{ANSWERS}\n✓ succeeded  <n> s  141 tokens\n"
    assert (result.code, result.err) == (0, "")


def test_the_only_assistant_need_not_be_named(weather: str) -> None:
    content = '{"messages": [{"role": "user", "content": "Hello!"}]}'
    result = call("run", "--input", content, server=weather)
    assert result.out.startswith("agent on thread ")
    assert result.code == 0


def test_a_single_word_is_the_message_unless_it_is_an_assistant(weather: str) -> None:
    result = run("run", QUESTION, server=weather)
    assert masked(result.out) == f"{CALLS}\n{ANSWERS}\n✓ succeeded  <n> s  141 tokens\n"
    alone = call("run", "agent", server=weather)
    assert alone.err.startswith("graphwire: there is nothing to run: give a MESSAGE, ")
    assert (alone.code, alone.out) == (2, "")


def test_of_several_assistants_one_has_to_be_named(zoo: str) -> None:
    result = call("run", "--input", '{"log": []}', server=zoo)
    assert result.err.startswith("graphwire: which assistant? There are: ")
    assert ", ask, ask_at_gates, " in result.err
    assert (result.code, result.out) == (2, "")


def test_a_paused_run_says_how_to_go_on_and_that_command_does(weather: str) -> None:
    paused = run("run", "agent", QUESTION, "--break", "action", server=weather)
    thread = ID.search(paused.out)
    assert thread is not None
    assert masked(paused.out) == (
        f"{CALLS}\n‖ paused  <n> s  59 tokens\n"
        'paused before action\nget_weather(city="San Francisco")\n'
    )
    pause_id = ID.findall(paused.err)[1]
    words = f"run --thread {thread[0]} --resume --pause {pause_id} --server {weather}"
    assert paused.err == f"graphwire: to go on:\n    graphwire {words}\n"
    assert paused.code == 4
    resumed = call(*words.split())
    assert masked(resumed.out) == (
        f"agent on thread <id>\n\n{ANSWERS}\n✓ succeeded  <n> s  82 tokens\n"
    )
    assert (resumed.code, resumed.err) == (0, "")


def test_the_command_that_goes_on_is_for_what_was_shown_alone(zoo: str) -> None:
    words = ("run", "linear", "--input", '{"log": []}')
    paused = call(*words, "-b", "b", "-b", "c", server=zoo)
    printed = paused.err.split()[5:]
    assert call(*printed).out.endswith("paused before c\n")
    # By now the thread waits at something else.
    again = call(*printed)
    assert "is not open any more: it was resumed at " in again.err
    assert (again.code, again.out) == (1, "")
    assert call("threads", "show", thread_of(paused.out), server=zoo).out.endswith("before c\n")


def test_step_pauses_before_the_first_node_and_nowhere_else(zoo: str) -> None:
    paused = call("run", "linear", "--input", '{"log": []}', "--step", server=zoo)
    assert paused.out.endswith("paused before a\n")
    assert "● a" not in paused.out
    assert paused.code == 4
    resumed = call("run", "-t", thread_of(paused.out), "--resume", server=zoo)
    assert "● a\n" in resumed.out
    assert "● c\n" in resumed.out
    assert resumed.code == 0


def test_a_condition_decides_whether_a_run_pauses(zoo: str) -> None:
    words = ("run", "linear", "--input", '{"log": []}')
    never = call(*words, "-b", "c if size(state.log) > 2", server=zoo)
    assert (never.code, never.err) == (0, "")
    once = call(*words, "-b", "c:after if size(state.log) > 2", server=zoo)
    assert once.out.endswith("paused after c\n")
    assert once.code == 4
    after = call(*words, "--break-after", "a if true", server=zoo)
    assert after.out.endswith("paused after a\n")


def test_a_breakpoint_that_can_not_be_starts_nothing(zoo: str) -> None:
    words = ("run", "linear", "--input", '{"log": []}')
    unread = call(*words, "-b", "a if", server=zoo)
    assert unread.err == "graphwire: --break: 'a if' has no condition after `if`\n"
    assert (unread.code, unread.out) == (2, "")
    refused = call(*words, "-b", "a if state.nothing", server=zoo)
    assert refused.err.startswith("graphwire: breakpoints[0].condition: line 1, column 7: ")
    assert refused.err.endswith(" [INVALID_CONDITION]\n")
    assert refused.code == 1
    resume = call("run", "-t", "x", "--resume", "--step", server=zoo)
    assert resume.err.startswith("graphwire: --step pauses before the first nodes of a new run: ")
    assert resume.code == 2


def test_yes_goes_on_through_breakpoints(weather: str) -> None:
    result = call(
        "run", "agent", QUESTION, "-b", "action", "--break-after", "action", "-y", server=weather
    )
    assert result.out.count("‖ paused") == 2
    assert masked(result.out).endswith("Take a jacket.\n\n✓ succeeded  <n> s  82 tokens\n")
    assert (result.code, result.err) == (0, "")


def test_yes_does_not_answer_questions(zoo: str) -> None:
    result = call("run", "ask", "--input", '{"log": []}', "--yes", server=zoo)
    assert 'paused at a question of ask\n{"question": "name"}\n' in result.out
    assert result.code == 4


def test_a_question_is_answered_with_text_or_json(zoo: str) -> None:
    for answer, logged in (("Ann", "'Ann'"), ('{"name": "Ann"}', "{'name': 'Ann'}")):
        paused = call("run", "ask", "--input", '{"log": []}', server=zoo)
        question = ID.findall(paused.err)[1]
        assert paused.err.endswith(f" --resume --pause {question} --answer ANSWER --server {zoo}\n")
        thread = thread_of(paused.out)
        resumed = call("run", "-t", thread, "--resume", "--answer", answer, server=zoo)
        assert f'● ask\n  log ["name: {logged}"]\n' in resumed.out
        assert resumed.code == 0


def test_several_questions_are_answered_by_pause_id(zoo: str) -> None:
    paused = call("run", "ask_parallel", "--input", '{"log": []}', server=zoo)
    left, right, *_ = ID.findall(paused.err)
    assert paused.err.startswith(
        "graphwire: to go on, with an answer to each question:\n"
        f'    {left}  at a question of left: {{"question": "left"}}\n'
        f'    {right}  at a question of right: {{"question": "right"}}\n'
        "    graphwire run --thread "
    )
    assert f"""--answers '{{"{left}": ANSWER, "{right}": ANSWER}}'""" in paused.err
    answers = f'{{"{left}": 1, "{right}": 2}}'
    thread = thread_of(paused.out)
    resumed = call("run", "-t", thread, "--resume", "--answers", answers, server=zoo)
    assert resumed.code == 0
    assert {'  log ["left: 1"]', '  log ["right: 2"]'} < set(resumed.out.splitlines())


def test_a_breakpoint_beside_a_question_is_named_in_the_resume(zoo: str) -> None:
    paused = call("run", "stop_and_ask", "--input", '{"log": []}', server=zoo)
    [_, first, second] = ID.findall(paused.err)
    words = f"--resume --pause {first} --pause {second} --answer "
    assert f" {words}ANSWER " in paused.err
    resumed = call("run", "-t", thread_of(paused.out), *words.split(), "yes", server=zoo)
    assert resumed.code == 0


def test_a_failed_run_says_where_and_why_in_one_line(zoo: str) -> None:
    result = call("run", "boom", "--input", '{"log": []}', server=zoo)
    assert masked(result.out) == (
        'boom on thread <id>\n\n● fine\n  log ["fine"]\n\n✗ failed  <n> s\n'
    )
    assert result.err == (
        "graphwire: the run failed in explode: ValueError: count must be 1 at least — it's 0\n"
    )
    assert result.code == 1


def test_json_is_one_flat_object_an_event_and_nothing_else(weather: str) -> None:
    result = run("run", "agent", QUESTION, "--break", "action", "--json", server=weather)
    events = result.objects
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert {event["run_id"] for event in events} == {events[0]["run_id"]}
    assert all(event["namespace"] == [] and event["attempt"] == 1 for event in events)
    kinds = [event["type"] for event in events if event["type"] != "message"]
    assert kinds == ["metadata", "updates", "interrupted", "end"]
    metadata, *messages, updates, interrupted, end = events
    assert metadata["assistant_id"] == "agent"
    assert "".join(message["text"] for message in messages) == (
        "I'll look up the weather in San Francisco."
    )
    assert {message["message_type"] for message in messages} == {"ai"}
    assert updates["update"]["messages"][0]["tool_calls"][0]["args"] == {"city": "San Francisco"}
    assert interrupted["pauses"][0]["kind"] == "BREAKPOINT_BEFORE"
    assert (end["status"], end["error"]) == ("INTERRUPTED", None)
    assert result.code == 4
    assert result.err.startswith("graphwire: to go on:\n")


def test_mode_says_which_events_are_recorded(zoo: str) -> None:
    wanted = ("--mode", "values", "-m", "TASKS")
    result = call("run", "linear", "--input", '{"log": []}', "--json", *wanted, server=zoo)
    kinds = [event["type"] for event in result.objects]
    step = ["task_started", "task_finished", "values"]
    assert kinds == ["metadata", "values", *step, *step, *step, "end"]


def test_subgraphs_show_with_the_path_of_their_nodes(zoo: str) -> None:
    result = call("run", "talk_in_child", "hi", "--subgraphs", server=zoo)
    assert masked(result.out) == (
        "talk_in_child on thread <id>\n\n● child › speak\n  one two three\n\n✓ succeeded  <n> s\n"
    )


def test_messages_spoken_at_once_are_shown_one_after_another(zoo: str) -> None:
    result = call("run", "duet", "hi", server=zoo)
    sections = masked(result.out).split("\n\n")[1:-1]
    assert sorted(sections) == ["● left\n  abcde", "● right\n  vwxyz"]


def test_reasoning_other_content_and_other_speakers_are_shown(zoo: str) -> None:
    thoughts = call("run", "thoughts", "hi", server=zoo).out.splitlines()
    assert thoughts[2:4] == ["● think", "  Hmm."]
    # The server may join pieces, and then the picture comes after the text.
    block = '  {"type": "image", "url": "https://example.org/cat.png", "index": 2}'
    assert block in thoughts
    text = " ".join(line.strip() for line in thoughts[4:-2] if line != block)
    assert text == "Look: a cat."
    quotes = call("run", "quotes", "hi", server=zoo).out.splitlines()
    assert quotes[2:6] == ["● quote", "  ann → Who spoke?", "  system → Be brief.", "  Both."]


def test_a_message_that_is_cut_off_stays_as_far_as_it_came(zoo: str) -> None:
    result = call("run", "broken_speech", "hi", server=zoo)
    assert "● speak\n  one two\n\n✗ failed" in result.out
    assert result.err == "graphwire: the run failed in speak: ConnectionError: cut off\n"


def test_input_comes_from_a_file_or_from_stdin(zoo: str, tmp_path: Path) -> None:
    file = tmp_path / "input.json"
    file.write_text('{"count": 2}')
    from_file = call("run", "boom", "--input", f"@{file}", server=zoo)
    assert '● explode\n  log ["explode"]\n' in from_file.out
    from_stdin = run("run", "boom", "-i", "-", server=zoo, stdin='{"count": 2}')
    assert from_stdin.code == from_file.code == 0


def test_config_context_and_metadata_reach_the_graph(zoo: str) -> None:
    result = call(
        *("run", "configured", "--input", '{"log": []}', "--metadata", '{"team": "blue"}'),
        *("--config", '{"tags": ["a", "b"], "configurable": {"colour": "red"}}'),
        server=zoo,
    )
    assert '"colour=red"' in result.out
    assert '"tags=a,b", "team=blue"' in result.out
    context = ("--context", '{"name": "Ann"}')
    result = call("run", "contextual", "--input", '{"log": []}', *context, server=zoo)
    assert '  log ["Ann speaks en"]' in result.out


def test_a_thread_is_created_only_if_asked_for(weather: str) -> None:
    missing = call("run", "agent", "Hi", "--thread", "trip-1", server=weather)
    assert missing.err == (
        "graphwire: there is no thread trip-1: --create makes it [THREAD_NOT_FOUND]\n"
    )
    assert missing.code == 1
    # Without an assistant, the thread is asked for one first.
    unnamed = call("run", "--input", '{"messages": []}', "-t", "trip-1", server=weather)
    assert (unnamed.err, unnamed.code) == (missing.err, 1)
    for words in (("--resume",), ("Hi", "--checkpoint", "01a215e5-f191-718a-8329-5caa99402c38")):
        # What is to go on, or start from a checkpoint, can't do so on a new thread.
        result = call("run", *words, "--thread", "trip-1", server=weather)
        assert result.err == "graphwire: there is no thread trip-1 [THREAD_NOT_FOUND]\n"
        assert result.code == 1
    created = call("run", "agent", "Hi", "--thread", "trip-1", "--create", server=weather)
    assert created.out.startswith("agent on thread trip-1\n")
    # Its assistant is known now.
    again = call("run", "--input", '{"messages": []}', "-t", "trip-1", server=weather)
    assert again.out.startswith("agent on thread trip-1\n")


def test_a_stateless_run_leaves_no_thread(weather: str) -> None:
    result = call("run", "agent", "Hi", "--stateless", server=weather)
    threads = call("threads", "list", "--json", "-n", "1000", server=weather)
    assert result.code == 0
    assert thread_of(result.out) not in threads.out


def test_new_input_for_a_paused_thread_needs_discard(weather: str) -> None:
    thread = thread_of(call("run", "agent", QUESTION, "-b", "action", server=weather).out)
    refused = call("run", "agent", "Hi", "-t", thread, server=weather)
    assert refused.err.endswith("[THREAD_INTERRUPTED]\n")
    assert refused.code == 1
    assert call("run", "agent", "Hi", "-t", thread, "--discard", server=weather).code == 0


def test_a_resume_can_drop_the_breakpoints(weather: str) -> None:
    both = ("-b", "action", "--break-after", "action")
    thread = thread_of(call("run", "agent", QUESTION, *both, server=weather).out)
    words = ("run", "-t", thread, "--resume", "--clear-breakpoints")
    assert call(*words, server=weather).code == 0


@pytest.mark.parametrize(
    "reason, args",
    [
        ("UNKNOWN_NODE", ["run", "agent", "Hi", "--break", "acton"]),
        ("ASSISTANT_NOT_FOUND", ["run", "agnet", "Hi"]),
        ("RESERVED_KEY", ["run", "agent", "Hi", "--metadata", '{"thread_id": "x"}']),
        ("INVALID_FIELD", ["run", "agent", "--input", "null"]),
    ],
)
def test_what_the_server_refuses_is_one_line_with_its_reason(
    weather: str, reason: str, args: list[str]
) -> None:
    result = call(*args, server=weather)
    assert result.err.startswith("graphwire: ")
    assert result.err.endswith(f"[{reason}]\n")
    assert result.err.count("\n") == 1
    assert (result.code, result.out) == (1, "")


def thread_of(out: str) -> str:
    """Returns the thread that the first line of a run's output names."""
    return out.splitlines()[0].rpartition(" ")[2]
