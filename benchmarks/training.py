"""Training: trained tokens a second and memory, `cpu-small` beside a plain SFTTrainer, on the same rows.

`python -m benchmarks compare --only training` prints the figures.
"""

import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.ledger import Ledger
from benchmarks.measure import peak_bytes
from benchmarks.report import GB, Figure, compared
from finetune.encoding import Encoder, encode_split
from finetune.examples import Example
from finetune.training import load_settings
from inference.engine import ChatMessage

Way = Literal["plain", "cpu-small"]

ROWS = 32
"""Rows that both ways are compared on: a few minutes for the slower one."""

LONG_ROWS = 300
"""Rows of the training whose time is given, with the tiny model."""

_WORDS = (
    "bread", "morning", "letter", "garden", "window", "neighbour", "promise", "river", "quiet", "answer",
    "kettle", "market", "worry", "borrow", "mend", "ask", "listen", "wait", "share", "explain", "the", "a",
    "to", "and", "before", "after", "with", "for", "of", "in",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Training:
    """What a training took.

    Padding is not counted, nor the time of loading the model.
    """

    tokens: int
    seconds: float
    peak_bytes: int


def training_figures(model: str, ledger: Ledger, *, long: bool = True) -> Iterator[Figure]:
    """Both ways on the same rows, and the time of a whole training."""
    plain, small = run(ledger, model, "plain", ROWS), run(ledger, model, "cpu-small", ROWS)
    yield compared(
        f"{model}: training with cpu-small against a plain SFTTrainer in float32",
        small.tokens / small.seconds,
        "tokens/s",
        baseline=plain.tokens / plain.seconds,
    )
    yield compared(f"{model}: peak memory of a plain SFTTrainer", plain.peak_bytes / GB, "GB")
    yield compared(f"{model}: peak memory with cpu-small", small.peak_bytes / GB, "GB")
    if long:
        whole = run(ledger, model, "cpu-small", LONG_ROWS)
        name = f"{model}: one epoch of {LONG_ROWS} rows of {whole.tokens / LONG_ROWS:.0f} tokens, cpu-small"
        yield compared(name, whole.seconds / 60, "min")


def examples(count: int) -> list[Example]:
    """Rows of 150 tokens in the mean, some of them a third as long and some twice: as scenes give them."""
    chance = random.Random(0)

    def text(low: int, high: int) -> str:
        return " ".join(chance.choices(_WORDS, k=chance.randint(low, high)))

    return [
        Example((ChatMessage("user", f"How do I {text(8, 40)}?"),), f"First, {text(20, 140)}.")
        for _ in range(count)
    ]


def train_once(model: str, way: Way, rows: int) -> Training:
    """Train one epoch on so many rows."""
    from peft import LoraConfig
    from transformers import Trainer
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    from finetune import trainer as trainers
    from inference.models.sources import resolve

    settings = load_settings("cpu-small", {"dtype": "float32" if way == "plain" else "auto"})
    with tempfile.TemporaryDirectory() as scratch, trainers.quiet():
        words, network = trainers.load(resolve(model), settings)
        split = encode_split(Encoder(words, network, model), examples(rows), settings.max_length)
        trainer: Trainer
        if way == "plain":
            import datasets

            trainer = SFTTrainer(
                network,
                SFTConfig(
                    scratch,
                    num_train_epochs=1,
                    use_cpu=True,
                    bf16=False,
                    activation_checkpointing=True,
                    dataloader_pin_memory=False,
                    save_strategy="no",
                    report_to="none",
                    disable_tqdm=True,
                ),
                train_dataset=datasets.Dataset.from_list(split.rows),
                processing_class=words,
                peft_config=LoraConfig(
                    r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"
                ),
            )
        else:
            trainer = trainers.make(network, words, {"train": split}, settings, Path(scratch))
        started = time.perf_counter()
        trainer.train()
        return Training(split.lengths.tokens, time.perf_counter() - started, peak_bytes())


def run(ledger: Ledger, model: str, way: Way, rows: int) -> Training:
    """The same in a process of its own."""
    return Training(**ledger.take("train", model, way, str(rows)))
