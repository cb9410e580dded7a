"""A PEFT LoRA adapter for OpenVINO, which applies the plain kind only and says nothing about the rest."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from inference.models.weights import ADAPTER, check_adapter
from scene.errors import ModelLoadError

_LORA = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])\.weight")
# These start from the base model's weights as they are; other ways (PiSSA, OLoRA, ...) change them first.
_PLAIN_STARTS = (True, False, None, "gaussian", "orthogonal", "eva")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenVINOAdapter:
    """What OpenVINO needs to know of an adapter.

    Attributes:
        path: Its folder.
        scale: What its product of matrices is multiplied by.
        modules: Names of the layers it changes.
        chat_template: Its own chat template, if it has one: training may have set it.
    """

    path: Path
    scale: float
    modules: frozenset[str]
    chat_template: str | None

    def config(self, ov: Any) -> Any:
        """The same for `openvino_genai`.

        The matrices become constants of the graph. Of the modes for requests that come one by one, the other
        one would fuse them into the weights, which quantized weights don't allow.
        """
        adapter = ov.Adapter(str(self.path / ADAPTER))
        return ov.AdapterConfig(adapter, self.scale, ov.AdapterConfig.Mode.MODE_STATIC)


def read_adapter(folder: Path, name: str) -> OpenVINOAdapter:
    """Read an adapter's settings, its chat template and the names and shapes of its weights.

    Raises:
        ModelLoadError: The weights are missing or damaged, or OpenVINO would not apply all of them.
    """
    check_adapter(folder, name)
    try:
        settings = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        rank, alpha = int(settings["r"]), float(settings["lora_alpha"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unsuitable(name, "its adapter_config.json names no rank and alpha") from error
    if settings.get("peft_type") != "LORA":
        raise _unsuitable(name, f"it is of type {settings.get('peft_type')}")
    if settings.get("init_lora_weights", True) not in _PLAIN_STARTS:
        raise _unsuitable(name, f"it was made with init_lora_weights={settings['init_lora_weights']!r}")
    for special in ("alpha_pattern", "rank_pattern", "fan_in_fan_out", "use_qalora"):
        if settings.get(special):
            raise _unsuitable(name, f"it was made with {special}")
    return OpenVINOAdapter(
        path=folder,
        scale=alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank),
        modules=_modules(folder / ADAPTER, name),
        chat_template=_chat_template(folder),
    )


def is_plain(folder: Path) -> bool:
    """Whether OpenVINO would apply all of an adapter."""
    try:
        read_adapter(folder, str(folder))
    except ModelLoadError:
        return False
    return True


def check_fits(adapter: OpenVINOAdapter, ir: Path, name: str) -> None:
    """Find out whether a model in OpenVINO IR has every layer that an adapter changes.

    Raises:
        ModelLoadError: It hasn't; the library would print a warning and leave those out.
    """
    graph = (ir / "openvino_model.xml").read_text(encoding="utf-8")
    layers = set(re.findall(r'name="__module\.([\w.]+)/', graph))
    if strange := adapter.modules - layers:
        raise ModelLoadError(
            f"The adapter {name} was trained for a different model than its adapter_config.json names, "
            f"which has no {min(strange)}; correct base_model_name_or_path in it."
        )


def _modules(weights: Path, name: str) -> frozenset[str]:
    """Names of the layers that have both matrices; nothing else may be in the file."""
    sides: dict[str, set[str]] = {}
    with safe_open(weights, framework="np") as file:
        for key in file.keys():
            lora = _LORA.fullmatch(key)
            if lora is None or len(file.get_slice(key).get_shape()) != 2:
                raise _unsuitable(name, f"it changes more than plain layers, such as {key}")
            sides.setdefault(lora["module"], set()).add(lora["side"])
    if not sides or any(len(both) != 2 for both in sides.values()):
        raise _unsuitable(name, "half of its matrices are missing")
    return frozenset(sides)


def _chat_template(folder: Path) -> str | None:
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
    return ModelLoadError(f"OpenVINO can't apply the adapter {name} ({why}); use the engine `transformers`.")
