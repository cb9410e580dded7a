"""A PEFT LoRA adapter of the plain kind, for engines that apply no other and say nothing about the rest."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import safe_open

from inference.models.weights import ADAPTER, check_adapter
from scene.errors import ModelLoadError

if TYPE_CHECKING:
    from torch import Tensor

_PREFIX = "base_model.model."
_LORA = re.compile(re.escape(_PREFIX) + r"(?P<module>.+)\.lora_(?P<side>[AB])\.weight")
# These start from the base model's weights as they are; other ways (PiSSA, OLoRA, ...) change them first.
_PLAIN_STARTS = (True, False, None, "gaussian", "orthogonal", "eva")
# With these it computes something else, or has other sizes, without a tensor of another name.
_SPECIAL = (
    "alpha_pattern", "fan_in_fan_out", "kasa_config", "layer_replication", "monteclora_config",
    "rank_pattern", "use_bdlora", "use_qalora",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainAdapter:
    """What is to know of an adapter that does nothing but add products of two matrices to layers."""

    path: Path
    rank: int
    scale: float
    modules: frozenset[str]
    chat_template: str | None

    def matrices(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Each layer's name and its two matrices, (rank, in) and (out, rank)."""
        with safe_open(self.path, framework="pt") as file:
            for module in sorted(self.modules):
                a, b = (file.get_tensor(f"{_PREFIX}{module}.lora_{side}.weight") for side in "AB")
                yield module, a, b


def read_adapter(folder: Path, name: str) -> PlainAdapter:
    """Read an adapter's settings, its chat template and the names and shapes of its weights.

    Raises:
        ModelLoadError: The weights are missing or damaged, or it is not of the plain kind.
    """
    check_adapter(folder, name)
    try:
        settings = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        rank, alpha = int(settings["r"]), float(settings["lora_alpha"])
        scale = alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise _unsuitable(name, "its adapter_config.json names no rank and alpha") from error
    if settings.get("init_lora_weights", True) not in _PLAIN_STARTS:
        raise _unsuitable(name, f"it was made with init_lora_weights={settings['init_lora_weights']!r}")
    for special in _SPECIAL:
        if settings.get(special):
            raise _unsuitable(name, f"it was made with {special}")
    return PlainAdapter(
        path=folder / ADAPTER,
        rank=rank,
        scale=scale,
        modules=_modules(folder / ADAPTER, rank, name),
        chat_template=chat_template(folder),
    )


def for_another_model(name: str) -> ModelLoadError:
    """The error for an adapter that does not fit its base model."""
    return ModelLoadError(
        f"The adapter {name} was trained for a different model than its adapter_config.json names; "
        "correct base_model_name_or_path in it."
    )


def _modules(weights: Path, rank: int, name: str) -> frozenset[str]:
    """Names of the layers that have both matrices; nothing else may be in the file."""
    sides: dict[str, set[str]] = {}
    with safe_open(weights, framework="np") as file:
        for key in file.keys():
            lora = _LORA.fullmatch(key)
            shape = file.get_slice(key).get_shape()
            if lora is None or len(shape) != 2:
                raise _unsuitable(name, f"it changes more than plain layers, such as {key}")
            if shape[lora["side"] == "B"] != rank:
                raise _unsuitable(name, f"{key} is not of the rank that its adapter_config.json names")
            sides.setdefault(lora["module"], set()).add(lora["side"])
    if not sides or any(len(both) != 2 for both in sides.values()):
        raise _unsuitable(name, "half of its matrices are missing")
    return frozenset(sides)


def token_count(folder: Path) -> int:
    """How many tokens an adapter's own tokenizer needs, as far as it added some; 0 where it has none."""
    try:
        tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        return max((int(token["id"]) + 1 for token in tokenizer["added_tokens"]), default=0)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return 0


def chat_template(folder: Path) -> str | None:
    """The chat template that an adapter brings, whether or not it brings a tokenizer."""
    try:
        return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    except FileNotFoundError:
        pass
    try:
        template = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))["chat_template"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return template if isinstance(template, str) else None


def _unsuitable(name: str, why: str) -> ModelLoadError:
    return ModelLoadError(f"The adapter {name} is no plain LoRA ({why}); use the engine `transformers`.")
