"""Which rows taught an adapter an answer: first-order influence (TracIn) over checkpoints of its training.

A step on a row makes an answer likelier as far as the gradients of the two point the same way. So the row's
gradient of the adapter's weights is compared with the answer's at each checkpoint, and that counts for the
learning rates of the steps that led there (Pruthi et al., arXiv:2002.08484). What is compared is their
direction, the cosine, since a plain dot product ranks by size too (Xia et al., arXiv:2402.04333). It also
takes the reference model out of DPO, whose gradient is a positive multiple of the one taken here.

Gradients are projected at random to `DIMENSIONS` numbers, which keep cosines to about 1/sqrt(DIMENSIONS).
Those of rows are kept beside the weights, so that the next question takes a moment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from finetune.checkpoints import state_of, step_of, whole_checkpoints
from finetune.encoding import Encoded, Encoder
from finetune.examples import Example, digest, read_examples
from finetune.train import SETTINGS, read_settings
from finetune.training import TrainingSettings
from inference.engine import ChatMessage
from inference.models.local import transformers_folder
from inference.models.sources import AdapterSource, resolve
from inference.models.weights import ADAPTER
from inference.transformers_engine.pretrained import load_pretrained
from scene.errors import InputError
from scene.files import put_in_place

if TYPE_CHECKING:
    from torch import Tensor

Vectors = np.ndarray[Any, np.dtype[np.float32]]

DIMENSIONS = 4096
"""Numbers that a gradient is projected to: 16 kB a row and checkpoint."""

KEPT = "gradients.npz"


@dataclass(frozen=True, slots=True)
class Stage:
    """Weights of the adapter at one time of its training.

    The step is None for the saved adapter; the weight is the share of the training that it stands for.
    """

    folder: Path
    step: int | None
    weight: float


@dataclass(frozen=True, slots=True)
class Learned:
    """An adapter, and what it learned from."""

    source: AdapterSource
    settings: TrainingSettings
    data: str
    digest: str
    examples: list[Example]
    stages: list[Stage]


def learned(adapter: str, data: str | None = None, checkpoints: int = 2) -> Learned:
    """Find what an adapter was trained on; loads no model.

    Raises:
        InputError: It is no adapter of ours, sits on another base by now, or its rows are not there.
    """
    source = resolve(adapter)
    if not isinstance(source, AdapterSource):
        raise InputError(
            f"{adapter} is no adapter (it has no adapter_config.json); give one that `train` wrote."
        )
    if not (source.path / SETTINGS).is_file():
        raise InputError(f"{adapter} has no {SETTINGS}, so what it learned is not known; `train` writes it.")
    run, settings = read_settings(source.path / SETTINGS)
    if run["model"] != source.base.id:
        raise InputError(
            f"{adapter} was trained on {run['model']}, and its adapter_config.json names {source.base.id}; "
            "correct base_model_name_or_path in it."
        )
    place, _, subset = run["data"].partition(", subset ")
    try:
        splits = read_examples(data or place, settings.method, subset or None)
    except InputError as error:
        reason = str(error).rstrip(".")
        raise InputError(f"{adapter} lacks its rows ({reason}); give their place as --data.") from error
    if digest(splits) != run["rows"]:
        raise InputError(f"{data or place} holds other rows than {adapter} learned; give theirs as --data.")
    stages = _stages(source.path, checkpoints)
    return Learned(source, settings, data or place, run["rows"], splits["train"], stages)


def _stages(adapter: Path, most: int) -> list[Stage]:
    """The last checkpoints, each for the learning rates of the steps since the one before."""
    found = [path for path in whole_checkpoints(adapter) if (path / ADAPTER).is_file()][-most:]
    if not found:
        return [Stage(adapter, None, 1.0)]
    log = state_of(found[-1]).get("log_history", [])
    rates = {entry["step"]: entry["learning_rate"] for entry in log if "learning_rate" in entry} or {0: 1.0}
    steps = [0, *map(step_of, found)]
    taken = [
        (last - first)
        * mean([rate for step, rate in rates.items() if first < step <= last] or rates.values())
        for first, last in pairwise(steps)
    ]
    whole = sum(taken)  # 0 where the one step was that of a warm-up
    shares = [one / whole if whole else 1 / len(found) for one in taken]
    return list(map(Stage, found, steps[1:], shares))


def influences(
    one: Learned, question: str, answer: str, on_row: Callable[[int, int], None] | None = None
) -> list[tuple[Example, float]]:
    """How far each row taught an answer to a question, from 1 down to -1, where it taught the opposite.

    Rows that were too long to be learned are not among them.

    Raises:
        ModelLoadError: Adapter and base don't belong together, or one of them can't be loaded.
        InputError: There is no room for the answer.
    """
    base = transformers_folder(one.source)
    asked = Example((ChatMessage("user", question),), answer)
    scores = np.zeros(len(one.examples))
    for number, stage in enumerate(one.stages):
        gradients = _Gradients(base, stage.folder, one)
        own = gradients.of(asked)
        if not own.any():
            most = one.settings.max_length
            raise InputError(f"The question leaves no room for an answer in the {most} tokens of a row.")
        rows = gradients.kept()
        if rows is None:
            rows = np.empty((len(one.examples), DIMENSIONS), np.float32)
            for place, example in enumerate(one.examples):
                rows[place] = gradients.of(example)
                if on_row is not None:
                    done = number * len(rows) + place + 1
                    on_row(done, len(rows) * len(one.stages))
            gradients.keep(rows)
        lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(own)
        scores += stage.weight * (rows @ own) / np.where(lengths, lengths, np.nan)
        del gradients
    order = [place for place in np.argsort(-scores) if np.isfinite(scores[place])]
    return [(one.examples[place], float(scores[place])) for place in order]


class _Gradients:
    """Projected gradients at one checkpoint."""

    def __init__(self, base: Path, adapter: Path, one: Learned) -> None:
        name = str(adapter)
        loaded = load_pretrained(base, name=name, adapter=adapter, dtype=one.settings.dtype)
        self._model: Any = loaded.model
        self._encoder = Encoder(loaded.tokenizer, self._model, name)
        self._most = one.settings.max_length
        self._weights = [weight for key, weight in self._model.named_parameters() if "lora_" in key]
        for weight in self._weights:
            weight.requires_grad_(True)
        self._file = adapter / KEPT
        content = (adapter / ADAPTER).read_bytes()
        self._key = f"{one.digest} {DIMENSIONS} {hashlib.sha256(content).hexdigest()}"

    def of(self, example: Example) -> Vectors:
        """That of an answer's loss, less that of the one to avoid; zeros where a row has no room for it."""
        total = np.zeros(DIMENSIONS, np.float32)
        given = [(1, example.answer), (-1, example.rejected)]  # KTO has rows with either alone
        cut = [
            (sign, self._encoder.encode(example.prompt, answer).cut(self._most))
            for sign, answer in given
            if answer is not None
        ]
        if all(encoded.answer for _, encoded in cut):
            for sign, encoded in cut:
                total += sign * projected(self._gradient(encoded))
        return total

    def _gradient(self, encoded: Encoded) -> Sequence[Tensor]:
        import torch

        ids = torch.tensor([encoded.prompt + encoded.answer], device=self._model.device)
        counted = len(encoded.answer)
        logits = self._model(ids, logits_to_keep=counted + 1, use_cache=False).logits[0, -counted - 1 : -1]
        loss = torch.nn.functional.cross_entropy(logits.float(), ids[0, -counted:], reduction="sum")
        return torch.autograd.grad(loss, self._weights, materialize_grads=True)

    def kept(self) -> Vectors | None:
        """Those of all rows, if they were computed before for these rows and weights."""
        with suppress(OSError, ValueError, KeyError, BadZipFile), self._file.open("rb") as file:
            found = np.load(file)
            if str(found["key"]) == self._key:
                return np.asarray(found["rows"], np.float32)
        return None

    def keep(self, rows: Vectors) -> None:
        """Keep them for the next question, where the folder can be written."""
        fresh = self._file.with_suffix(".partial.npz")
        with suppress(OSError):
            np.savez(fresh, rows=rows, key=np.array(self._key))
            put_in_place(fresh, self._file)


def projected(gradient: Iterable[Tensor]) -> Vectors:
    """A gradient in `DIMENSIONS` numbers: each of its own is added to one of them, or taken from it.

    Which of them is drawn at random, for each tensor anew from its place, so that no more than one tensor's
    choices are in memory. This is a count sketch: dot products come out right on average.
    """
    import torch

    sums = torch.zeros(2 * DIMENSIONS)
    for place, part in enumerate(gradient):
        chance = torch.Generator().manual_seed(place)
        chosen = torch.randint(2 * DIMENSIONS, (part.numel(),), generator=chance)
        sums.index_add_(0, chosen, part.detach().float().cpu().flatten())
    return (sums[:DIMENSIONS] - sums[DIMENSIONS:]).numpy()
