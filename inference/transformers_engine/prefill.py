"""Prompts while they are computed, apart from the running batch."""

import torch
from torch import Tensor

from inference.batching.blocks import PAGE, tokens_left
from inference.transformers_engine.admission import Intake
from inference.transformers_engine.forward import ForwardPass
from inference.transformers_engine.prefix_cache import PrefixCache


class Prefill:
    """Some rows' prompts, or the beginning that these share.

    What the prefix cache knows of a prompt is not computed again. Several prompts share one pass, padded on
    the left. Each computes as many tokens as the one that has most to compute, so that nothing but the
    beginning is padding. A lone prompt longer than a step's limit is computed piece by piece, so that the
    running rows can go on in between.
    """

    def __init__(self, intake: Intake, prefixes: PrefixCache, device: torch.device) -> None:
        self.rows = intake.rows
        self.ahead = intake.ahead
        self._prefixes = prefixes
        if self.ahead:
            prompts = [self.rows[0].prompt[: self.ahead * PAGE]]
            self._blocks = [self.rows[0].blocks[: self.ahead]]
        else:
            prompts = [row.prompt for row in self.rows]
            self._blocks = [row.blocks for row in self.rows]
        length = max(map(len, prompts))
        width = max(
            tokens_left(len(prompt), prefixes.known(blocks))
            for prompt, blocks in zip(prompts, self._blocks, strict=True)
        )
        reused = [max(0, len(prompt) - width) for prompt in prompts]
        if not self.ahead:
            for row, count in zip(self.rows, reused, strict=True):
                row.cached_tokens = count
        self.cache = prefixes.restore(list(zip(self._blocks, reused, strict=True)))
        self._padding = [length - len(prompt) for prompt in prompts]
        tokens = [[0] * pad + prompt for pad, prompt in zip(self._padding, prompts, strict=True)]
        self._tokens = torch.tensor(tokens, device=device)
        starts = torch.tensor(self._padding, device=device)
        self.mask = torch.arange(length, device=device)[None] >= starts[:, None]

    def step(self, forward: ForwardPass, limit: int) -> Tensor | None:
        """Compute the next piece, of so many tokens at most where it is one prompt's.

        With the last one prompts are kept for others, and float32 logits of their last tokens are returned,
        (prompts, vocabulary).
        """
        start = self.cache.length
        prompts, length = self._tokens.shape
        end = length if prompts > 1 else min(length, start + limit)
        logits = forward(self._tokens[:, start:end], self.mask[:, :end], self.cache)
        if end < length:
            return None
        self._prefixes.keep(list(zip(self._blocks, self._padding, strict=True)), self.cache)
        return logits
