"""Results as pictures: dots with intervals, bars of wins, curves of a sweep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evaluation.metrics import METRICS
from evaluation.report.tables import measures, where
from evaluation.results import Judged, Results
from evaluation.statistics import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIGURES, JUDGED, ABLATION = "figures.png", "judged.png", "ablation.png"
PANELS_A_ROW = 3
LEAST_TOLD = 6
"""Percent below which a part of a bar has no room for its number."""

INK, MUTED = "#1f4e79", "#8a8a8a"
RESULT_COLOURS = {"win": "#2e7d5b", "tie": "#c9c9c9", "lose": "#b5533c"}


def write_plots(results: Results, folder: Path) -> list[Path]:
    """Draw what there is to draw, and say into which files."""
    written = []
    if results.figures:
        written.append(_save(_figures(results), folder / FIGURES))
    if results.judged:
        written.append(_save(_judged(results.judged), folder / JUDGED))
    return written


def write_ablation(
    curves: Mapping[str, Mapping[int, Estimate]], paper: Mapping[str, Mapping[int, float]], folder: Path
) -> Path:
    """Draw win rates, as shares by setting and value, beside those that the paper printed, in percent."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(curves), 3.4), layout="constrained")
    panels = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    for axes, (setting, points) in zip(panels, curves.items(), strict=True):
        printed = paper.get(setting, {})
        label = "paper (13B, GPT-4 judges)"
        axes.plot(list(printed), list(printed.values()), "o--", color=MUTED, label=label)
        values, ends = spread(points.values(), 100)
        axes.errorbar(list(points), values, yerr=ends, fmt="o-", color=INK, capsize=3, label="here")
        axes.set(xlabel=setting.replace("_", " "), ylim=(0, 100))
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("win rate over the base model, %")
    panels[0].legend(fontsize="small")
    return _save(figure, folder / ABLATION)


def spread(estimates: Iterable[Estimate], factor: float = 1) -> tuple[list[float], list[list[float]]]:
    """Values and how far their intervals reach down and up, as `errorbar` takes them."""
    told = [
        [factor * end for end in (one.value, one.value - one.low, one.high - one.value)] for one in estimates
    ]
    return [value for value, _, _ in told], [[down for _, down, _ in told], [up for _, _, up in told]]


def bars(
    axes: Axes,
    rows: Sequence[str],
    parts: Mapping[str, Sequence[float]],
    colours: Mapping[str, str],
    *,
    told: bool = False,
) -> None:
    """A bar for each row, its parts in percent one after the other and perhaps told, the first row on top."""
    left = [0.0] * len(rows)
    for name, values in parts.items():
        drawn = axes.barh(range(len(rows)), values, left=left, color=colours[name], label=name)
        if told:
            axes.bar_label(
                drawn, [f"{one:.0f}" if one >= LEAST_TOLD else "" for one in values], label_type="center"
            )
        left = [before + value for before, value in zip(left, values, strict=True)]
    axes.set_yticks(range(len(rows)), rows, fontsize="small")
    axes.set(xlim=(0, 100), ylim=(len(rows) - 0.5, -0.5))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(ncols=5, loc="lower left", bbox_to_anchor=(0, 1), frameon=False, fontsize="small")


def _figures(results: Results) -> Figure:
    """A panel for each metric of each set, a dot with its interval for each system."""
    from matplotlib.figure import Figure

    panels = measures(results.figures)
    rows = -(-len(panels) // PANELS_A_ROW)
    height = 0.9 + 0.3 * len(results.names)
    figure = Figure(figsize=(4 * PANELS_A_ROW, height * rows), layout="constrained")
    grid = figure.subplots(rows, PANELS_A_ROW, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    for axes, (set_name, metric) in zip(grid, panels, strict=False):
        about, shown = METRICS[metric], where(set_name, results.questions)
        _dots(
            axes, [results.find(results.figures, set_name, metric, one) for one in results.names], about.unit
        )
        axes.set_yticks(range(len(results.names)), results.names, fontsize="small")
        note = "" if about.better == "neither" else f"; {about.better} is better"
        axes.set_title(f"{about.title}\n{shown}{note}", fontsize="small", loc="left")
    return figure


def _dots(axes: Axes, estimates: Sequence[Estimate | None], unit: str) -> None:
    for place, one in enumerate(estimates):
        if one is not None:
            values, ends = spread([one], 100 if unit == "%" else 1)
            axes.errorbar(values, [place], xerr=ends, fmt="o", color=INK if place else MUTED, capsize=3)
    if unit == "%":
        axes.set_xlim(-3, 103)
    axes.set_ylim(len(estimates) - 0.5, -0.5)
    axes.tick_params(axis="x", labelsize="small")
    axes.set_xlabel(unit, fontsize="small")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _judged(judged: Sequence[Judged]) -> Figure:
    """A bar for each pair and set: wins, ties, losses."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.2 + 0.4 * len(judged)), layout="constrained")
    axes = figure.subplots()
    labels = [f"{one.system} vs {one.baseline}, {one.set} (n = {one.win.n})" for one in judged]
    parts = {result: [100 * getattr(one, result).value for one in judged] for result in RESULT_COLOURS}
    bars(axes, labels, parts, RESULT_COLOURS, told=True)
    axes.set_xlabel("% of questions")
    return figure


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=120)
    return path
