"""A validation as a picture: how well each signal tells, and how bad the consequences are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from evaluation.report.plots import INK, MUTED, bars, spread
from evaluation.validation.figures import ALL, Validation
from evaluation.validation.signals import SEVERITIES, SIGNALS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SEVERITY_COLOURS: Mapping[str, str] = {
    "none": "#dcdcdc",
    "minor": "#e9c46a",
    "moderate": "#d98344",
    "severe": "#a63a3a",
}
MARKERS = "os^vDP"
BESIDE = 0.6
"""How far the dots of a signal's parts are spread below each other, in rows."""


def write_plot(validation: Validation, path: Path) -> None:
    """Draw the AUROC of every signal by split and style with its interval, and the severities by kind."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _signals(left, validation)
    severities = validation.severities
    shares: dict[str, list[float]] = {
        one: [100 * own[one] for own in severities.values()] for one in SEVERITIES
    }
    bars(right, list(severities), shares, SEVERITY_COLOURS)
    right.set_xlabel("% of the consequences of such questions")
    for axes in (left, right):
        axes.tick_params(labelsize="small")
        axes.xaxis.label.set_size("small")
    figure.savefig(path, dpi=120)


def _signals(axes: Axes, validation: Validation) -> None:
    first = next(iter(SIGNALS))
    parts = [(part, aurocs) for aurocs in (validation.signals, validation.styles) for part in aurocs[first]]
    for offset, (part, aurocs) in enumerate(parts):
        dots = [(place, one) for place, name in enumerate(SIGNALS) if (one := aurocs[name][part]) is not None]
        values, ends = spread(one for _, one in dots)
        axes.errorbar(
            values,
            [place + BESIDE * offset / len(parts) for place, _ in dots],
            xerr=ends,
            fmt=MARKERS[offset % len(MARKERS)],
            color=INK if part == ALL else MUTED,
            markersize=5,
            capsize=3,
            label=part,
        )
    axes.axvline(0.5, color=MUTED, linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(SIGNALS)), [signal.title for signal in SIGNALS.values()])
    axes.set(xlim=(0, 1.02), ylim=(len(SIGNALS) - 0.3, -0.4))
    axes.set_xlabel("AUROC of harmful against helpful questions, 0.5 by chance")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(ncols=5, loc="lower left", bbox_to_anchor=(0, 1), frameon=False, fontsize="small")
