"""The running batch: rows join after their prefill and leave with their last token.

Everything here runs in the engine's one thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from inference.constraints import mask_logits
from inference.forward import ForwardPass
from inference.kv_cache import RowCache
from inference.row import Row
from inference.sampling import pick_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is computed at once.

    Attributes:
        rows: Rows in the running batch.
        prefill_tokens: Prompt tokens, padding included, computed between two decode steps.
        cached_tokens: Tokens the cache can grow to with all rows at their caps, padding included. One row is
            always let in.
    """

    rows: int
    prefill_tokens: int
    cached_tokens: int


CPU_LIMITS = Limits(rows=64, prefill_tokens=512, cached_tokens=65_536)
"""On a CPU larger prefills only make running rows wait. 65,536 tokens of the default model take 1.8 GB."""

ACCELERATOR_LIMITS = Limits(rows=128, prefill_tokens=8_192, cached_tokens=262_144)
"""A GPU needs more at once to be busy, and says when its memory is full; then the engine takes fewer rows."""


class Prefill:
    """Newcomers whose prompts are being computed, apart from the running batch.

    Several prompts share one pass, padded on the left. A lone prompt longer than a step's limit is computed
    piece by piece, so that the running rows can go on in between.

    Args:
        rows: The newcomers, at least one.
        device: Where the model is.
    """

    def __init__(self, rows: list[Row], device: torch.device) -> None:
        """Lay the prompts out."""
        self.rows = rows
        self.cache = RowCache()
        length = max(len(row.prompt) for row in rows)
        padding = [length - len(row.prompt) for row in rows]
        tokens = [[0] * pad + row.prompt for pad, row in zip(padding, rows, strict=True)]
        self._tokens = torch.tensor(tokens, device=device)
        starts = torch.tensor(padding, device=device)
        self.mask = torch.arange(length, device=device)[None] >= starts[:, None]

    def step(self, forward: ForwardPass, limit: int) -> Tensor | None:
        """Compute the next piece.

        Args:
            forward: The model.
            limit: Tokens to compute at most, unless the first piece of several rows needs more.

        Returns:
            float32 logits of the last prompt tokens, (rows, vocabulary), with the last piece; else None.
        """
        start = self.cache.length
        length = self._tokens.shape[1]
        end = length if len(self.rows) > 1 else min(length, start + limit)
        logits = forward(self._tokens[:, start:end], self.mask[:, :end], self.cache)
        return logits if end == length else None


class RunningBatch:
    """Decides who is computed next, and computes it.

    Args:
        forward: The model.
        limits: How much is computed at once.
    """

    def __init__(self, forward: ForwardPass, limits: Limits) -> None:
        """Start empty."""
        self._forward = forward
        self._limits = limits
        self.row_limit = limits.rows
        self.waiting: deque[Row] = deque()
        self._rows: list[Row] = []
        self._prefill: Prefill | None = None
        self._cache = RowCache()
        self._mask = torch.empty(0, 0, dtype=torch.bool, device=forward.device)

    @property
    def busy(self) -> bool:
        """Whether a step would do anything."""
        return bool(self.waiting or self._rows or self._prefill)

    def step(self) -> list[Row]:
        """Prefill some newcomers, if there are any, then generate one token for every running row.

        Returns:
            The rows that are over.
        """
        if self._prefill is None:
            newcomers = self._admit()
            if newcomers:
                self._prefill = Prefill(newcomers, self._forward.device)
        finished: list[Row] = []
        if self._prefill is not None:
            logits = self._prefill.step(self._forward, self._limits.prefill_tokens)
            if logits is not None:
                _extend(self._prefill.rows, logits)
                finished += [row for row in self._prefill.rows if row.over]
                self._join(self._prefill)
                self._prefill = None
        if self._rows:
            self._decode()
            finished += [row for row in self._rows if row.over]
            self._keep([row for row in self._rows if not row.over])
        return finished

    def withdraw(self, unwanted: Callable[[Row], bool]) -> None:
        """Drop rows that nobody waits for any more, wherever they are."""
        self.waiting = deque(row for row in self.waiting if not unwanted(row))
        if any(unwanted(row) for row in self._rows):
            self._keep([row for row in self._rows if not unwanted(row)])
        if self._prefill is not None and all(unwanted(row) for row in self._prefill.rows):
            self._prefill = None

    def abandon(self) -> None:
        """Drop everything computed. Waiting rows stay."""
        self._prefill = None
        self._drop_rows()

    def _drop_rows(self) -> None:
        """No running rows."""
        self._rows = []
        self._cache = RowCache()
        self._mask = self._mask[:0, :0]

    def _admit(self) -> list[Row]:
        """Take waiting rows, first come first served, for as long as the limits allow."""
        newcomers: list[Row] = []
        longest = 0
        room = max((row.room for row in self._rows), default=0)
        while self.waiting and len(self._rows) + len(newcomers) < self.row_limit:
            row = self.waiting[0]
            longest, room = max(longest, len(row.prompt)), max(room, row.room)
            rows = len(newcomers) + 1
            if newcomers and rows * longest > self._limits.prefill_tokens:
                break
            # The padded length of rows that wait for each other is at most the longest room of any.
            if rows + len(self._rows) > 1 and (rows + len(self._rows)) * room > self._limits.cached_tokens:
                break
            newcomers.append(self.waiting.popleft())
        return newcomers

    def _join(self, prefill: Prefill) -> None:
        """Add the newcomers that still have something to say to the running rows."""
        kept = [index for index, row in enumerate(prefill.rows) if not row.over]
        if not kept:
            return
        mask = prefill.mask
        if len(kept) < len(prefill.rows):
            prefill.cache.select(kept, 0)
            mask = mask[kept]
        if not self._rows:
            self._cache, self._mask = prefill.cache, mask
        else:
            self._cache.join(prefill.cache)
            length = max(self._mask.shape[1], mask.shape[1])
            self._mask = torch.cat([_pad(self._mask, length), _pad(mask, length)])
        self._rows = [*self._rows, *(prefill.rows[index] for index in kept)]

    def _decode(self) -> None:
        """One token for every running row."""
        tokens = torch.tensor([row.generated[-1:] for row in self._rows], device=self._forward.device)
        self._mask = torch.nn.functional.pad(self._mask, (0, 1), value=True)
        _extend(self._rows, self._forward(tokens, self._mask, self._cache))

    def _keep(self, rows: list[Row]) -> None:
        """Let only these go on, and drop the padding that no one of them needs."""
        if len(rows) == len(self._rows):
            return
        wanted = set(rows)
        indices = [index for index, row in enumerate(self._rows) if row in wanted]
        if not rows:
            self._drop_rows()
            return
        self._rows = rows
        mask = self._mask[indices]
        common = int(mask.any(dim=0).long().argmax())
        self._cache.select(indices, common)
        self._mask = mask[:, common:]


def _extend(rows: list[Row], logits: Tensor) -> None:
    """Give each row its next token; float32 logits, (rows, vocabulary), are changed in place."""
    mask_logits(logits, [row.constraint for row in rows])
    tokens = pick_tokens(logits, [row.sampler for row in rows])
    for row, token in zip(rows, tokens, strict=True):
        row.accept(token)


def _pad(mask: Tensor, length: int) -> Tensor:
    """The mask, (rows, tokens), with padding on the left up to a length."""
    return torch.nn.functional.pad(mask, (length - mask.shape[1], 0), value=False)
