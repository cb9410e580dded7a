"""The README of a trained adapter or model, and its loss curve: what it was made of, what was measured."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from finetune.encoding import Lengths
from finetune.training import TrainingSettings
from scene.markdown import markdown_table

JSON, PNG = "loss.json", "loss.png"

_FIELDS = {
    "step": "step",
    "epoch": "epoch",
    "loss": "loss",
    "eval_loss": "validation_loss",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
    "num_input_tokens_seen": "tokens",
    "rewards/accuracies": "accuracy",
}
"""What is kept of the trainer's log, and what it is called here."""


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


def entries(log: Iterable[Mapping[str, Any]]) -> list[dict[str, float]]:
    """The entries of a trainer's log that hold a training or a validation loss."""
    return [
        {name: line[key] for key, name in _FIELDS.items() if key in line}
        for line in log
        if "loss" in line or "eval_loss" in line
    ]


def write_curve(log: Iterable[Mapping[str, Any]], folder: Path, title: str) -> None:
    """Write the curve of a trainer's log."""
    from matplotlib.figure import Figure

    found = entries(log)
    (folder / JSON).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, label, mark in (("loss", "training", ""), ("validation_loss", "validation", "o")):
        points = [(entry["step"], entry[name]) for entry in found if name in entry]
        if points:
            axes.plot(*zip(*points, strict=True), marker=mark, label=label)
    axes.set(xlabel="step", ylabel="loss", title=title.replace("$", r"\$"))
    axes.grid(alpha=0.3)
    if axes.has_data():
        axes.legend()
    figure.savefig(folder / PNG, dpi=120)
