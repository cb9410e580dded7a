"""The page of a large export: how big it is, and how soon it can be read, searched and opened."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.browser import chromium
from scene.export import Counts, Export
from scene.record import SceneRecord
from viewer.page import export_page

FILTER = """() => {
  const begun = performance.now();
  document.querySelector("#filters input[name=severity]").click();
  document.body.offsetHeight;
  return performance.now() - begun;
}"""
"""Milliseconds from a click on a filter until the list is laid out again."""

OPEN = """() => new Promise((done) => {
  const begun = performance.now();
  new MutationObserver(() => done(performance.now() - begun)).observe(
    document.getElementById("scene"), { childList: true });
  document.querySelector("#rows > li:last-child a").click();
})"""
"""Milliseconds from a click on the last scene until it is on the page."""


class Repeated(Export):
    """An export whose scenes are there again and again under other ids.

    Args:
        folder: The export's folder.
        scenes: How many there are to be.
    """

    def __init__(self, folder: Path, scenes: int) -> None:
        """Count what will be there."""
        super().__init__(folder)
        self._many = scenes
        self.contents = replace(self.contents, done={_id(number) for number in range(scenes)}, failed={})
        self.manifest = self.manifest.model_copy(
            update={"counts": Counts(questions=scenes, done=scenes, failed=0, pending=0)}
        )

    def scenes(self) -> Iterator[SceneRecord]:
        """The scenes."""
        for number, record in enumerate(islice(cycle(super().scenes()), self._many)):
            yield record.model_copy(update={"id": _id(number)})


def page_figures(folder: Path, scenes: int) -> dict[str, float]:
    """Write the page of an export with so many scenes, and open it in Chromium.

    Raises:
        FileNotFoundError: There is no Chromium.
    """
    # A development dependency: the other benchmarks come without it.
    from playwright.sync_api import sync_playwright

    browser = chromium()
    with TemporaryDirectory() as temporary, sync_playwright() as playwright:
        begun = time.perf_counter()
        text = export_page(Repeated(folder, scenes))
        written = time.perf_counter() - begun
        file = Path(temporary) / "page.html"
        file.write_text(text, encoding="utf-8")
        page = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"]).new_page()
        page.goto(file.as_uri(), timeout=0)
        page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        whole = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
        return {
            "scenes": scenes,
            "seconds to write": round(written, 1),
            "megabytes": round(file.stat().st_size / 1e6, 1),
            "seconds to first paint": round(paint / 1000, 2),
            "seconds to the whole file": round(whole / 1000, 2),
            "seconds to filter": round(page.evaluate(FILTER) / 1000, 3),
            "seconds to open a scene": round(page.evaluate(OPEN) / 1000, 3),
        }


def _id(number: int) -> str:
    return f"{number:016x}"
