"""Reading a page back without a browser."""

import base64
import gzip
import re
from html.parser import HTMLParser


class Page(HTMLParser):
    """Elements with their attributes, and the text outside scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._code = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._code = tag in ("script", "style")

    def handle_endtag(self, tag):
        self._code = False

    def handle_data(self, data):
        if not self._code:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def attributes(self, name: str) -> list[str]:
        return [own[name] for _, own in self.elements if name in own]


def packed(html: str) -> dict[str, str]:
    """The fragments of an export's page, unpacked, by id."""
    found = re.findall(r'<script type="text/plain" id="data-([^"]+)">([^<]*)</script>', html)
    return {name: gzip.decompress(base64.b64decode(data)).decode() for name, data in found}
