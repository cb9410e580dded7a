"""How likely a model finds each of some phrases after a prompt, as their tokens are computed."""

from collections.abc import Sequence

import torch
from torch import Tensor


class Weighing:
    """Phrases and what is known of them.

    The prompt's last logits say how likely each phrase's first token is, and those of each token how likely
    the next one is. So the last token of a phrase is never computed. Every phrase has a token.
    """

    def __init__(self, phrases: Sequence[list[int]]) -> None:
        self._phrases = phrases
        self._known = [0] * len(phrases)
        self._sums = [0.0] * len(phrases)

    @property
    def done(self) -> bool:
        """Whether everything is known."""
        return all(known == len(phrase) for known, phrase in zip(self._known, self._phrases, strict=True))

    @property
    def computed(self) -> int:
        """Tokens that were computed once everything is known."""
        return sum(map(len, self._phrases)) - len(self._phrases)

    @property
    def likelihoods(self) -> tuple[float, ...]:
        """Log-likelihood of each phrase, in nats."""
        return tuple(self._sums)

    def unfinished(self) -> list[int]:
        """Which phrases have tokens to compute, once their first ones are known."""
        return [place for place in range(len(self._phrases)) if self.left(place)]

    def left(self, phrase: int) -> list[int]:
        """The tokens of a phrase that are to be computed, in their order."""
        return self._phrases[phrase][self._known[phrase] - 1 : -1]

    def take(self, phrase: int, logits: Tensor) -> None:
        """Learn how likely the next tokens of a phrase are.

        The logits are float32, (tokens, vocabulary), of as many tokens before them.

        Raises:
            ArithmeticError: The logits are no numbers.
        """
        known = self._known[phrase]
        next_ = torch.tensor(self._phrases[phrase][known : known + len(logits)], device=logits.device)
        found = logits.log_softmax(dim=-1).gather(1, next_[:, None])
        if not bool(found.isfinite().all()):
            raise ArithmeticError("the model's output is not a number; try float32")
        self._sums[phrase] += float(found.double().sum())
        self._known[phrase] += len(logits)
