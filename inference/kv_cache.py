"""Keys and values of a batch whose rows come and go.

Rows are aligned at their last token, so shorter rows have padding on the left. transformers' own growing
cache copies everything for each token; this one keeps room and copies only when rows join, leave or the
room is used up.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import DynamicLayer

ROOM = 64
"""Tokens of room after the last one. At 28 kB a token and 64 rows this is 115 MB for the default model."""


class RoomyLayer(DynamicLayer):
    """One layer's keys and values, each (rows, heads, length, head size), as a view into a larger store.

    Layers with a sliding window are kept whole as well: the model's own mask leaves out what is too far back,
    and rows of different length can then be merged without minding where each window begins.
    """

    def __init__(self) -> None:
        """Start without a store; the first update brings shape, dtype and device."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._key_store: Tensor | None = None
        self._value_store: Tensor | None = None

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Take over what only the first keys can tell."""
        self.dtype, self.device = key_states.dtype, key_states.device
        # Has transformers pass a mask for a single token even where nothing is padded: without one PyTorch's
        # CPU attention reads grouped keys head by head, which takes several times as long. A GPU is faster
        # without.
        self.is_compileable = self.device.type == "cpu"
        self.is_initialized = True

    def update(
        self,
        key_states: Tensor,
        value_states: Tensor,
        *args: Any,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor]:
        """Append keys and values, each (rows, heads, new tokens, head size), and return all."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys = self._key_store = key_states
            self.values = self._value_store = value_states
            return key_states, value_states
        assert self.keys is not None
        assert self.values is not None
        past = self.keys.shape[-2]
        length = past + key_states.shape[-2]
        self._key_store, self.keys = _append(self._key_store, self.keys, key_states, length)
        self._value_store, self.values = _append(self._value_store, self.values, value_states, length)
        return self.keys, self.values

    def begin(self, keys: Tensor, values: Tensor) -> None:
        """Start with known keys and values, each (rows, heads, tokens, head size), which are copied."""
        self.lazy_initialization(keys, values)
        self._key_store, self.keys = _roomy(keys)
        self._value_store, self.values = _roomy(values)

    def select(self, rows: Tensor, dropped: int) -> None:
        """Keep some rows, (kept rows,), without their first `dropped` tokens of padding."""
        assert self.keys is not None
        assert self.values is not None
        self.keys = self._key_store = self.keys[rows, :, dropped:]
        self.values = self._value_store = self.values[rows, :, dropped:]

    def join(self, other: RoomyLayer) -> None:
        """Append another batch's rows below these."""
        assert self.keys is not None
        assert self.values is not None
        assert other.keys is not None
        assert other.values is not None
        self._key_store, self.keys = _stack(self.keys, other.keys)
        self._value_store, self.values = _stack(self.values, other.values)


class RowCache(Cache):
    """Keys and values of all layers for the rows of one batch."""

    def __init__(self) -> None:
        """Start empty; layers appear with the first forward pass."""
        super().__init__(layer_class_to_replicate=RoomyLayer)

    @property
    def length(self) -> int:
        """Cached tokens a row, padding included."""
        return int(self.get_seq_length())

    @property
    def filled(self) -> dict[int, RoomyLayer]:
        """Layers with keys and values of their own, by number; some models let layers share."""
        return {
            index: layer
            for index, layer in enumerate(self.layers)
            if isinstance(layer, RoomyLayer) and layer.is_initialized
        }

    def begin(self, index: int, keys: Tensor, values: Tensor) -> None:
        """Start a layer with known keys and values, each (rows, heads, tokens, head size)."""
        while len(self.layers) <= index:
            self.layers.append(RoomyLayer())
        layer = self.layers[index]
        assert isinstance(layer, RoomyLayer)
        layer.begin(keys, values)

    def select(self, rows: list[int], dropped: int) -> None:
        """Keep the given rows, in that order, without their first `dropped` tokens of padding."""
        for layer in self.filled.values():
            layer.select(torch.tensor(rows, device=layer.device), dropped)

    def join(self, other: RowCache) -> None:
        """Append another batch's rows below these, padding the shorter rows on the left."""
        for layer, newcomer in zip(self.filled.values(), other.filled.values(), strict=True):
            layer.join(newcomer)


def _roomy(states: Tensor) -> tuple[Tensor, Tensor]:
    """A store with a copy of the states and room after them, and its view without the room."""
    length = states.shape[-2]
    store = states.new_empty(*states.shape[:2], length + ROOM, states.shape[3])
    store[:, :, :length] = states
    return store, store[:, :, :length]


def _append(store: Tensor | None, past: Tensor, new: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Write new tokens after the past ones, in the store if there is room, else in a larger one."""
    assert store is not None
    known = past.shape[-2]
    if store.shape[-2] < length:
        store = past.new_empty(*past.shape[:2], length + ROOM, past.shape[3])
        store[:, :, :known] = past
    store[:, :, known:length] = new
    return store, store[:, :, :length]


def _stack(upper: Tensor, lower: Tensor) -> tuple[Tensor, Tensor]:
    """A store with the rows of both, aligned at the last token, and its view without the room.

    Padding is zero: what was left in memory might be not-a-number, which a weight of zero doesn't cancel.
    """
    length = max(upper.shape[-2], lower.shape[-2])
    rows = upper.shape[0] + lower.shape[0]
    store = upper.new_empty(rows, upper.shape[1], length + ROOM, upper.shape[3])
    for part, start in ((upper, 0), (lower, upper.shape[0])):
        padding = length - part.shape[-2]
        target = store[start : start + part.shape[0]]
        target[:, :, :padding] = 0
        target[:, :, padding:length] = part
    return store, store[:, :, :length]
