"""`graphwire graph`."""

from __future__ import annotations

import sys

from graphwire import Client
from rich.text import Text

from graphwire_server.cli import jsonlines
from graphwire_server.cli.console import out, say
from graphwire_server.cli.drawing import draw_graph
from graphwire_server.cli.run import only_assistant


def show_graph(
    client: Client, assistant_id: str, *, depth: int, mermaid: bool, as_json: bool
) -> None:
    """Draws an assistant's graph on stdout."""
    graph = client.assistants.graph(assistant_id or only_assistant(client), depth=depth)
    if as_json:
        jsonlines.write(graph)
        return
    if mermaid:
        sys.stdout.write(graph.mermaid.rstrip("\n") + "\n")
        return
    console = out()
    drawing = draw_graph(graph)
    if console.is_terminal and drawing.width > console.width:
        say(f"the drawing takes {drawing.width} columns, this terminal has {console.width}")
    console.print(drawing.text, soft_wrap=True)
    if drawing.legend:
        console.print()
        console.print(Text(drawing.legend, style="dim"), soft_wrap=True)
