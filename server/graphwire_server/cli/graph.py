"""`graphwire graph`."""

from __future__ import annotations

import sys

from graphwire import Client
from graphwire.values import AssistantGraph
from rich.console import Console
from rich.text import Text

from graphwire_server.cli import jsonlines
from graphwire_server.cli.console import out, say
from graphwire_server.cli.drawing import Drawing, TooLargeError, draw_graph
from graphwire_server.cli.drawing.listing import list_graph
from graphwire_server.cli.run import only_assistant
from graphwire_server.cli.tables import show_fields
from graphwire_server.cli.visible import visible

_LISTED = "instead: where each node leads"


def show_graph(
    client: Client, assistant_id: str, *, depth: int, mermaid: bool, as_json: bool
) -> None:
    """Draws an assistant's graph on stdout; lists it if it is too large for that."""
    graph = client.assistants.graph(assistant_id or only_assistant(client), depth=depth)
    if as_json:
        jsonlines.write(graph)
        return
    if mermaid:
        sys.stdout.write(visible(graph.mermaid).rstrip("\n") + "\n")
        return
    console = out()
    drawing = _drawing(console, graph)
    if drawing is not None:
        console.print(drawing.text, soft_wrap=True)
        legend = drawing.legend
    else:
        listing = list_graph(graph)
        show_fields(console, listing.rows)
        legend = listing.legend
    if legend:
        console.print()
        console.print(Text(legend, style="dim"), soft_wrap=True)


def _drawing(console: Console, graph: AssistantGraph) -> Drawing | None:
    """Returns a graph's drawing; None, and says why, if there is none that can be shown."""
    try:
        drawing = draw_graph(graph)
    except TooLargeError as error:
        say(str(error), f"{_LISTED}; with --mermaid other programs can draw it")
        return None
    if console.is_terminal and drawing.width > console.width:
        say(
            f"the drawing takes {drawing.width} columns, this terminal has {console.width}",
            f"{_LISTED}; piped to `less -S` it is drawn",
        )
        return None
    return drawing
