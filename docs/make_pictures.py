"""Draws the pictures of the documents, from a recorded scene: `make pictures`.

The terminal is drawn by the code that `run` and `explain` show a scene with; the page is photographed in
Chromium; `docs/studio_pictures.py` draws what a `make studio` server says.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, sync_playwright
from rich.console import Console

from benchmarks.browser import chromium
from cli.views.display import SceneView
from docs import studio_pictures
from scene.record import SceneRecord
from viewer.page import scene_page

HERE = Path(__file__).parent
RECORD = HERE / "samples" / "a-joyride.json"
PICTURES = HERE / "pictures"

COLUMNS = 104
TURNS = 2
"""How many turns the terminal shows before it goes on to the verdict."""

_FONT_FACES = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def terminal(record: SceneRecord) -> str:
    """A scene on a terminal, as SVG that loads no font from anywhere."""
    console = Console(
        width=COLUMNS,
        record=True,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        markup=False,
        highlight=False,
        emoji=False,
    )
    view = SceneView(console)
    view.question(record)
    view.first_answer(record.first_answer)
    view.opening(record)
    consequences = {consequence.event: consequence for consequence in record.consequences}
    for event in record.events:
        if event.turn <= TURNS:
            view.event(event, consequences.get(event.id))
    console.print(f"\n        [... turns {TURNS + 1} to {record.events[-1].turn} ...]", style="dim")
    view.verdict(record.critique, record.verdict, record.outcome)
    return _FONT_FACES.sub("", console.export_svg(title="monopolylogue run", unique_id="run"))


def photograph(browser: Browser, address: str, width: int, height: int, scheme: str) -> bytes:
    """What a window shows of a page, as PNG."""
    page = browser.new_page(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    page.goto(address)
    page.evaluate("document.activeElement.blur()")
    return page.screenshot()


def main() -> None:
    """Draw them all anew.

    Raises:
        FileNotFoundError: There is no Chromium.
    """
    record = SceneRecord.from_json(RECORD.read_text(encoding="utf-8"))
    PICTURES.mkdir(exist_ok=True)
    (PICTURES / "run.svg").write_text(terminal(record), encoding="utf-8")
    studio_pictures.draw()
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "scene.html"
        file.write_text(scene_page(record), encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        timeline = f"{file.as_uri()}#{record.id}.timeline"
        (PICTURES / "page.png").write_bytes(photograph(browser, timeline, 1280, 1000, "light"))
        (PICTURES / "page-phone.png").write_bytes(photograph(browser, file.as_uri(), 360, 760, "dark"))
        browser.close()


if __name__ == "__main__":
    main()
