"""What a command updates and where it goes, checked in itself; a caller's, or a node's."""

from __future__ import annotations

from graphwire import errors
from graphwire.v1 import run_pb2, threads_pb2

from graphwire_server.rpc import validation
from graphwire_server.rpc.payloads import PayloadCodec
from graphwire_server.runs.request import Given

CommandMessage = run_pb2.Command | threads_pb2.NodeCommand


def read_update(codec: PayloadCodec, command: CommandMessage, field: str) -> Given | None:
    """Returns what a command updates; None: nothing.

    Args:
        codec: Reads payloads.
        command: The command.
        field: The field that it is in.

    Raises:
        InvalidArgumentError: It is no update.
    """
    if not command.HasField("update"):
        return None
    value = codec.read(command.update, f"{field}.update")
    if value in (None, {}):
        raise errors.InvalidFieldError(
            "null and {} update nothing; leave it out", field=f"{field}.update"
        )
    return Given(value)


def read_goto(
    codec: PayloadCodec, command: CommandMessage, field: str
) -> list[tuple[str, Given | None]]:
    """Returns the nodes that a command goes to, each with what it gets in place of the state.

    Args:
        codec: Reads payloads.
        command: The command.
        field: The field that it is in.

    Raises:
        InvalidArgumentError: A node is not named, or gets null.
    """
    goto: list[tuple[str, Given | None]] = []
    for index, step in enumerate(command.goto):
        path = f"{field}.goto[{index}]"
        node = validation.required(step.node, f"{path}.node")
        given = None
        if step.HasField("input"):
            given = Given(codec.read(step.input, f"{path}.input"))
            if given.value is None:
                text = "null is no input; leave it out to give the node the state"
                raise errors.InvalidFieldError(text, field=f"{path}.input")
        goto.append((node, given))
    return goto
