"""Beginnings of prompts that wait in memory, so that only what is running takes up cells.

Every token attends to all cells in use, whosesoever they are; a beginning that nobody uses would slow down
all.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence

from inference.llama_engine.states import Page


class PrefixStore:
    """Pages by the name of the block whose keys and values they hold; the least recently used make room.

    A block is never kept without those before it: using it uses them too, and they count as used after it.

    Args:
        limit: Bytes to keep at most; 0 keeps nothing.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pages: OrderedDict[bytes, Page] = OrderedDict()
        self._bytes = 0

    def known(self, blocks: Sequence[bytes]) -> int:
        """How many of a prompt's blocks are here, from its beginning."""
        return bisect_left(blocks, True, key=lambda name: name not in self._pages)

    def pages(self, blocks: Sequence[bytes], start: int) -> list[Page]:
        """The pages of known blocks, from one of them on."""
        self._use(blocks)
        return [self._pages[name] for name in blocks[start:]]

    def keep(self, blocks: Sequence[bytes], pages: Sequence[Page]) -> None:
        """Keep the last of these blocks, one for each page; those before must be here."""
        for name, page in zip(blocks[len(blocks) - len(pages) :], pages, strict=True):
            self._pages[name] = page
            self._bytes += page.nbytes
        self._use(blocks)
        while self._bytes > self._limit:
            self._bytes -= self._pages.popitem(last=False)[1].nbytes

    def clear(self) -> bool:
        """Forget everything. Says whether there was anything."""
        held = bool(self._pages)
        self._pages.clear()
        self._bytes = 0
        return held

    def _use(self, blocks: Sequence[bytes]) -> None:
        """Count blocks as just used, the first one last."""
        for name in reversed(blocks):
            self._pages.move_to_end(name)
