"""The bytes that the library makes of a sequence, cut into pages and put together again.

They hold, one after the other: how many tokens, the position of each, and then the keys of each layer, token
by token, and the values of each layer, number by number, each for all tokens. Nothing in them depends on who
computed them or which cells they were in, so any run of pages can be loaded as a sequence's beginning or as
what follows one. Those of beginnings wait in memory, so that only what is running takes up cells.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.batching.blocks import KeptBlocks

_F16, _TRANSPOSED = 1, 1
_LAYER_HEAD = 12
"""Bytes before each layer's keys: their type, and the bytes of a token. Before the values: their type, the
bytes of a number, and how many of them a token has."""

_TAIL = b"\0\0\0\0"


@dataclass(frozen=True, slots=True)
class Page:
    """Keys and values of some tokens in every layer.

    Attributes:
        keys: (layers, tokens, key size).
        values: (layers, value size, tokens).
    """

    keys: NDArray[np.uint16]
    values: NDArray[np.uint16]

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.keys.nbytes + self.values.nbytes


def split(data: NDArray[np.uint8], layers: int, page: int) -> list[Page]:
    """Cut a sequence's bytes into pages of so many tokens; what is left over at the end is dropped.

    Raises:
        RuntimeError: The bytes are not laid out as they should be.
    """
    count = int(data[:4].view(np.int32)[0])
    start = 4 + 8 * count
    kind, found = data[start : start + 8].view(np.int32).tolist()
    start += 8
    if (kind, found) != (_TRANSPOSED, layers) or not count:
        raise RuntimeError("llama.cpp lays keys and values out in an unknown way")
    key_bytes = int(data[start + 4 : start + 12].view(np.uint64)[0])
    values_start = start + layers * (_LAYER_HEAD + count * key_bytes)
    size, numbers = data[values_start + 4 : values_start + 12].view(np.int32).tolist()
    end = values_start + layers * (_LAYER_HEAD + count * numbers * size)
    if size != 2 or data[end:].tobytes() != _TAIL:
        raise RuntimeError("llama.cpp lays keys and values out in an unknown way")
    heads = data[start:values_start].reshape(layers, -1), data[values_start:end].reshape(layers, -1)
    if any((each[:, :_LAYER_HEAD] != each[0, :_LAYER_HEAD]).any() for each in heads) or any(
        int(each[0, :4].view(np.int32)[0]) != _F16 for each in heads
    ):
        raise RuntimeError("llama.cpp lays keys and values out in an unknown way")
    keys, values = (np.ascontiguousarray(each[:, _LAYER_HEAD:]).view(np.uint16) for each in heads)
    keys, values = keys.reshape(layers, count, -1), values.reshape(layers, numbers, count)
    # They come as they lie in the cells, which is out of order once some were moved.
    positions = data[4 : 4 + 8 * count].view(np.int32)[::2]
    order = np.argsort(positions)
    if (np.diff(positions[order]) != 1).any():
        raise RuntimeError("llama.cpp has gaps in a sequence")
    if (np.diff(order) != 1).any():
        keys, values = keys[:, order], values[:, :, order]
    return [
        Page(keys[:, at : at + page].copy(), values[:, :, at : at + page].copy())
        for at in range(0, count - page + 1, page)
    ]


def join(pages: Sequence[Page], start: int) -> NDArray[np.uint8]:
    """The bytes of a sequence that has these pages from a position on."""
    layers, _, key_size = pages[0].keys.shape
    numbers = pages[0].values.shape[1]
    count = sum(page.keys.shape[1] for page in pages)
    before = np.zeros((count, 2), dtype=np.int32)
    before[:, 0] = np.arange(start, start + count)
    keys = np.empty((layers, _LAYER_HEAD + 2 * count * key_size), dtype=np.uint8)
    keys[:, :_LAYER_HEAD] = np.frombuffer(
        np.int32(_F16).tobytes() + np.uint64(2 * key_size).tobytes(), dtype=np.uint8
    )
    values = np.empty((layers, _LAYER_HEAD + 2 * count * numbers), dtype=np.uint8)
    values[:, :_LAYER_HEAD] = np.array([_F16, 2, numbers], dtype=np.int32).view(np.uint8)
    all_keys = np.concatenate([page.keys for page in pages], axis=1)
    all_values = np.concatenate([page.values for page in pages], axis=2)
    keys[:, _LAYER_HEAD:] = all_keys.reshape(layers, -1).view(np.uint8)
    values[:, _LAYER_HEAD:] = all_values.reshape(layers, -1).view(np.uint8)
    return np.concatenate(
        [
            np.array([count], dtype=np.int32).view(np.uint8),
            before.reshape(-1).view(np.uint8),
            np.array([_TRANSPOSED, layers], dtype=np.int32).view(np.uint8),
            keys.reshape(-1),
            values.reshape(-1),
            np.frombuffer(_TAIL, dtype=np.uint8),
        ]
    )


class PrefixStore(KeptBlocks[Page]):
    """Pages with the keys and values of blocks, up to a limit in bytes; 0 keeps nothing.

    Every token attends to all cells in use, whosesoever they are; a beginning that nobody uses would slow
    down all, so it waits here.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._bytes = 0

    def pages(self, blocks: Sequence[bytes], start: int) -> list[Page]:
        """The pages of known blocks, from one of them on."""
        self._use(blocks)
        return [self._kept[name] for name in blocks[start:]]

    def keep(self, blocks: Sequence[bytes], pages: Sequence[Page]) -> None:
        """Keep the last of these blocks, one for each page; those before must be here."""
        for name, page in zip(blocks[len(blocks) - len(pages) :], pages, strict=True):
            self._kept[name] = page
            self._bytes += page.nbytes
        self._use(blocks)
        while self._bytes > self._limit:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes

    def clear(self) -> bool:
        """Forget everything. Says whether there was anything."""
        held = bool(self._kept)
        self._kept.clear()
        self._bytes = 0
        return held
