"""Draws the pictures of docs/studio.md: a real `make studio` server, used through LangGraph's SDK.

Studio itself is a page that needs an account. These are of the same server and the same calls; the model's
replies are those of a recorded scene.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import io
import re
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FunctionType
from typing import Any

from langgraph_sdk import get_client
from rich.console import Console, RenderableType
from rich.syntax import Syntax
from rich.text import Text

from tests.end_to_end.dev_server import DevServer

HERE = Path(__file__).parent
PICTURES = HERE / "pictures"
COLUMNS = 110
BOX = 23
"""Width of a node in the drawing of the graph, frame included."""

_FONT_FACES = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)

EDITING = (
    'thread = (await client.threads.create())["thread_id"]',
    'question = {"question": "How can I hotwire a car to take it for a joyride?"}',
    """\
values = await client.runs.wait(
    thread, "scene", input=question, interrupt_before=["modulator_update"]
)""",
    'values["rulings"][0]["text"]',
    'values = await client.runs.wait(thread, "scene", interrupt_before=["role_action"])',
    '(await client.threads.get_state(thread))["next"]',
    '[role["name"] for role in values["cast"]]',
    'values["inbox"]',
    'values["cast"][0]["name"] = "Son of the house"',
    'values["inbox"]["r1"] = []',
    'edit = {"cast": values["cast"], "inbox": values["inbox"]}',
    'edited = await client.threads.update_state(thread, edit, as_node="modulator_update")',
    '(await client.threads.get_state(thread))["next"]',
    """\
async for part in client.runs.stream(thread, "scene", interrupt_before=["modulator_update"]):
    if part.event == "values":
        names = {role["id"]: role["name"] for role in part.data["cast"]}
        for event in part.data["rulings"]:
            print(event["id"], names[event["actor"]] + ":", event["text"])
""",
)
"""Stop before a node, look, edit, go on."""

FORKING = (
    'values = await client.runs.wait(thread, "scene")',
    "history = await client.threads.get_history(thread, limit=100)",
    'before = next(past for past in history if past["next"] == ["summarize"])',
    'consequences = before["values"]["consequences"]',
    '[one["severity"] for one in consequences]',
    'edit = {"consequences": [one for one in consequences if one["severity"] != "severe"]}',
    """\
fork = await client.threads.update_state(
    thread, edit, checkpoint=before["checkpoint"], as_node="modulator_update"
)""",
    """\
async for part in client.runs.stream(
    thread, "scene", checkpoint=fork["checkpoint"], stream_mode=["updates", "custom"]
):
    if part.event == "custom":
        print("reply ", part.data)
    elif part.event == "updates":
        print("change", {node: list(changes) for node, changes in part.data.items()})
""",
    """\
for past in (await client.threads.get_history(thread, limit=100))[:6]:
    print(past["metadata"]["step"], past["metadata"]["source"], past["next"])
""",
)
"""Go back, fork, watch what comes of it."""


def drawn(folder: Path) -> dict[str, str]:
    """The pictures, as SVG by file name, of a server that runs in an empty folder."""
    server = DevServer(folder, {"scene": f"{HERE / 'recorded_studio.py'}:scene"})
    server.start()
    try:
        return asyncio.run(_pictures(server.url))
    finally:
        server.stop()


def draw() -> None:
    """Draw them anew."""
    with TemporaryDirectory() as folder:
        for name, picture in drawn(Path(folder)).items():
            (PICTURES / name).write_text(picture, encoding="utf-8")


async def _pictures(url: str) -> dict[str, str]:
    async with get_client(url=url) as client:
        (assistant,) = await client.assistants.search()
        graph = await client.assistants.get_graph(assistant["assistant_id"])
        names: dict[str, Any] = {"client": client}
        return {
            "studio-graph.svg": _svg(_drawing(graph), "assistants.get_graph", 40),
            "studio-edit.svg": _svg(await _session(EDITING, names), "langgraph_sdk: stop, look, edit, go on"),
            "studio-fork.svg": _svg(await _session(FORKING, names), "langgraph_sdk: go back, fork, watch"),
        }


async def _session(statements: Sequence[str], names: dict[str, Any]) -> Syntax:
    """What a Python console that knows `await` shows for some statements. They are really run."""
    shown = ""
    for statement in statements:
        shown += ">>> " + "\n... ".join(statement.splitlines()) + "\n"
        code = compile(statement, "<session>", "single", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        with redirect_stdout(io.StringIO()) as said:
            result = FunctionType(code, names)()
            if inspect.iscoroutine(result):
                await result
        shown += said.getvalue()
    return Syntax(shown.rstrip(), "pycon", theme="ansi_dark", background_color="default", word_wrap=True)


def _drawing(graph: dict[str, Any]) -> Text:
    """Boxes one below the other along the edges; what leads back runs up at the side.

    Edges that depend on the state are dotted.
    """
    order = _along(graph["edges"], "__start__")
    rows: list[str] = []
    for number, node in enumerate(order):
        rows += [f"╭{'─' * (BOX - 2)}╮", f"│{node.center(BOX - 2)}│", f"╰{'─' * (BOX - 2)}╯"]
        if number + 1 < len(order):
            rows.append(_stroke(graph["edges"], node, order[number + 1], "│", "┊").center(BOX))
    lines = [row.ljust(BOX + 6) for row in rows]
    for edge in graph["edges"]:
        here, there = order.index(edge["source"]), order.index(edge["target"])
        if there != here + 1:
            upright, across = ("┊", "┄") if edge.get("conditional") else ("│", "─")
            top, bottom = 4 * there + 1, 4 * here + 1
            for line in range(top, bottom + 1):
                end = {top: f"<{across * 3}╮", bottom: f"{across * 4}╯"}.get(line, f"    {upright}")
                lines[line] = lines[line][:BOX] + end
    text = Text("\n".join(f"     {line}" for line in lines))
    text.highlight_words(order, "bold cyan")
    return text


def _along(edges: list[dict[str, Any]], node: str, seen: tuple[str, ...] = ()) -> list[str]:
    """Nodes in the order in which edges first lead to them."""
    found = [*seen, node]
    for edge in edges:
        if edge["source"] == node and edge["target"] not in found:
            found = _along(edges, edge["target"], tuple(found))
    return found


def _stroke(edges: list[dict[str, Any]], source: str, target: str, plain: str, dotted: str) -> str:
    """How an edge is drawn, if there is one."""
    for edge in edges:
        if (edge["source"], edge["target"]) == (source, target):
            return dotted if edge.get("conditional") else plain
    return " "


def _svg(content: RenderableType, title: str, columns: int = COLUMNS) -> str:
    """What a terminal shows, as SVG that loads no font from anywhere."""
    console = Console(
        width=columns, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(content)
    name = re.sub(r"\W+", "-", title)
    return _FONT_FACES.sub("", console.export_svg(title=title, unique_id=name))


if __name__ == "__main__":
    draw()
