"""The running batch: rows join after their prefill and leave with their last token.

Everything here runs in the engine's one thread.
"""

from collections import deque
from collections.abc import Callable, Collection, Sequence

import torch

from inference.batching.row import Row, extend
from inference.transformers_engine.admission import choose
from inference.transformers_engine.forward import ForwardPass
from inference.transformers_engine.kv_cache import RowCache, closed_up
from inference.transformers_engine.limits import Limits
from inference.transformers_engine.prefill import Prefill
from inference.transformers_engine.prefix_cache import PrefixCache

WEIGHED_TOKENS = 512
"""Phrases' tokens in a pass, padding included. Logits of so many take 300 MB with a vocabulary of 150,000."""

CLEAN_STEPS = 1_000
"""Steps in which memory must suffice before twice as much is tried; twice as many after each relapse."""


class RunningBatch:
    """Decides who is computed next, and computes it."""

    def __init__(self, forward: ForwardPass, limits: Limits) -> None:
        self._forward = forward
        self._limits = limits
        self.row_limit = limits.rows
        self.prefixes = PrefixCache(limits.prefix_bytes if forward.exact_prefixes else 0)
        self.waiting: deque[Row] = deque()
        self._rows: list[Row] = []
        self._prefill: Prefill | None = None
        self._cache = RowCache()
        self._whole = self.row_limit, self.prefixes.limit
        self._clean, self._patience = 0, CLEAN_STEPS

    @property
    def busy(self) -> bool:
        """Whether a step would do anything."""
        return bool(self.waiting or self._rows or self._prefill)

    def step(self) -> list[Row]:
        """Prefill some newcomers, if there are any, then generate one token for every running row."""
        if self._prefill is None:
            self._prefill = self._admit()
        finished: list[Row] = []
        if self._prefill is not None:
            logits = self._prefill.step(self._forward, self._limits.prefill_tokens)
            if logits is not None:
                if not self._prefill.ahead:
                    extend(self._prefill.rows, logits)
                    self._weigh(self._prefill)
                    finished += [row for row in self._prefill.rows if row.over]
                    self._join(self._prefill)
                self._prefill = None
        if self._rows:
            self._decode()
            finished += [row for row in self._rows if row.over]
            self._keep([row for row in self._rows if not row.over])
        self._take_more()
        return finished

    def withdraw(self, unwanted: Callable[[Row], bool]) -> None:
        """Drop rows that nobody waits for any more, wherever they are."""
        self.waiting = deque(row for row in self.waiting if not unwanted(row))
        if any(unwanted(row) for row in self._rows):
            self._keep([row for row in self._rows if not unwanted(row)])
        if self._prefill is not None and all(unwanted(row) for row in self._prefill.rows):
            self._prefill = None

    def abandon(self) -> bool:
        """Drop everything computed, and who it was computed for. Other waiting rows stay."""
        if self._prefill is not None:
            self._stop_waiting(self._prefill.rows)
            self._prefill = None
        self._drop_rows()
        # What a failed pass has left there is not to be trusted, and its memory may be needed.
        return self.prefixes.clear()

    def take_less(self, rows: int) -> None:
        """After memory ran out with so many rows: run half of them, and keep half as much of the prompts.

        `CLEAN_STEPS` later twice as much is tried again, since it may have been another program's doing.
        """
        self.row_limit = max(1, min(rows, self.row_limit) // 2)
        self.prefixes.bound(self.prefixes.limit // 2)
        if self._clean:  # not the same shortage once more
            self._clean, self._patience = 0, 2 * self._patience

    def _take_more(self) -> None:
        """After a step in which memory sufficed: allow twice as much, if enough of these have passed."""
        rows, prefix_bytes = self._whole
        if (self.row_limit, self.prefixes.limit) == self._whole:
            return
        self._clean += 1
        if self._clean % self._patience == 0:
            self.row_limit = min(2 * self.row_limit, rows)
            self.prefixes.bound(min(2 * self.prefixes.limit, prefix_bytes))

    def _drop_rows(self) -> None:
        self._rows = []
        self._cache = RowCache()

    def _admit(self) -> Prefill | None:
        """Begin to compute what is next, if anything is. Rows whose turn it is no longer wait."""
        intake = choose(self.waiting, self._rows, self.row_limit, self._limits, self.prefixes)
        if intake is None:
            return None
        if not intake.ahead:
            self._stop_waiting(intake.rows)
        return Prefill(intake, self.prefixes, self._forward.device)

    def _stop_waiting(self, rows: list[Row]) -> None:
        taken = set(rows)
        self.waiting = deque(row for row in self.waiting if row not in taken)

    def _weigh(self, prefill: Prefill) -> None:
        """Compute all phrases that newcomers weigh, several in one pass, each with a copy of its prompt."""
        rows, cache, device = prefill.rows, prefill.cache, prefill.mask.device
        phrases = [
            (place, phrase, row.weighing.left(phrase))
            for place, row in enumerate(rows)
            if row.weighing is not None
            for phrase in row.weighing.unfinished()
        ]
        phrases.sort(key=lambda each: -len(each[2]))
        while phrases:
            width = len(phrases[0][2])
            count = min(WEIGHED_TOKENS // width, self._limits.cached_tokens // (cache.length + width))
            group, phrases = phrases[: max(1, count)], phrases[max(1, count) :]
            places, lengths = [place for place, _, _ in group], [len(tokens) for *_, tokens in group]
            padded = [[*tokens, *[0] * (width - len(tokens))] for *_, tokens in group]
            tokens = torch.tensor(padded, device=device)
            there = torch.arange(width, device=device) < torch.tensor(lengths, device=device)[:, None]
            shown = torch.cat([prefill.mask[places], there], dim=1)
            copy = cache.forked(places)
            step = max(1, WEIGHED_TOKENS // len(group))
            for start in range(0, width, step):
                end = min(width, start + step)
                part, mask = tokens[:, start:end], shown[:, : cache.length + end]
                logits = self._forward(part, mask, copy, every=True)
                for (place, phrase, _), length, each in zip(group, lengths, logits, strict=True):
                    rows[place].weigh(phrase, each[: max(0, length - start)])

    def _join(self, prefill: Prefill) -> None:
        """Add the newcomers that still have something to say to the running rows."""
        rows = _kept(prefill.cache, prefill.rows, {row for row in prefill.rows if not row.over})
        if not rows:
            return
        if self._rows:
            self._cache.join(prefill.cache)
        else:
            self._cache = prefill.cache
        self._rows = [*self._rows, *rows]

    def _decode(self) -> None:
        device = self._forward.device
        tokens = torch.tensor([row.generated[-1:] for row in self._rows], device=device)
        lengths = torch.tensor([row.cached for row in self._rows], device=device)
        columns = torch.arange(self._cache.length + 1, device=device)
        mask = columns >= self._cache.length - lengths[:, None]
        extend(self._rows, self._forward(tokens, mask, self._cache))

    def _keep(self, rows: list[Row]) -> None:
        """Let only these go on, and drop the padding that no one of them needs."""
        if len(rows) == len(self._rows):
            return
        if rows:
            self._rows = _kept(self._cache, self._rows, set(rows))
        else:
            self._drop_rows()


def _kept(cache: RowCache, rows: Sequence[Row], wanted: Collection[Row]) -> list[Row]:
    """The wanted ones of a cache's rows, in the order in which the cache has them from now on."""
    order = closed_up([index for index, row in enumerate(rows) if row in wanted])
    kept = [rows[index] for index in order]
    if kept and len(kept) < len(rows):
        cache.keep(order, max(row.cached for row in kept))
    return kept
