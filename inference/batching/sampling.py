"""Choosing the next token of each row, by that row's own settings.

A row's token depends on its own logits and its own generator only, so neighbours in the batch can't
change what a seed yields.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

HEADS = (64, 1024)
"""Likeliest tokens looked at for the edge of the nucleus before the whole vocabulary is sorted. Nearly every
nucleus ends among these, and sorting 150,000 numbers per row and step costs more than a small model."""

BLOCK = 256
"""Tokens whose probabilities are summed first, so that only one block a row is cumulated token by token."""

LOWEST_TEMPERATURE = 1e-5
"""Below this float32 can't divide by the temperature; the result is the greedy one anyway."""

AVOID_RUN = 5
"""Tokens of a run that should not come again. In recorded scenes 98 acts that tell much the same as an
earlier one have such a run in common with it, and 22 others do; of runs of six it would be 97 and 13."""

AGAINST = 1000.0
"""What is taken from the logit of a token that should not come. Logits are nearer to each other than that, so
it comes only where a grammar leaves nothing else."""


class Runs:
    """Runs of tokens that should not come again in a reply: those of given texts, and its own.

    Args:
        texts: The tokens of each text.
        inside: Whether a token goes on with a word. No run ends with one: kept out there, a model writes the
            rest of the word in other letters.
    """

    def __init__(
        self, texts: Iterable[Sequence[int]], inside: Callable[[int], bool] = lambda token: False
    ) -> None:
        self._inside = inside
        self._ends: defaultdict[tuple[int, ...], set[int]] = defaultdict(set)
        for text in texts:
            for *begun, end in _runs(text):
                self._ends[tuple(begun)].add(end)

    def ends(self, generated: Sequence[int]) -> list[int]:
        """Tokens that would end a run after what was generated."""
        begun = tuple(generated[1 - AVOID_RUN :])
        own = {run[-1] for run in _runs(generated) if run[:-1] == begun}
        ends = own.union(self._ends.get(begun, ()))
        return sorted(token for token in ends if not self._inside(token))


def _runs(tokens: Sequence[int]) -> Iterator[tuple[int, ...]]:
    return zip(*(tokens[start:] for start in range(AVOID_RUN)), strict=False)


class Sampler:
    """One request's temperature, nucleus and random numbers, which follow from its seed."""

    def __init__(self, temperature: float, top_p: float, seed: int) -> None:
        """Seed a generator of its own, on the CPU whatever the model runs on."""
        self.greedy = temperature == 0
        self.temperature = max(temperature, LOWEST_TEMPERATURE)
        self.top_p = top_p
        self._seed = seed % 2**63
        self._generator = torch.Generator()
        self.restart()

    def restart(self) -> None:
        """Begin the sequence of draws again."""
        self._generator.manual_seed(self._seed)

    def draw(self) -> float:
        """Next uniform number in [0, 1)."""
        return float(torch.rand((), generator=self._generator, dtype=torch.float64))


def pick_tokens(logits: Tensor, samplers: Sequence[Sampler]) -> list[int]:
    """Choose one token a row.

    Args:
        logits: float32, (rows, vocabulary); tokens that are not allowed are -inf. Changed in place.
        samplers: One for each row.

    Raises:
        ArithmeticError: A row has no finite logit at its best token.
    """
    best, greedy = logits.max(dim=-1)
    if not bool(best.isfinite().all()):
        raise ArithmeticError("the model's output is not a number; try float32")
    tokens: list[int] = greedy.tolist()
    drawn = [row for row, sampler in enumerate(samplers) if not sampler.greedy]
    if drawn:
        chosen = [samplers[row] for row in drawn]
        temperatures = torch.tensor([[sampler.temperature] for sampler in chosen], device=logits.device)
        scaled = logits if len(drawn) == len(samplers) else logits[drawn]
        scaled.sub_(best[drawn, None]).div_(temperatures)
        for row, token in zip(drawn, _draw(scaled.softmax(dim=-1), chosen), strict=True):
            tokens[row] = token
    return tokens


def _draw(probabilities: Tensor, samplers: Sequence[Sampler]) -> list[int]:
    """Draw a token a row by inverting the cumulated distribution, in the order of the vocabulary.

    That order, unlike the order of likelihood, says which of two equally likely tokens comes first; bfloat16
    has many such.

    Args:
        probabilities: (rows, vocabulary), each row summing to 1; changed in place.
        samplers: One for each row.
    """
    cut = [row for row, sampler in enumerate(samplers) if sampler.top_p < 1]
    if cut:
        top_p = torch.tensor([samplers[row].top_p for row in cut], dtype=torch.float64)
        kept = probabilities[cut]
        edges = _nucleus_edges(kept, top_p.to(kept.device))
        probabilities[cut] = kept.masked_fill_(kept < edges[:, None], 0)
    uniform = torch.tensor([[sampler.draw()] for sampler in samplers], dtype=torch.float64)
    whole = probabilities.shape[-1] // BLOCK * BLOCK
    sums = probabilities[:, :whole].unflatten(1, (-1, BLOCK)).sum(dim=-1)
    sums = torch.cat([sums, probabilities[:, whole:].sum(dim=-1, keepdim=True)], dim=-1)
    cumulated = sums.double().cumsum(dim=-1)
    target = uniform.to(cumulated.device) * cumulated[:, -1:]
    block = _first_beyond(cumulated, target)
    target = target - (cumulated - sums).gather(1, block)
    inside = block * BLOCK + torch.arange(BLOCK, device=block.device)
    outside = inside >= probabilities.shape[-1]
    weights = probabilities.gather(1, inside.masked_fill(outside, 0)).masked_fill_(outside, 0)
    tokens = block * BLOCK + _first_beyond(weights.double().cumsum(dim=-1), target)
    result: list[int] = tokens[:, 0].tolist()
    return result


def _first_beyond(cumulated: Tensor, target: Tensor) -> Tensor:
    """Index, (rows, 1), of the first of the cumulated sums, (rows, n), that exceeds the target, (rows, 1).

    A target that rounding has put at or beyond the total counts as just below it, so that the index is always
    one that adds something.
    """
    total = cumulated[:, -1:].contiguous()
    below = torch.nextafter(total, torch.zeros_like(total))
    return torch.searchsorted(cumulated, torch.minimum(target, below), right=True)


def _nucleus_edges(probabilities: Tensor, top_p: Tensor) -> Tensor:
    """Probability of the least likely token of each row's nucleus, (rows,).

    The nucleus is the shortest run of likeliest tokens whose mass reaches top_p; tokens exactly as likely as
    its last one belong to it too.

    Args:
        probabilities: (rows, vocabulary).
        top_p: float64, (rows,).
    """
    vocabulary = probabilities.shape[-1]
    edges = torch.zeros_like(probabilities[:, 0])
    left = torch.arange(len(edges), device=edges.device)
    for size in (*HEADS, vocabulary):
        head = probabilities[left].topk(min(size, vocabulary), dim=-1).values
        reached = (head.double().cumsum(dim=-1) < top_p[left, None]).sum(dim=-1, keepdim=True)
        edges[left] = head.gather(1, reached.clamp(max=head.shape[-1] - 1))[:, 0]
        left = left[reached[:, 0] >= head.shape[-1]]
        if not len(left) or size >= vocabulary:
            break
    return edges
