"""Computing the phrases that rows weigh, as continuations of prompts that have just been computed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from inference.batching.row import Row
from inference.transformers_engine.forward import ForwardPass
from inference.transformers_engine.kv_cache import RowCache

TOKENS = 512
"""Tokens in one pass, padding included. Logits of so many take 300 MB with a vocabulary of 150,000."""


def weigh(
    rows: Sequence[Row], cache: RowCache, mask: Tensor, forward: ForwardPass, cached_tokens: int
) -> None:
    """Compute all phrases of those rows that weigh any, several in one pass, each with a copy of its prompt.

    Args:
        rows: Their first tokens are known.
        cache: The prompts' keys and values, which stay as they are.
        mask: bool, (rows, cached tokens); False where there is padding.
        forward: The model.
        cached_tokens: Tokens that the copies may have, unless one alone has more.
    """
    phrases = [
        (place, phrase, row.weighing.left(phrase))
        for place, row in enumerate(rows)
        if row.weighing is not None
        for phrase in row.weighing.unfinished()
    ]
    phrases.sort(key=lambda each: -len(each[2]))
    while phrases:
        width = len(phrases[0][2])
        count = max(1, min(TOKENS // width, cached_tokens // (cache.length + width)))
        group, phrases = phrases[:count], phrases[count:]
        places, lengths = [place for place, _, _ in group], [len(tokens) for *_, tokens in group]
        padded = [[*tokens, *[0] * (width - len(tokens))] for *_, tokens in group]
        tokens = torch.tensor(padded, device=mask.device)
        there = torch.arange(width, device=mask.device) < torch.tensor(lengths, device=mask.device)[:, None]
        shown = torch.cat([mask[places], there], dim=1)
        copy = cache.forked(places)
        step = max(1, TOKENS // len(group))
        for start in range(0, width, step):
            end = min(width, start + step)
            logits = forward(tokens[:, start:end], shown[:, : cache.length + end], copy, every=True)
            for (place, phrase, _), length, each in zip(group, lengths, logits, strict=True):
                rows[place].weigh(phrase, each[: max(0, length - start)])
