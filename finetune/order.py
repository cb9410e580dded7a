"""The order in which a training sees its rows. Heavy: transformers comes with it."""

import math
import random
from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

POOL = 50
"""Batches whose rows are put together by length."""


class EpochOrder(Sampler[int], TrainerCallback):
    """Another order in each epoch, drawn of seed and epoch alone: a training that is gone on with replays it.

    Where several rows make a batch, rows of like length can come into one, so that little is padding; the
    batches are shuffled then. A step that is all short rows would give each token of theirs more weight than
    those of other rows have, which is why one row at a time is never put beside its like.
    """

    def __init__(self, lengths: Sequence[int], batch: int, *, group: bool, seed: int) -> None:
        self._lengths = lengths
        self._batch = batch
        self._group = group and batch > 1
        self._seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        dice = random.Random(f"{self._seed} {self.epoch}")
        order = list(range(len(self)))
        dice.shuffle(order)
        return iter(self._grouped(order, dice) if self._group else order)

    def _grouped(self, order: list[int], dice: random.Random) -> list[int]:
        """Batches of like length, shuffled; the one that is not full stays the last."""
        pool = POOL * self._batch
        by_length = [
            row
            for start in range(0, len(order), pool)
            for row in sorted(order[start : start + pool], key=lambda row: -self._lengths[row])
        ]
        whole = len(order) // self._batch
        batches = [by_length[at * self._batch : (at + 1) * self._batch] for at in range(whole)]
        dice.shuffle(batches)
        return [row for batch in batches for row in batch] + by_length[whole * self._batch :]

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Take the epoch that the steps done have come to, in a training that is gone on with too."""
        batches = math.ceil(len(self) / (args.train_batch_size * args.world_size))
        self.epoch = state.global_step // math.ceil(batches / args.gradient_accumulation_steps)
