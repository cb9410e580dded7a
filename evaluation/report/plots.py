"""Results as pictures: dots with intervals, bars of wins, curves of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evaluation.metrics import METRICS
from evaluation.results import ALL, Judged, Results
from evaluation.statistics import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIGURES, JUDGED, ABLATION = "figures.png", "judged.png", "ablation.png"
PANELS_A_ROW = 3
INK, MUTED = "#1f4e79", "#8a8a8a"
RESULT_COLOURS = {"win": "#2e7d5b", "tie": "#c9c9c9", "lose": "#b5533c"}


def write_plots(results: Results, folder: Path) -> list[Path]:
    """Draw what there is to draw.

    Returns:
        The files written.
    """
    written = []
    if results.figures:
        written.append(_save(_figures(results), folder / FIGURES))
    if results.judged:
        written.append(_save(_judged(results.judged), folder / JUDGED))
    return written


def write_ablation(
    curves: Mapping[str, Mapping[int, Estimate]], paper: Mapping[str, Mapping[int, float]], folder: Path
) -> Path:
    """Draw win rates over a setting, beside the paper's.

    Args:
        curves: By name of the setting: the win rate at each value, as a share.
        paper: The same as the paper printed them, in percent.
        folder: Where to.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(curves), 3.4), layout="constrained")
    panels = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    for axes, (setting, points) in zip(panels, curves.items(), strict=True):
        printed = paper.get(setting, {})
        axes.plot(
            list(printed), list(printed.values()), "o--", color=MUTED, label="paper (13B, GPT-4 judges)"
        )
        values = [100 * point.value for point in points.values()]
        spread = [
            [100 * (point.value - point.low) for point in points.values()],
            [100 * (point.high - point.value) for point in points.values()],
        ]
        axes.errorbar(list(points), values, yerr=spread, fmt="o-", color=INK, capsize=3, label="here")
        axes.set(xlabel=setting.replace("_", " "), ylim=(0, 100))
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("win rate over the base model, %")
    panels[0].legend(fontsize="small")
    return _save(figure, folder / ABLATION)


def _figures(results: Results) -> Figure:
    """A panel for each metric of each set, a dot with its interval for each system."""
    from matplotlib.figure import Figure

    systems = [system["name"] for system in results.systems]
    panels = list(dict.fromkeys((one.set, one.metric) for one in results.figures))
    rows = -(-len(panels) // PANELS_A_ROW)
    height = 0.9 + 0.3 * len(systems)
    figure = Figure(figsize=(4 * PANELS_A_ROW, height * rows), layout="constrained")
    grid = figure.subplots(rows, PANELS_A_ROW, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    for axes, (set_name, metric) in zip(grid, panels, strict=False):
        estimates = [results.find(results.figures, set_name, metric, system) for system in systems]
        _dots(axes, systems, estimates, METRICS[metric].unit)
        where = "all sets" if set_name == ALL else f"{set_name}, n = {results.questions[set_name]}"
        better = METRICS[metric].better
        note = "" if better == "neither" else f"; {better} is better"
        axes.set_title(f"{METRICS[metric].title}\n{where}{note}", fontsize="small", loc="left")
    return figure


def _dots(axes: Axes, systems: Sequence[str], estimates: Sequence[Estimate | None], unit: str) -> None:
    factor = 100 if unit == "%" else 1
    for place, one in enumerate(estimates):
        if one is None:
            continue
        spread = [[factor * (one.value - one.low)], [factor * (one.high - one.value)]]
        axes.errorbar(
            factor * one.value, place, xerr=spread, fmt="o", color=MUTED if place == 0 else INK, capsize=3
        )
    if unit == "%":
        axes.set_xlim(-3, 103)
    axes.set_yticks(range(len(systems)), systems, fontsize="small")
    axes.set_ylim(len(systems) - 0.5, -0.5)
    axes.tick_params(axis="x", labelsize="small")
    axes.set_xlabel(unit, fontsize="small")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _judged(judged: Sequence[Judged]) -> Figure:
    """A bar for each pair and set: wins, ties, losses."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.2 + 0.4 * len(judged)), layout="constrained")
    axes = figure.subplots()
    for place, one in enumerate(judged):
        left = 0.0
        for result, colour in RESULT_COLOURS.items():
            share = 100 * getattr(one, result).value
            axes.barh(place, share, left=left, color=colour, label=result if place == 0 else None)
            if share >= 6:
                ink = "black" if result == "tie" else "white"
                axes.text(left + share / 2, place, f"{share:.0f}", ha="center", va="center", color=ink)
            left += share
    labels = [f"{one.system} vs {one.baseline}, {one.set} (n = {one.win.n})" for one in judged]
    axes.set_yticks(range(len(judged)), labels, fontsize="small")
    axes.set_ylim(len(judged) - 0.5, -0.5)
    axes.set(xlim=(0, 100), xlabel="% of questions")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1), frameon=False, fontsize="small")
    return figure


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=120)
    return path
