"""The examples on the pages in docs/ do what the pages say, section by section."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from graphwire_server.graphs.conditions import compile_condition

from tests.docs.page import Block, Reader, sections
from tests.servers import ServerProcess

ROOT = Path(__file__).parent.parent.parent
PROJECT = ROOT / "examples" / "human_in_the_loop"
PAGES = {name: sections(ROOT / "docs" / name) for name in ("human-in-the-loop.md", "conditions.md")}
SECTIONS = [
    (page, heading)
    for page, blocks in PAGES.items()
    for heading in blocks
    if heading and blocks[heading]
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server on the project that the pages talk to."""
    process = ServerProcess(tmp_path_factory.mktemp("pages") / "graphwire.db", PROJECT).start()
    yield process
    assert process.stop() == 0, process.log


def preamble(page: str) -> tuple[Block, Block, Block]:
    """What a page says first: how to serve, to connect, and to call."""
    serve, connect, define = PAGES[page][""]
    return serve, connect, define


@pytest.mark.parametrize("page, heading", SECTIONS)
async def test_a_section_does_what_it_says(page: str, heading: str, server: ServerProcess) -> None:
    _, connect, define = preamble(page)
    reader = Reader(server.address, prelude=define.text)
    await reader.follow(connect)
    try:
        for block in PAGES[page][heading]:
            await reader.follow(block)
    finally:
        await reader.names["client"].close()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_serves_the_project_that_it_talks_to(page: str) -> None:
    serve, _, _ = preamble(page)
    assert serve.text == f"graphwire serve {PROJECT.relative_to(ROOT)}\n"


def test_the_conditions_that_are_shown_are_conditions() -> None:
    text = (ROOT / "docs" / "conditions.md").read_text()
    shown = re.findall(r"^\| `([^`]+)` \| [a-z].* \|$", text.partition("## Examples")[2], re.M)
    assert len(shown) == 11
    for condition in shown:
        compile_condition(condition, None)


def test_pages_lead_to_pages_that_exist() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


async def test_a_page_that_shows_something_else_is_found_out() -> None:
    reader = Reader("127.0.0.1:1")
    for shown in ("1\n", "3\n", "2\n2\n", "2 …\n"):
        with pytest.raises(AssertionError):
            await reader.follow(Block("python", "print(1 + 1)", shown))
    one, other = "0" * 32, "1" * 32
    with pytest.raises(AssertionError):
        await reader.follow(Block("python", f"print('{one} {one}')", f"{one} {other}\n"))
    with pytest.raises(AssertionError):
        await reader.follow(Block("sh", "echo ERROR", None))
