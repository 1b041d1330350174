"""Tool calls of chat messages: which of them wait, and what a review makes of a task.

A review is applied where the approved task begins, not to the state before it: the task keeps
its id, so that what was approved stays approved, and one that has an input of its own (a Send)
can be reviewed as well. The node gets the calls that are left for it; what the reviewer has
decided is a part of what the task writes, so that the state has it once, with its result.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import orjson
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.types import Command
from pydantic import BaseModel

from graphwire_server import jsontext
from graphwire_server.graphs.state_messages import ROOT, Keeping, StateMessages

#: What the model is told of a call that was rejected without a word.
REJECTED = "Rejected by a reviewer."

#: What says in content blocks that a tool is called, and where its arguments are.
_CALL_BLOCKS = {"tool_use": "input", "tool_call": "args", "function_call": "arguments"}

ToolCall = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided about one tool call.

    Attributes:
        tool_call_id: The call.
        decision: What becomes of it.
        args: For "edit": its arguments.
        name: For "edit": the tool; empty: the same.
        message: For "reject": what the model is told; empty: `REJECTED`.
        content: For "respond": the result, a JSON value.
    """

    tool_call_id: str
    decision: Literal["approve", "edit", "reject", "respond"]
    args: dict[str, Any] | None = None
    name: str = ""
    message: str = ""
    content: Any = None


@dataclass(frozen=True, slots=True)
class Review:
    """The decisions on the tool calls of a task.

    Attributes:
        decisions: One for each call.
        beside: What was decided at the same position about the calls of other tasks. Each task
            that changes a message that they share writes it with all that is changed.
    """

    decisions: tuple[Decision, ...]
    beside: tuple[Decision, ...] = ()


def review_text(decisions: Sequence[Decision]) -> str:
    """Returns decisions as the JSON array that is stored, each with what it needs."""
    return jsontext.dumps([_fields(each) for each in decisions])


def review_in(text: str) -> tuple[Decision, ...]:
    """Reads decisions back from `review_text`."""
    return tuple(Decision(**fields) for fields in orjson.loads(text))


def merged(earlier: Sequence[Decision], later: Sequence[Decision]) -> tuple[Decision, ...]:
    """Returns what was decided in two reviews of one task, of which the later one counts.

    It is about the calls that the earlier one has left, as that has left them: to approve one
    that was edited lets it run as it was edited.
    """
    decided = {each.tool_call_id: each for each in earlier}
    for each in later:
        if each.decision != "approve" or each.tool_call_id not in decided:
            decided[each.tool_call_id] = each
    return tuple(decided.values())


def calls_left(tool_calls: str, decisions: Sequence[Decision]) -> str:
    """Returns which tool calls of a task still wait once it was reviewed, as edited.

    Args:
        tool_calls: Those that the task was made with, as JSON text: see `Waiting`.
        decisions: What was decided about them.
    """
    decided = {each.tool_call_id: each for each in decisions}
    left: list[ToolCall] = []
    for call in orjson.loads(tool_calls):
        decision = decided.get(call["id"])
        if decision is None:
            left.append(call)
        elif decision.decision in ("approve", "edit"):
            left.append(_edited(call, decision))
    return jsontext.dumps(left)


def rejecting(tool_calls: str, message: str) -> tuple[Decision, ...]:
    """Returns the decisions that reject all tool calls of a pause.

    Args:
        tool_calls: Those of the pause, as its record has them.
        message: What the model is told; empty: `REJECTED`.
    """
    calls = orjson.loads(tool_calls)
    return tuple(Decision(call["id"], "reject", message=message) for call in calls)


def pending_tool_calls(
    values: Any, channel: str, task_input: Any = None, *, own_input: bool = False
) -> list[dict[str, Any]]:
    """Returns the tool calls that wait for an answer, each as {"id", "name", "args"}.

    Args:
        values: The state.
        channel: Where its messages are; empty if it has none.
        task_input: What the task was sent, if anything.
        own_input: Whether the task was sent its input, so that it does not get the state. The
            calls are those of its input then, whatever the state says.
    """
    if own_input:
        calls = _calls_in(task_input)
        if calls is None:
            calls = _unanswered(_messages_in(task_input, channel))
    else:
        calls = _unanswered(_messages_in(values, channel))
    return [{"id": _id(c), "name": c["name"], "args": dict(c["args"])} for c in calls]


def is_tool_calls(task_input: Any) -> bool:
    """Returns whether what a task was sent is tool calls, with the state beside them or not."""
    return _calls_in(task_input) is not None


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What a review makes of a task.

    Attributes:
        input: What the node gets.
        runs: Whether any call is left for it.
        kept: Where the state has its messages; None if nowhere.
        written: The messages that the task writes for the reviewer.
        shown: The message as the node gets it; None if it does not get it.
        whole: The same as the state has it afterwards.
        state: The messages in the state.
        goto: Where to go if the node does not run, and would have said so; empty: nowhere.
    """

    input: Any
    runs: bool
    kept: StateMessages | None
    written: tuple[BaseMessage, ...]
    shown: AIMessage | None
    whole: AIMessage | None
    state: Sequence[Any]
    goto: str = ""

    def result(self) -> Any:
        """Returns what the task returns whose node does not run."""
        update = self._update()
        return Command(update=update, goto=self.goto) if self.goto else update

    def output(self, returned: Any) -> tuple[Any, list[tuple[str, Any]]]:
        """Returns what the task returns, and what it must write by itself besides.

        What the reviewer decided comes before what the node returned, in one write wherever
        that is possible. A message that the node returns as it got it is whole again.
        """
        if self.kept is None or (not self.written and self.shown == self.whole):
            return returned, []
        if isinstance(returned, list | tuple) and any(isinstance(r, Command) for r in returned):
            return self._several(returned), []
        if returned is None:
            return self._update(), []
        merged = self._merged(returned)
        if merged is None:
            return returned, [(self.kept.channel, self._ours())] if self.written else []
        return merged, []

    def _update(self) -> Any:
        if self.kept is None or not self.written:
            return None
        ours = self._ours()
        return ours if self.kept.channel == ROOT else {self.kept.channel: ours}

    def _several(self, returned: Sequence[Any]) -> list[Any]:
        """Returns a list of updates and commands with what is written in the first it fits."""
        result = list(returned)
        if not self.written:
            return result
        for index, each in enumerate(result):
            merged = self._merged(each)
            if merged is not None:
                result[index] = merged
                return result
        return [self._update(), *result]

    def _merged(self, returned: Any) -> Any:
        """Returns what a node returned with what is written for the reviewer; None if it can't."""
        assert self.kept is not None
        channel = self.kept.channel
        match returned:
            case Command(graph=None, update=None):
                return replace(returned, update={channel: self._ours()})
            case Command(graph=None, update=update):
                merged = self._merged(update) if isinstance(update, Mapping) else None
                return None if merged is None else replace(returned, update=merged)
            case Command(update=Mapping() as update):
                # For the graph above, which has the message only if it is given it here.
                messages = update.get(channel)
                if not isinstance(messages, list) or not any(map(self._is_the_message, messages)):
                    return None
                return replace(returned, update={**update, channel: self._filled(messages)})
            case Command():
                return None
            case BaseMessage() | list() | tuple() if channel == ROOT:
                return self._joined(returned)
            case Mapping() if channel != ROOT:
                if channel not in returned:
                    return {channel: self._ours(), **returned}
                joined = self._joined(returned[channel])
                return None if joined is None else {**returned, channel: joined}
            case _ if channel != ROOT and hasattr(returned, channel):
                joined = self._joined(getattr(returned, channel))
                return None if joined is None else _replaced(returned, channel, joined)
        return None

    def _joined(self, messages: Any) -> list[Any] | None:
        """Returns messages of the node with those of the reviewer; None if they are none."""
        if isinstance(messages, BaseMessage):
            messages = [messages]
        if not isinstance(messages, list | tuple):
            return None
        if any(map(self._is_the_message, messages)):
            return self._filled(messages)
        return [*self.written, *messages]

    def _ours(self) -> list[Any]:
        """Returns what the channel is written where the node writes nothing to it."""
        assert self.kept is not None
        if self.kept.keeping is Keeping.LAST:
            ours = [self.whole if self._is_the_message(m) else m for m in self.state]
            return self._filled(ours)
        return list(self.written)

    def _filled(self, messages: Sequence[Any]) -> list[Any]:
        """Returns a whole conversation with what was decided about its message."""
        answers = [message for message in self.written if isinstance(message, ToolMessage)]
        result: list[Any] = []
        for message in messages:
            if self._is_the_message(message):
                result += [self._whole_again(message), *answers]
                answers = []
            else:
                result.append(message)
        return [*result, *answers]

    def _is_the_message(self, message: Any) -> bool:
        return (
            isinstance(message, AIMessage)
            and self.whole is not None
            and (message.id == self.whole.id if message.id else message == self.shown)
        )

    def _whole_again(self, message: AIMessage) -> AIMessage:
        """Returns the message with the calls that the node did not get.

        What the node, or a graph that it is, has made of those that it got stays.
        """
        assert self.whole is not None
        if self.shown is None or message == self.shown or message == self.whole:
            return self.whole
        now = {_id(call): call for call in message.tool_calls}
        got = {_id(call) for call in self.shown.tool_calls}
        kept = [
            now.pop(_id(c), c) for c in self.whole.tool_calls if _id(c) in now or _id(c) not in got
        ]
        return _with_calls(message, [*kept, *now.values()])


def reviewed(
    review: Review,
    given: Any,
    kept: StateMessages | None,
    state: Any,
    task_id: str,
    *,
    goto: str = "",
    own_input: bool = False,
) -> Reviewed:
    """Applies a review to a task that is about to begin.

    Args:
        review: The review.
        given: What the node would get.
        kept: Where its graph has its messages; None if nowhere.
        state: What is there.
        task_id: The task.
        goto: Where the node goes, if it alone says so.
        own_input: Whether the task was sent what it would get, and does not get the state.
    """
    there = list(state) if isinstance(state, list | tuple) else []
    listed = _messages_in(given, kept.channel) if kept is not None else []
    waiting = _calls_in(given) if own_input else None
    sent = waiting is not None
    if waiting is None:
        waiting = _unanswered(listed or there)
    decided = {each.tool_call_id: each for each in review.decisions}
    left = [
        _edited(call, decided[_id(call)])
        for call in waiting
        if _id(call) in decided and decided[_id(call)].decision in ("approve", "edit")
    ]
    shown = None if sent else _last_ai(listed)
    if sent:
        new_input = _with_own_calls(given, left)
    elif shown is not None and kept is not None:
        less = _with_calls(shown, left)
        messages = [less if message is shown else message for message in listed]
        new_input = given if less == shown else _replaced(given, kept.channel, messages)
        shown = less
    else:
        new_input = given

    asked = _asked(there, waiting)
    edits = {d.tool_call_id: d for d in (*review.beside, *review.decisions) if d.decision == "edit"}
    whole = asked and _with_edits(asked, edits)
    written: list[BaseMessage] = []
    merges = kept is not None and kept.keeping is not Keeping.APPENDED
    if whole is not None and whole != asked and merges:
        written.append(whole)
    for call in waiting:
        answer = decided.get(_id(call))
        if answer is not None and answer.decision in ("reject", "respond"):
            written.append(_answer(call, answer, (asked.id if asked else None) or task_id))
    return Reviewed(
        input=new_input,
        runs=bool(left),
        kept=kept,
        written=tuple(written),
        shown=shown,
        whole=whole,
        state=there,
        goto=goto,
    )


def answered_by_a_reviewer(given: Any, kept: StateMessages | None) -> Review | None:
    """Returns the review of a tool node that must not run what a reviewer has answered before it.

    The tool node runs every call of the last message, answered or not. Where a call was rejected
    at a node before it, or answered there in the tool's place, it is not to run any more; what a
    tool has answered may run again. None if no reviewer has answered any of its calls.
    """
    messages = _messages_in(given, kept.channel) if kept is not None else []
    asks = _last_ai(messages)
    if asks is None:
        return None
    there = {message.id for message in messages if isinstance(message, ToolMessage)}
    mine = {_id(call) for call in asks.tool_calls if _answer_id(asks.id or "", call) in there}
    left = [call for call in asks.tool_calls if _id(call) not in mine]
    return Review(tuple(Decision(_id(call), "approve") for call in left)) if mine else None


def _answer_id(whose: str, call: ToolCall) -> str:
    """Returns the id of the message in which a reviewer answers a call.

    However often it is written, and by whichever of several tasks: it is one message.
    """
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{whose} {_id(call)}"))


def amendment(
    reviews: Mapping[str, Review],
) -> Callable[[CheckpointTuple], CheckpointTuple] | None:
    """Returns what brings the results of tasks that have finished up to date; None for nothing.

    Two tasks may have calls of one message, each changed in a run of its own. The one that
    finished first has written the message with what it knew, and if it comes after the other in
    the step, that is what would stay.
    """
    edits = {
        decision.tool_call_id: decision
        for review in reviews.values()
        for decision in review.decisions
        if decision.decision == "edit"
    }
    if not edits:
        return None

    def amend(found: CheckpointTuple) -> CheckpointTuple:
        writes = [
            (task_id, channel, _with_edits(value, edits) if task_id in reviews else value)
            for task_id, channel, value in found.pending_writes or ()
        ]
        return found._replace(pending_writes=writes)

    return amend


def _with_edits(value: Any, edits: Mapping[str, Decision]) -> Any:
    if isinstance(value, list):
        return [_with_edits(each, edits) for each in value]
    if not isinstance(value, AIMessage) or not any(_id(c) in edits for c in value.tool_calls):
        return value
    return _with_calls(
        value, [_edited(c, edits[_id(c)]) if _id(c) in edits else c for c in value.tool_calls]
    )


def _fields(decision: Decision) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "tool_call_id": decision.tool_call_id,
        "decision": decision.decision,
    }
    match decision.decision:
        case "edit":
            fields["args"] = decision.args
            if decision.name:
                fields["name"] = decision.name
        case "reject":
            fields["message"] = decision.message
        case "respond":
            fields["content"] = decision.content
    return fields


def _id(call: ToolCall) -> str:
    # Some models give none.
    return call.get("id") or ""


def _calls_in(given: Any) -> list[ToolCall] | None:
    """Returns the tool calls that are a task's own input; None if it is something else.

    The prebuilt agents send a list of calls, or one with the state beside it; others an object
    of their own that has one call, or one list of calls.
    """
    if _is_call(given):
        return [given]
    if _are_calls(given):
        return list(given)
    if isinstance(given, Mapping) and (key := _key_of_calls(given)) is not None:
        return [given[key]] if _is_call(given[key]) else list(given[key])
    return None


def _key_of_calls(given: Mapping[str, Any]) -> str | None:
    """Returns under which key an object has tool calls; None if under none, or under several.

    One that has the message itself is a state: what else it has of the calls is its own affair.
    """
    if any(_last_ai(each) is not None for each in given.values() if isinstance(each, list)):
        return None
    if _is_call(given.get("tool_call")):
        return "tool_call"
    keys = [key for key, value in given.items() if _is_call(value) or _are_calls(value)]
    return keys[0] if len(keys) == 1 else None


def _are_calls(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_call, value))


def _is_call(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and {"id", "name", "args"} <= value.keys() <= {"id", "name", "args", "type"}
        and isinstance(value["name"], str)
        and isinstance(value["args"], Mapping)
    )


def _with_own_calls(given: Any, calls: Sequence[ToolCall]) -> Any:
    if isinstance(given, list):
        return list(calls)
    if not calls:
        return given
    if _is_call(given):
        return calls[0]
    key = _key_of_calls(given)
    assert key is not None
    return {**given, key: calls[0] if _is_call(given[key]) else list(calls)}


def _messages_in(values: Any, channel: str) -> list[Any]:
    if not channel:
        return []
    if channel == ROOT:
        found = values
    elif isinstance(values, Mapping):
        found = values.get(channel)
    else:
        found = getattr(values, channel, None)
    if isinstance(found, BaseMessage):
        return [found]
    return list(found) if isinstance(found, list | tuple) else []


def _last_ai(messages: Sequence[Any]) -> AIMessage | None:
    return next((m for m in reversed(messages) if isinstance(m, AIMessage)), None)


def _unanswered(messages: Sequence[Any]) -> list[ToolCall]:
    """Returns the tool calls of the last AI message that no later tool message answers."""
    answered = set()
    for message in reversed(messages):
        if isinstance(message, ToolMessage):
            answered.add(message.tool_call_id)
        elif isinstance(message, AIMessage):
            return [call for call in message.tool_calls if call["id"] not in answered]
    return []


def _asked(messages: Sequence[Any], calls: Sequence[ToolCall]) -> AIMessage | None:
    """Returns the message that calls are of."""
    ids = {_id(call) for call in calls}
    return next(
        (
            message
            for message in reversed(messages)
            if isinstance(message, AIMessage) and any(_id(c) in ids for c in message.tool_calls)
        ),
        None,
    )


def _edited(call: ToolCall, decision: Decision) -> Any:
    if decision.decision != "edit":
        return call
    return {**call, "name": decision.name or call["name"], "args": decision.args}


def _answer(call: ToolCall, decision: Decision, whose: str) -> ToolMessage:
    message_id = _answer_id(whose, call)
    if decision.decision == "reject":
        return ToolMessage(
            content=decision.message or REJECTED,
            name=call["name"],
            tool_call_id=_id(call),
            status="error",
            id=message_id,
        )
    return ToolMessage(
        content=_content(decision.content),
        name=call["name"],
        tool_call_id=_id(call),
        id=message_id,
    )


def _content(value: Any) -> Any:
    blocks = isinstance(value, list) and all(isinstance(each, str | dict) for each in value)
    return value if isinstance(value, str) or blocks else jsontext.dumps(value)


def _replaced(given: Any, channel: str, messages: list[Any]) -> Any:
    """Returns a state with other messages, of the type that it has."""
    if channel == ROOT:
        return messages
    if isinstance(given, Mapping):
        return {**given, channel: messages}
    if isinstance(given, BaseModel):
        return given.model_copy(update={channel: messages})
    changed = copy.copy(given)
    object.__setattr__(changed, channel, messages)
    return changed


def _with_calls(message: AIMessage, calls: Sequence[ToolCall]) -> AIMessage:
    """Returns a message with other tool calls, also where its provider has them again."""
    if list(calls) == message.tool_calls:
        return message
    by_id = {_id(call): call for call in calls}
    update: dict[str, Any] = {"tool_calls": list(calls)}
    if isinstance(message.content, list):
        update["content"] = [
            changed
            for block in message.content
            if (changed := _changed_block(block, by_id)) is not None
        ]
    raw = message.additional_kwargs.get("tool_calls")
    if isinstance(raw, list):
        kept = [_changed_raw(each, by_id) for each in raw if _raw_id(each) in by_id]
        update["additional_kwargs"] = {**message.additional_kwargs, "tool_calls": kept}
    if hasattr(message, "tool_call_chunks"):
        update["tool_call_chunks"] = []
    return message.model_copy(update=update)


def _changed_block(block: Any, by_id: Mapping[str, ToolCall]) -> Any:
    """Returns a content block as it is with other tool calls; None if it is of none of them."""
    kind = block.get("type") if isinstance(block, Mapping) else None
    if kind not in _CALL_BLOCKS:
        return block
    call = by_id.get(block.get("call_id") or block.get("id") or "")
    if call is None:
        return None
    args = jsontext.dumps(call["args"]) if kind == "function_call" else call["args"]
    return {**block, "name": call["name"], _CALL_BLOCKS[kind]: args}


def _raw_id(raw: Any) -> str:
    return (raw.get("id") or "") if isinstance(raw, Mapping) else ""


def _changed_raw(raw: Any, by_id: Mapping[str, ToolCall]) -> Any:
    call = by_id[_raw_id(raw)]
    function = raw.get("function")
    if not isinstance(function, Mapping):
        return raw
    args = jsontext.dumps(call["args"])
    return {**raw, "function": {**function, "name": call["name"], "arguments": args}}
