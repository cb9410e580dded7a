"""The README of a trained adapter or model: what it was made of, how, and what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import yaml

from finetune.encoding import Lengths
from finetune.training import TrainingSettings
from scene.markdown import markdown_table


def model_card(
    base: str,
    data: str,
    settings: TrainingSettings,
    metrics: Mapping[str, float],
    lengths: Mapping[str, Lengths],
    *,
    fault: str = "",
) -> str:
    """The card in Markdown."""
    header: dict[str, object] = {
        "library_name": "peft",
        "tags": ["monopolylogue", "lora", settings.method],
        "pipeline_tag": "text-generation",
    }
    if "/" in base and not base.startswith("/"):
        header["base_model"] = base
    rows = [
        (name, f"{own.rows:,}", f"{own.tokens:,}", f"{own.counted:,}", f"{own.truncated:,}", own.too_long())
        for name, own in lengths.items()
    ]
    sections = [
        f"---\n{yaml.safe_dump(header, sort_keys=False)}---\n\n# A LoRA adapter for {base}",
        f"Trained by Monopolylogue with the method {settings.method} on `{data}`. The answers it learned are "
        "those that a language model gave after it had rehearsed their consequences; nobody has checked them "
        "one by one.",
        f"**Not fit for use.** {fault}" if fault else "",
        'Run it: `monopolylogue run --model FOLDER "..."`. Make it one model: `monopolylogue merge FOLDER`.',
        "## Data",
        markdown_table(
            ("split", "rows", "tokens", "counted in the loss", "truncated", "left out as too long"), rows
        ),
        "## Measured",
        markdown_table(("", ""), [(name, f"{value:,.4g}") for name, value in metrics.items()]),
        "![Loss by step](loss.png)",
        "## Settings",
        markdown_table(("", ""), [(name, str(value)) for name, value in asdict(settings).items()]),
    ]
    return "\n\n".join(filter(None, sections)) + "\n"
