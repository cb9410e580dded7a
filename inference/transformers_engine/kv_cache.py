"""Keys and values of a batch whose rows come and go.

Rows are aligned at their last token, so shorter rows have padding on the left. transformers' own growing
cache copies everything for each token; this one keeps room, and copies no more than the rows that come, or
those that close up where others left.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import DynamicLayer

ROOM = 64
"""Tokens of room after the last one, when room is made."""

SLOTS = 8
"""Rows that room is made for at first; then for twice as many whenever it is used up."""

SPARE = 2
"""Times the room that is needed, at most, when room is made. More is given back then: one long row would
otherwise leave its length to every row after it, and many rows their number to every long one.
"""


class RoomyLayer(DynamicLayer):
    """One layer's keys and values, each (rows, heads, length, head size), as views into larger stores.

    A store has a slot for each row and more, and columns before the first token, so that longer rows can
    join, and after the last one. Layers with a sliding window are kept whole as well: the model's own mask
    leaves out what is too far back, and rows of different length can then be merged without minding where
    each window begins.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._stores: tuple[Tensor, Tensor] | None = None
        self._rows = self._start = self._end = 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Take over what only the first keys can tell."""
        self.dtype, self.device = key_states.dtype, key_states.device
        # Has transformers pass a mask for a single token even where nothing is padded: without one PyTorch's
        # CPU attention reads grouped keys head by head, which takes several times as long. A GPU is faster
        # without.
        self.is_compileable = self.device.type == "cpu"
        self.is_initialized = True

    def begin(self, keys: Tensor, values: Tensor) -> None:
        """Start with known keys and values, each (rows, heads, tokens, head size), which are taken over."""
        self.lazy_initialization(keys, values)
        self._stores = keys, values
        self._show(len(keys), 0, keys.shape[-2])

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Append keys and values, each (rows, heads, new tokens, head size), and return all."""
        if self.is_initialized:
            new = key_states.shape[-2]
            self._make_room(self._rows, self._end - self._start, new)
            for store, states in zip(self._both(), (key_states, value_states), strict=True):
                store[: self._rows, :, self._end : self._end + new] = states
            self._show(self._rows, self._start, self._end + new)
        else:
            self.begin(key_states, value_states)
        assert self.keys is not None
        assert self.values is not None
        return self.keys, self.values

    def keep(self, order: Sequence[int], length: int) -> None:
        """Keep rows in the order given, `closed_up`, and this many columns up to the last token."""
        moved = [(place, row) for place, row in enumerate(order) if place != row]
        self._show(len(order), self._end - length, self._end)
        if moved:
            places, rows = torch.tensor(moved, device=self.device).unbind(dim=1)
            for store in self._both():
                columns = store[:, :, self._start : self._end]
                columns[places] = columns[rows]

    def join(self, other: RoomyLayer) -> None:
        """Append another batch's rows below these.

        Padding is set to zero: what was left in memory might be not-a-number, which a weight of zero doesn't
        cancel.
        """
        length, joining = self._end - self._start, other._end - other._start
        longest, upper = max(length, joining), self._rows
        rows = upper + other._rows
        self._make_room(rows, longest, 0)
        start = self._end - longest
        for store, newcomers in zip(self._both(), (other.keys, other.values), strict=True):
            assert newcomers is not None
            store[:upper, :, start : self._start] = 0
            store[upper:rows, :, start : self._end - joining] = 0
            store[upper:rows, :, self._end - joining : self._end] = newcomers
        self._show(rows, start, self._end)

    def _both(self) -> tuple[Tensor, Tensor]:
        """The stores of keys and values, (slots, heads, columns, head size)."""
        assert self._stores is not None
        return self._stores

    def _show(self, rows: int, start: int, end: int) -> None:
        """Say which part of the stores is in use."""
        self._rows, self._start, self._end = rows, start, end
        self.keys, self.values = (store[:rows, :, start:end] for store in self._both())

    def _make_room(self, rows: int, length: int, new: int) -> None:
        """See that there is room for so many rows, this many columns up to the last token, and new ones."""
        slots, _, columns, _ = self._both()[0].shape
        if rows <= slots and length <= self._end and self._end + new <= columns:
            return
        least_slots, least_columns = _rounded_up(rows, SLOTS), _rounded_up(length + new + ROOM, ROOM)
        if rows > slots:
            slots = max(2 * slots, least_slots)
        columns = max(columns, least_columns)
        if slots * columns > SPARE * least_slots * least_columns:
            slots, columns = least_slots, least_columns
        start, end = self._start, columns - ROOM - new
        self._start = end - (self._end - start)
        self._stores = tuple(  # type: ignore[assignment]
            _moved(store, store[: self._rows, :, start : self._end], slots, columns, self._start)
            for store in self._both()
        )
        self._end = end


class RowCache(Cache):
    """Keys and values of all layers for the rows of one batch.

    Attributes:
        interrupted: Once set, a forward pass gets no further than its next layer, and raises a RuntimeError.
    """

    def __init__(self) -> None:
        super().__init__(layer_class_to_replicate=RoomyLayer)
        self.interrupted = threading.Event()

    def update(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append a layer's keys and values, and return all that it has."""
        if self.interrupted.is_set():
            raise RuntimeError("The forward pass was interrupted.")
        return super().update(*args, **kwargs)

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

    def keep(self, order: Sequence[int], length: int) -> None:
        """Keep rows in the order given, `closed_up`, and this many columns up to the last token."""
        for layer in self.filled.values():
            layer.keep(order, length)

    def forked(self, rows: Sequence[int]) -> RowCache:
        """A copy of some rows, each as often as it is named."""
        copy = RowCache()
        for index, layer in self.filled.items():
            assert layer.keys is not None
            assert layer.values is not None
            copy.begin(index, layer.keys[rows], layer.values[rows])
        return copy

    def join(self, other: RowCache) -> None:
        """Append another batch's rows below these, padding the shorter rows on the left."""
        for layer, newcomer in zip(self.filled.values(), other.filled.values(), strict=True):
            layer.join(newcomer)


def closed_up(kept: Sequence[int]) -> list[int]:
    """An order for kept rows in which few move: the last ones take the places of those that leave."""
    staying = set(kept)
    last = iter([row for row in kept if row >= len(kept)])
    return [row if row in staying else next(last) for row in range(len(kept))]


def _moved(store: Tensor, states: Tensor, slots: int, columns: int, start: int) -> Tensor:
    """The states, (rows, heads, length, head size), from this column on in a store of the given size."""
    if (len(store), store.shape[2]) == (slots, columns):
        states = states.clone()
    else:
        store = store.new_empty(slots, store.shape[1], columns, store.shape[3])
    store[: len(states), :, start : start + states.shape[2]] = states
    return store


def _rounded_up(number: int, unit: int) -> int:
    return -(-number // unit) * unit
