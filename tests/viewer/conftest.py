"""A real browser, where there is one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chromium import chromium


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """Chromium without a window. Its event loop runs while it is open, so it is not kept for other tests."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    try:
        executable = chromium()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """A page in the browser, with everything it said and asked for."""

    def __init__(self, page) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", lambda dialog: self.said.append(dialog.message))
        page.on("request", lambda request: self.asked.append(request.url))

    def open(self, file: Path, place: str = "") -> "Visit":
        self.page.goto(f"{file.as_uri()}{place}")
        return self

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    @property
    def focused(self) -> str:
        """Text of what has the focus."""
        return self.page.evaluate("document.activeElement.textContent.trim()")

    @property
    def overflow(self) -> int:
        """How far the page is wider than the window, in pixels."""
        return self.page.evaluate("document.documentElement.scrollWidth - innerWidth")


@pytest.fixture
def visit(browser) -> Iterator[Visit]:
    """A fresh page without motion. It must have said nothing and loaded nothing but itself in the end."""
    context = browser.new_context(reduced_motion="reduce")
    visit = Visit(context.new_page())
    yield visit
    context.close()
    assert visit.said == []
    assert all(url.startswith("file:") for url in visit.asked)
    assert len(set(url.partition("#")[0] for url in visit.asked)) == len(visit.asked)
