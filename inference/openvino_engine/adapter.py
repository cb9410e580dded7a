"""A LoRA adapter on a model in OpenVINO IR."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from inference.models.adapter import PlainAdapter, for_another_model


def adapter_config(adapter: PlainAdapter, ov: Any) -> Any:
    """An adapter as `openvino_genai` takes it.

    The matrices become constants of the graph. Of the modes for requests that come one by one, the other
    one would fuse them into the weights, which quantized weights don't allow.
    """
    return ov.AdapterConfig(ov.Adapter(str(adapter.path)), adapter.scale, ov.AdapterConfig.Mode.MODE_STATIC)


def check_fits(adapter: PlainAdapter, ir: Path, name: str) -> None:
    """Find out whether a model in OpenVINO IR has every layer that an adapter changes.

    Raises:
        ModelLoadError: It hasn't; the library would print a warning and leave those out.
    """
    graph = (ir / "openvino_model.xml").read_text(encoding="utf-8")
    layers = set(re.findall(r'name="__module\.([\w.]+)/', graph))
    if strange := adapter.modules - layers:
        raise for_another_model(name, f", which has no {min(strange)}")
