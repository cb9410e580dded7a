"""A store for keys and values of all layers, in pages of a few tokens."""

from collections.abc import Sequence

import torch
from torch import Tensor

from inference.batching.blocks import PAGE
from inference.transformers_engine.kv_cache import RowCache

FEWEST = 64
"""Pages that the store begins with."""


class Pages:
    """Numbered pages, each with the keys and values of `PAGE` tokens in every layer.

    Page 0 is all zeros and stands for padding. The store grows as it fills, so that a short scene doesn't
    take the memory that a long export may.
    """

    def __init__(self, like: RowCache, limit: int) -> None:
        self._layers = {
            index: (_zero_page(layer.keys), _zero_page(layer.values)) for index, layer in like.filled.items()
        }
        self._page_bytes = sum(keys.nbytes + values.nbytes for keys, values in self._layers.values())
        self._count = 0
        self.bound(limit)

    def bound(self, limit: int) -> None:
        """Let the store grow to so many bytes, which must not be less than it has already."""
        self.most = max(0, limit // self._page_bytes - 1)

    def grow(self) -> range:
        """Make room for more pages, and say their numbers; none when there are `most` already."""
        before, self._count = self._count, min(self.most, max(FEWEST, 2 * self._count))
        if self._count > before:
            for index, (keys, values) in self._layers.items():
                self._layers[index] = (_grown(keys, 1 + self._count), _grown(values, 1 + self._count))
        return range(1 + before, 1 + self._count)

    def write(
        self, cache: RowCache, pages: Sequence[int], rows: Sequence[int], columns: Sequence[int]
    ) -> None:
        """Fill distinct pages from a batch's cache: for each its row, and its first column in that row."""
        into, row = torch.tensor(pages), torch.tensor(rows)[:, None]
        column = torch.tensor(columns)[:, None] + torch.arange(PAGE)
        for index, layer in cache.filled.items():
            into, row, column = (numbers.to(layer.device) for numbers in (into, row, column))
            for store, states in zip(self._layers[index], (layer.keys, layer.values), strict=True):
                assert states is not None
                store[into] = states[row, :, column]

    def read(self, chains: Sequence[Sequence[int]], lengths: Sequence[int]) -> RowCache:
        """Begin a batch with so many tokens of each row's pages, the rows aligned at their last token."""
        cache = RowCache()
        longest = max(lengths)
        if not longest:
            return cache
        deepest = max(map(len, chains))
        table = torch.tensor([[*chain, *[0] * (deepest - len(chain))] for chain in chains])
        token = torch.arange(longest) - (longest - torch.tensor(lengths)[:, None])
        page = table.gather(1, token.clamp(min=0) // PAGE)
        slots = torch.where(token < 0, 0, page * PAGE + token % PAGE)
        for index, (keys, values) in self._layers.items():
            slots = slots.to(keys.device)
            cache.begin(index, _pick(keys, slots), _pick(values, slots))
        return cache


def _zero_page(states: Tensor | None) -> Tensor:
    """A store of one page, (1, PAGE, heads, head size), for states (rows, heads, tokens, head size)."""
    assert states is not None
    return states.new_zeros(1, PAGE, states.shape[1], states.shape[3])


def _grown(store: Tensor, pages: int) -> Tensor:
    larger = store.new_empty(pages, *store.shape[1:])
    larger[: len(store)] = store
    return larger


def _pick(store: Tensor, slots: Tensor) -> Tensor:
    """States, (rows, heads, tokens, head size), of the slots, (rows, tokens), of a store."""
    picked = store.flatten(0, 1).index_select(0, slots.flatten())
    return picked.view(*slots.shape, *store.shape[2:]).transpose(1, 2)
