"""`graphwire run`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from graphwire_server.cli.commands.options import Json, Target, Tls, Token, paragraphs
from graphwire_server.cli.connection import DEFAULT_TARGET, Connection, connected

_EPILOG = paragraphs(
    "Examples:",
    '    graphwire run agent "What is the weather in Paris?"',
    '    graphwire run agent "And in Oslo?" --thread THREAD --break action',
    '    graphwire run agent "And in Bonn?" --break "action if state.messages[-1].tool_calls'
    ".exists(t, t.name == 'refund')\"",
    "    graphwire run --thread THREAD --resume",
    "    graphwire run --thread THREAD --resume --answer '{\"approved\": true}'",
    "    graphwire run agent --input @question.json --json | jq -c .type",
    "At a pause it asks what to do next: `help` there says more. Ctrl-C pauses the run, and a "
    "second one leaves it to that: `graphwire attach THREAD` comes back to it.",
    "Exit codes: 0 done, 1 the run failed or was refused, 2 wrong usage, 3 no server, "
    "4 paused, 130 left with Ctrl-C.",
)

_PAUSES = "Pauses"
_OPTIONS = "Run options"


def run(
    assistant: Annotated[
        str | None,
        typer.Argument(
            metavar="ASSISTANT",
            help="The assistant. Default: the thread's, or the only one there is.",
            show_default=False,
        ),
    ] = None,
    message: Annotated[
        str | None,
        typer.Argument(
            metavar="MESSAGE",
            help='What the user says: {"messages": [{"role": "user", "content": MESSAGE}]}.',
            show_default=False,
        ),
    ] = None,
    input: Annotated[
        str | None,
        typer.Option(
            "--input", "-i", metavar="JSON|@FILE|-", help="The input, as the graph takes it."
        ),
    ] = None,
    thread: Annotated[
        str | None,
        typer.Option("--thread", "-t", metavar="ID", help="The thread. Default: a new one."),
    ] = None,
    create: Annotated[
        bool, typer.Option("--create", help="Create the thread if it does not exist.")
    ] = False,
    stateless: Annotated[
        bool, typer.Option("--stateless", help="Run without keeping a thread.")
    ] = False,
    as_json: Json = False,
    break_before: Annotated[
        list[str] | None,
        typer.Option(
            "--break",
            "-b",
            metavar="NODE[:after][ if CONDITION]",
            help="Pause before this node, or after it, if a condition in CEL is true; "
            "child/NODE in a subgraph, '*' for all. May be repeated.",
            rich_help_panel=_PAUSES,
        ),
    ] = None,
    break_after: Annotated[
        list[str] | None,
        typer.Option(
            "--break-after",
            metavar="NODE[ if CONDITION]",
            help="Pause after this node; as --break NODE:after.",
            rich_help_panel=_PAUSES,
        ),
    ] = None,
    step: Annotated[
        bool,
        typer.Option("--step", help="Pause before the first node.", rich_help_panel=_PAUSES),
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", "-r", help="Go on where --thread is paused.", rich_help_panel=_PAUSES
        ),
    ] = False,
    answer: Annotated[
        str | None,
        typer.Option(
            metavar="JSON|TEXT",
            help="With --resume: the answer to what the node asks.",
            rich_help_panel=_PAUSES,
        ),
    ] = None,
    answers: Annotated[
        str | None,
        typer.Option(
            metavar="JSON|@FILE|-",
            help="With --resume: an object of answers by pause id.",
            rich_help_panel=_PAUSES,
        ),
    ] = None,
    pause: Annotated[
        list[str] | None,
        typer.Option(
            "--pause",
            metavar="ID",
            help="With --resume: go on from this pause, not from all. May be repeated.",
            rich_help_panel=_PAUSES,
        ),
    ] = None,
    discard: Annotated[
        bool,
        typer.Option(
            "--discard",
            help="Give up what the thread is paused at, and start with the new input.",
            rich_help_panel=_PAUSES,
        ),
    ] = False,
    clear_breakpoints: Annotated[
        bool,
        typer.Option(
            "--clear-breakpoints",
            help="With --resume: drop the breakpoints of the run before.",
            rich_help_panel=_PAUSES,
        ),
    ] = False,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", "-y", help="Go on at breakpoints without asking.", rich_help_panel=_PAUSES
        ),
    ] = False,
    no_prompt: Annotated[
        bool,
        typer.Option(
            "--no-prompt",
            help="Never ask: stop at a pause with exit code 4.",
            rich_help_panel=_PAUSES,
        ),
    ] = False,
    mode: Annotated[
        list[str] | None,
        typer.Option(
            "--mode",
            "-m",
            metavar="MODE",
            help="values, updates, messages, tasks, checkpoints, custom or debug. May be "
            "repeated. Default: updates, messages and custom.",
            rich_help_panel=_OPTIONS,
        ),
    ] = None,
    subgraphs: Annotated[
        bool,
        typer.Option(
            "--subgraphs", help="Show the events of subgraphs too.", rich_help_panel=_OPTIONS
        ),
    ] = False,
    context: Annotated[
        str | None,
        typer.Option(metavar="JSON|@FILE|-", help="The run's context.", rich_help_panel=_OPTIONS),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            metavar="JSON|@FILE|-",
            help="An object with recursion_limit, tags or configurable.",
            rich_help_panel=_OPTIONS,
        ),
    ] = None,
    metadata: Annotated[
        str | None,
        typer.Option(metavar="JSON|@FILE|-", help="Kept with the run.", rich_help_panel=_OPTIONS),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Start from this checkpoint of the thread instead of its head.",
            rich_help_panel=_OPTIONS,
        ),
    ] = None,
    server: Target = DEFAULT_TARGET,
    token: Token = None,
    tls: Tls = False,
) -> None:
    """Run an assistant, and watch it: tokens, tools, pauses."""
    from graphwire_server.cli.start import RunArguments, read_start

    connection = Connection(server, token, tls)
    start = read_start(
        RunArguments(
            assistant=assistant,
            message=message,
            input=input,
            thread=thread,
            create=create,
            stateless=stateless,
            break_before=break_before,
            break_after=break_after,
            resume=resume,
            answer=answer,
            answers=answers,
            pauses=pause,
            discard=discard,
            clear_breakpoints=clear_breakpoints,
            modes=mode,
            subgraphs=subgraphs,
            context=context,
            config=config,
            metadata=metadata,
            checkpoint=checkpoint,
            step=step,
        )
    )
    with connected(connection) as client:
        from graphwire_server.cli.run import RunSession

        session = RunSession(client, connection, as_json=as_json, prompt=not no_prompt, approve=yes)
        raise typer.Exit(session.run(start))


def add_to(app: typer.Typer) -> None:
    """Adds the command to an app."""
    app.command(epilog=_EPILOG)(run)
