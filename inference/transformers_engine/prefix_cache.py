"""Keys and values of prompts, kept so that prompts that begin the same way need not compute them again."""

import sys
from collections.abc import Sequence

from inference.batching.blocks import PAGE, KeptBlocks
from inference.transformers_engine.kv_cache import RowCache
from inference.transformers_engine.pages import Pages


class PrefixCache(KeptBlocks[int]):
    """Numbers of the pages of blocks, up to a limit in bytes of keys and values; 0 keeps nothing."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self._pages: Pages | None = None
        self._free: list[int] = []

    @property
    def most_blocks(self) -> int:
        """How many blocks of a prompt can be kept; unbounded as long as the size of a block isn't known."""
        if not self.limit:
            return 0
        return sys.maxsize if self._pages is None else self._pages.most

    def restore(self, wanted: Sequence[tuple[Sequence[bytes], int]]) -> RowCache:
        """Begin a batch with what is known, its rows aligned at their last token.

        Wanted are, for each row, its prompt's blocks and how many tokens to take, all of which must be known.
        """
        chains = [blocks[: -(-length // PAGE)] for blocks, length in wanted]
        if self._pages is None or not any(chains):
            return RowCache()
        for chain in chains:
            self._use(chain)
        numbers = [[self._kept[name] for name in chain] for chain in chains]
        return self._pages.read(numbers, [length for _, length in wanted])

    def keep(self, rows: Sequence[tuple[Sequence[bytes], int]], cache: RowCache) -> None:
        """Keep what isn't here yet of a computed batch.

        Its rows are given as their prompts' blocks, and where in the cache their first tokens are.
        """
        if not self.limit:
            return
        if self._pages is None:
            self._pages = Pages(cache, self.limit)
        sources: dict[int, tuple[int, int]] = {}
        for row, (blocks, start) in enumerate(rows):
            chain = blocks[: self._pages.most]
            known = self.known(chain)
            self._use(chain[:known])
            for position in range(known, len(chain)):
                number = self._take(self._pages)
                self._kept[chain[position]] = number
                # A page may be taken from an earlier row of the same batch; what comes last counts.
                sources[number] = row, start + position * PAGE
            self._use(chain)
        if sources:
            self._pages.write(cache, list(sources), *zip(*sources.values(), strict=True))

    def bound(self, limit: int) -> None:
        """Keep at most so many bytes; fewer than before only where nothing is kept."""
        self.limit = limit
        if self._pages is not None:
            self._pages.bound(limit)

    def clear(self) -> bool:
        """Forget everything and free its memory. Says whether there was any."""
        held = self._pages is not None
        self._pages = None
        self._kept.clear()
        self._free = []
        return held

    def _take(self, pages: Pages) -> int:
        """A page to fill: a free one, a new one, or the one that was not used for the longest time."""
        if not self._free:
            self._free = list(pages.grow())
        return self._free.pop() if self._free else self._kept.popitem(last=False)[1]
