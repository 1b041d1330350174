"""`graphwire inbox`: its commands and options."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption

from graphwire_server.cli.commands.options import Json, Limit, Target, Tls, Token, paragraphs
from graphwire_server.cli.connection import DEFAULT_TARGET, Connection, connected

_EPILOG = paragraphs(
    "At a terminal it asks for the number of a pause, shows it, and takes what you decide: `help` "
    "there says more.",
    "Examples:",
    "    graphwire inbox",
    "    graphwire inbox --tool refund --watch",
    "    graphwire inbox approve 9f3ad1c2",
    "    graphwire inbox reject 9f3ad1c2 'over the limit'",
    "    graphwire inbox answer 9f3ad1c2 '{\"amount\": 20}'",
)

app = typer.Typer(epilog=_EPILOG)

PauseId = Annotated[str, typer.Argument(metavar="PAUSE", help="The pause's id, or the end of it.")]
As = Annotated[
    str,
    typer.Option("--as", metavar="WHO", help="For whom you decide; kept with the pause."),
]
#: A number, or a text that begins with one; no option does.
_NEGATIVE = re.compile(r"-\.?\d")
_FILTER = "Which pauses"
Thread = Annotated[
    str, typer.Option("--thread", "-t", metavar="ID", help="Its thread.", rich_help_panel=_FILTER)
]
Assistant = Annotated[
    str, typer.Option(metavar="ID", help="The assistant of its run.", rich_help_panel=_FILTER)
]
Node = Annotated[str, typer.Option(metavar="NODE", help="Its node.", rich_help_panel=_FILTER)]
Label = Annotated[
    str,
    typer.Option(metavar="TEXT", help="The label of a breakpoint there.", rich_help_panel=_FILTER),
]
Tool = Annotated[
    str, typer.Option(metavar="NAME", help="A tool whose call waits.", rich_help_panel=_FILTER)
]
Metadata = Annotated[
    str | None,
    typer.Option(
        metavar="JSON|@FILE|-",
        help="An object that the thread's metadata contains.",
        rich_help_panel=_FILTER,
    ),
]


@app.callback(invoke_without_command=True)
def inbox(
    ctx: typer.Context,
    thread: Thread = "",
    assistant: Assistant = "",
    node: Node = "",
    label: Label = "",
    tool: Tool = "",
    metadata: Metadata = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show pauses as they come and go, until Ctrl-C.")
    ] = False,
    limit: Limit = 50,
    as_json: Json = False,
    server: Target = DEFAULT_TARGET,
    token: Token = None,
    tls: Tls = False,
) -> None:
    """List the pauses of all threads, and answer them."""
    if ctx.invoked_subcommand is not None:
        return
    connection = Connection(server, token, tls)
    with connected(connection) as client:
        from graphwire_server.cli.inbox import Filter, open_inbox, watch_inbox

        wanted = Filter(
            thread=thread,
            assistant=assistant,
            node=node,
            label=label,
            tool=tool,
            metadata=metadata,
        )
        if watch:
            watch_inbox(client, wanted, as_json=as_json)
        else:
            open_inbox(client, connection, wanted, limit=limit, as_json=as_json)


@app.command("list")
def list_(
    thread: Thread = "",
    assistant: Assistant = "",
    node: Node = "",
    label: Label = "",
    tool: Tool = "",
    metadata: Metadata = None,
    limit: Limit = 50,
    as_json: Json = False,
    server: Target = DEFAULT_TARGET,
    token: Token = None,
    tls: Tls = False,
) -> None:
    """List open pauses, those that have waited longest first."""
    with connected(Connection(server, token, tls)) as client:
        from graphwire_server.cli.inbox import Filter, list_inbox

        wanted = Filter(
            thread=thread,
            assistant=assistant,
            node=node,
            label=label,
            tool=tool,
            metadata=metadata,
        )
        list_inbox(client, wanted, limit=limit, as_json=as_json)


@app.command()
def show(
    pause: PauseId,
    as_json: Json = False,
    server: Target = DEFAULT_TARGET,
    token: Token = None,
    tls: Tls = False,
) -> None:
    """Show a pause, and how it is answered."""
    connection = Connection(server, token, tls)
    with connected(connection) as client:
        from graphwire_server.cli.inbox import show_pause

        show_pause(client, connection, pause, as_json=as_json)


class _TakesNegativeNumbers(TyperCommand):
    """A command of which the last argument may be a number below zero, not only after `--`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        valued = {
            name
            for param in self.params
            if isinstance(param, TyperOption) and not param.is_flag
            for name in param.opts
        }
        for place, (before, arg) in enumerate(pairwise(["", *args])):
            if arg == "--":
                break
            if _NEGATIVE.match(arg) and before not in valued:
                args = [*args[:place], *args[place + 1 :], "--", arg]
                break
        return super().parse_args(ctx, args)


@app.command(cls=_TakesNegativeNumbers)
def answer(
    pause: PauseId,
    value: Annotated[str, typer.Argument(metavar="ANSWER", help="JSON, or else text.")],
    who: As = "",
    server: Target = DEFAULT_TARGET,
    token: Token = None,
    tls: Tls = False,
) -> None:
    """Answer a question."""
    connection = Connection(server, token, tls)
    with connected(connection) as client:
        from graphwire_server.cli.inbox import answer_pause

        answer_pause(client, connection, pause, value, who)


@app.command()
def approve(
    pause: PauseId,
    who: As = "",
    server: Target = DEFAULT_TARGET,
    token: Token = None,
    tls: Tls = False,
) -> None:
    """Let what waits at a breakpoint run."""
    connection = Connection(server, token, tls)
    with connected(connection) as client:
        from graphwire_server.cli.inbox import approve_pause

        approve_pause(client, connection, pause, who)


@app.command()
def reject(
    pause: PauseId,
    message: Annotated[
        str, typer.Argument(metavar="[MESSAGE]", help="What the model is told.")
    ] = "",
    who: As = "",
    server: Target = DEFAULT_TARGET,
    token: Token = None,
    tls: Tls = False,
) -> None:
    """Reject the tool calls that wait at a breakpoint."""
    connection = Connection(server, token, tls)
    with connected(connection) as client:
        from graphwire_server.cli.inbox import reject_pause

        reject_pause(client, connection, pause, message, who)
