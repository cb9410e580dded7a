"""How a model is trained: settings, checked on construction, and the presets that fill them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import inf
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from inference.engine import DTYPES
from scene.errors import InputError

PRESETS = Path(__file__).with_name("presets")
SCHEDULES = ("cosine", "linear", "constant", "constant_with_warmup")
REPORTERS = ("none", "trackio", "wandb", "tensorboard")
Method = Literal["sft", "dpo", "kto"]
METHODS: tuple[Method, ...] = get_args(Method)

_LEAST = {
    **dict.fromkeys(("max_steps", "warmup", "weight_decay", "lora_dropout", "seed"), 0),
    **dict.fromkeys(("batch_size", "accumulation", "lora_r", "lora_alpha", "save_steps"), 1),
    **dict.fromkeys(("keep", "logging_steps"), 1),
    "max_length": 8,
}
_BELOW = {"warmup": 1, "lora_dropout": 1, "seed": 2**32}
LENIENT = frozenset({"save_steps", "logging_steps", "keep", "report_to"})
"""Settings that may change when a training goes on: none of them changes what is learned."""


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How to train. The defaults are the paper's, as in the preset `paper`.

    Attributes:
        method: `sft` learns answers, `dpo` learns to prefer one answer to another, `kto` learns answers and
            unlearns others, which need not belong to the same question.
        epochs: Passes over the rows.
        max_steps: Steps after which to stop, whatever the epochs; 0 for no limit.
        learning_rate: Peak of the schedule.
        schedule: Shape of the learning rate over the steps.
        warmup: Share of the steps until the peak is reached.
        weight_decay: Weight decay of AdamW.
        batch_size: Rows in a forward pass, on each device.
        accumulation: Forward passes in a step.
        max_length: Longest row in tokens; the rest is cut.
        group_by_length: Put rows of like length into a batch, so that little is spent on padding; without
            effect on batches of one row.
        packing: Fill rows of `max_length` with several examples; needs FlashAttention.
        lora_r: Rank of the adapter.
        lora_alpha: Scale of the adapter.
        lora_dropout: Dropout before the adapter.
        quantize: Load the base in 4 bits (QLoRA); needs CUDA and bitsandbytes.
        dtype: Number format of the base; `auto` is bfloat16 where the processor computes in it.
        gradient_checkpointing: Compute activations twice instead of keeping them: slower, less memory.
        beta: How far DPO and KTO may move from the base; larger is less.
        desirable_weight: Weight of the answers that KTO learns.
        undesirable_weight: Weight of those that it unlearns.
        seed: Seed of weights, order and dropout.
        save_steps: Steps between checkpoints.
        keep: Checkpoints kept.
        logging_steps: Steps between entries of the loss curve.
        report_to: Where the trainer reports to beside the loss curve.
    """

    method: Method = "sft"
    epochs: float = 3.0
    max_steps: int = 0
    learning_rate: float = 2e-5
    schedule: str = "cosine"
    warmup: float = 0.03
    weight_decay: float = 0.0
    batch_size: int = 1
    accumulation: int = 8
    max_length: int = 1024
    group_by_length: bool = False
    packing: bool = False
    lora_r: int = 8
    lora_alpha: int = 16
    lora_dropout: float = 0.05
    quantize: bool = False
    dtype: str = "auto"
    gradient_checkpointing: bool = True
    beta: float = 0.1
    desirable_weight: float = 1.0
    undesirable_weight: float = 1.0
    seed: int = 0
    save_steps: int = 50
    keep: int = 2
    logging_steps: int = 5
    report_to: str = "none"

    def __post_init__(self) -> None:
        """Refuse what nothing can be trained with.

        Raises:
            InputError: A value is out of its range.
        """
        for name, low in _LEAST.items():
            if not getattr(self, name) >= low:
                raise InputError(f"{name} must be at least {low}, not {getattr(self, name)}.")
        for name in ("epochs", "learning_rate", "beta", "desirable_weight", "undesirable_weight"):
            if not 0 < getattr(self, name) < inf:
                raise InputError(f"{name} must be above 0 and finite, not {getattr(self, name)}.")
        if high := next((name for name, limit in _BELOW.items() if not getattr(self, name) < limit), None):
            raise InputError(f"{high} must be below {_BELOW[high]}, not {getattr(self, high)}.")
        known = {"method": METHODS, "dtype": DTYPES, "schedule": SCHEDULES, "report_to": REPORTERS}
        for name, some in known.items():
            if (value := getattr(self, name)) not in some:
                raise InputError(f"There is no {name} {value!r}; give one of {', '.join(some)}.")
        if self.packing and self.method != "sft":
            raise InputError(f"packing is for sft only; leave it out for {self.method}.")
        if self.method == "kto" and self.batch_size < 2:
            raise InputError(
                "kto measures how far a batch has moved from the base, which takes two rows at least; give "
                "--batch-size 2 or more."
            )

    def changes(self, other: TrainingSettings) -> list[str]:
        """What another training would learn otherwise, one phrase each."""
        old, new = asdict(self), asdict(other)
        changed = (name for name in old if old[name] != new[name] and name not in LENIENT)
        return [f"{name} was {old[name]} and is now {new[name]}" for name in changed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How far a training has come.

    Attributes:
        step: Steps done.
        steps: Steps there are.
        loss: Mean loss of a token over the last steps; None before the first entry of the curve.
        tokens_per_second: Trained tokens a second since this process began, padding not counted.
        seconds_left: How long the remaining steps will take at that rate.
    """

    step: int
    steps: int
    loss: float | None
    tokens_per_second: float
    seconds_left: float


def presets() -> list[str]:
    """Names of the presets, sorted."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def load_settings(preset: str, changes: Mapping[str, object] | None = None) -> TrainingSettings:
    """The settings of a preset, or of a YAML file of the same shape, with some of them changed.

    A change that is None leaves what the preset says.

    Raises:
        InputError: There is no such preset, or it holds what no setting takes.
    """
    path = PRESETS / f"{preset}.yaml" if preset in presets() else Path(preset)
    if not path.is_file():
        raise InputError(
            f"There is no preset {preset!r}; give one of {', '.join(presets())}, or a YAML file."
        )
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no YAML file ({str(error).splitlines()[0]}).") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} holds no settings; write one `name: value` a line.")
    given = {name: value for name, value in (changes or {}).items() if value is not None}
    return settings_from(values | given, str(path))


def settings_from(values: Mapping[str, Any], where: str) -> TrainingSettings:
    """Settings of plain values, each of its field's type.

    Raises:
        InputError: A name or a type is wrong.
    """
    known = {field.name: type(field.default) for field in fields(TrainingSettings)}
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise InputError(f"{where} has the setting {name!r}, which there is not.")
        wanted = known[name]
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not wanted:
            raise InputError(f"{where}: {name} must be of type {wanted.__name__}, not {value!r}.")
        checked[name] = value
    return TrainingSettings(**checked)
