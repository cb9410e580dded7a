"""Results as tables for a terminal, and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from rich.text import Text

from evaluation.metrics import METRICS, Better
from evaluation.ratings import ASPECTS, Ratings
from evaluation.results import ALL, Judged, Results
from evaluation.statistics import Estimate
from scene.files import replace_file
from scene.folding import FoldingTable

RESULTS = "results.json"
BETTER, WORSE = "green", "red"


def write_results(results: Results, folder: Path) -> Path:
    """Write the results as JSON.

    Returns:
        The file.
    """
    path = folder / RESULTS
    replace_file(path, json.dumps(results.to_json(), indent=1, ensure_ascii=False) + "\n")
    return path


def figures_table(results: Results) -> FoldingTable:
    """Figures with their intervals, and below each how it differs from the first system."""
    systems = [system["name"] for system in results.systems]
    table = FoldingTable(
        title="Figures, with 95% intervals; below each, the difference from the first system"
    )
    table.add_column("set")
    table.add_column("figure")
    for system in systems:
        table.add_column(Text(system), justify="right")
    last = ""
    for set_name, metric in dict.fromkeys((one.set, one.metric) for one in results.figures):
        if last not in ("", set_name):
            table.add_section()
        where = "all sets" if set_name == ALL else f"{set_name} ({results.questions[set_name]})"
        unit = METRICS[metric].unit
        cells = []
        for system in systems:
            own = results.find(results.figures, set_name, metric, system)
            apart = results.find(results.differences, set_name, metric, system)
            cell = _cell(own, apart, unit, METRICS[metric].better)
            change = results.find(results.relative_changes, set_name, metric, system)
            if change is not None:
                cell.append(f"\n{interval(change, '%', sign=True)} %", style="dim")
            cells.append(cell)
        table.add_row(
            Text(where if last != set_name else ""), Text(f"{METRICS[metric].title}, {unit}"), *cells
        )
        last = set_name
    if results.pace:
        pace = {one.system: number(one.seconds_per_answer, "s") for one in results.pace}
        where = "" if last == ALL else "all sets"
        seconds = f"{METRICS['seconds'].title}, {METRICS['seconds'].unit}"
        table.add_row(where, seconds, *(pace.get(system, "\u2013") for system in systems))
    return table


def judged_table(results: Results) -> FoldingTable:
    """Wins, ties and losses of every pair."""
    table = FoldingTable(title="Judged in both orders; where the orders disagree, it is a tie")
    for name in ("set", "system", "against"):
        table.add_column(name)
    for name in ("questions", "win, %", "tie, %", "lose, %", "net, %", "first place, %"):
        table.add_column(name, justify="right")
    for one in results.judged:
        table.add_row(*_judged_row(one))
    return table


def rated_table(ratings: Ratings) -> FoldingTable:
    """Wins, ties and losses as people saw them."""
    table = FoldingTable(title="As people rated them, with 95% intervals")
    for name in ("asked", "set", "system", "against"):
        table.add_column(name)
    for name in ("pairs", "win, %", "tie, %", "lose, %", "net, %"):
        table.add_column(name, justify="right")
    for one in ratings.rated:
        table.add_row(ASPECTS[one.aspect], *_judged_row(one)[:-1])
    return table


def agreement_table(ratings: Ratings) -> FoldingTable:
    """How far they agree."""
    table = FoldingTable(title="Agreement of those who rated; alpha is 0 where it is chance")
    for name in ("asked", "with"):
        table.add_column(name)
    for name in ("pairs", "same, %", "alpha"):
        table.add_column(name, justify="right")
    for one in ratings.agreement:
        alpha = "\u2013" if one.alpha is None else interval(one.alpha, "")
        table.add_row(ASPECTS[one.aspect], one.party, str(one.share.n), interval(one.share, "%"), alpha)
    return table


def number(value: float, unit: str, *, sign: bool = False) -> str:
    """A figure as it is printed: shares in percent, with a real minus sign."""
    plus = "+" if sign else ""
    if unit == "%":
        text = f"{100 * value:{plus}.1f}"
    elif unit in ("words", "tokens"):
        text = f"{value:{plus},.0f}"
    else:
        text = f"{value:{plus}.2f}"
    return text.replace("-", "\u2212")


def interval(one: Estimate, unit: str, *, sign: bool = False) -> str:
    """A figure with its interval."""
    ends = f"{number(one.low, unit, sign=sign)}, {number(one.high, unit, sign=sign)}"
    return f"{number(one.value, unit, sign=sign)} [{ends}]"


def _cell(own: Estimate | None, apart: Estimate | None, unit: str, better: Better) -> Text:
    if own is None:
        return Text("\u2013", style="dim")
    cell = Text(interval(own, unit))
    if apart is not None:
        cell.append(f"\n{interval(apart, unit, sign=True)}", style=_style(apart, better))
    return cell


def _style(apart: Estimate, better: Better) -> str:
    """Coloured only where the interval leaves no doubt about the direction."""
    if better == "neither" or apart.low <= 0 <= apart.high:
        return "dim"
    return BETTER if (apart.value > 0) == (better == "higher") else WORSE


def _judged_row(one: Judged) -> list[Text]:
    shares = [interval(share, "%") for share in (one.win, one.tie, one.lose)]
    net = interval(one.net, "%", sign=True)
    first = "\u2013" if one.first_place is None else interval(one.first_place, "%")
    where = "all sets" if one.set == ALL else one.set
    return [Text(cell) for cell in (where, one.system, one.baseline, str(one.win.n), *shares, net, first)]
