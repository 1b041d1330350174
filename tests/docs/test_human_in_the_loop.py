"""The examples in docs/human-in-the-loop.md do what the page says, section by section."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.page import Reader, sections
from tests.servers import ServerProcess

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "human-in-the-loop.md"
PROJECT = ROOT / "examples" / "human_in_the_loop"
SECTIONS = sections(PAGE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server on the page's project."""
    process = ServerProcess(tmp_path_factory.mktemp("hitl") / "graphwire.db", PROJECT).start()
    yield process
    assert process.stop() == 0, process.log


@pytest.mark.parametrize("heading", [heading for heading in SECTIONS if SECTIONS[heading]][1:])
async def test_the_examples_do_what_the_page_says(heading: str, server: ServerProcess) -> None:
    serve, connect, define = SECTIONS[""]
    assert serve.text == f"graphwire serve {PROJECT.relative_to(ROOT)}\n"
    prelude = define.text.replace("127.0.0.1:50051", server.address)
    reader = Reader(server.address, prelude=prelude)
    await reader.follow(connect)
    try:
        for block in SECTIONS[heading]:
            await reader.follow(block)
    finally:
        await reader.names["client"].close()
