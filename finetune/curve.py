"""The loss curve of a training, as JSON and as a picture."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

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

Entry = dict[str, float]


def entries(log: Iterable[Mapping[str, Any]]) -> list[Entry]:
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
