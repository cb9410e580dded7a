"""Results as tables for a terminal, and as JSON; their rows are those of the page, too."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.text import Text

from evaluation.metrics import METRICS, Better
from evaluation.ratings import ASPECTS, Ratings
from evaluation.results import ALL, Figure, Judged, Results
from evaluation.statistics import Estimate
from scene.files import replace_file
from scene.folding import FoldingTable

RESULTS = "results.json"
BETTER, WORSE = "green", "red"
NOTHING = "\u2013"
JUDGED = (
    *("set", "system", "against", "questions"),
    *("win, %", "tie, %", "lose, %", "net, %", "p", "first place, %"),
)
"""Heads of the rows of `judged_row`."""


def write_results(results: Results, folder: Path) -> None:
    """Write the results as JSON."""
    replace_file(folder / RESULTS, json.dumps(asdict(results), indent=1, ensure_ascii=False) + "\n")


def table_of(
    title: str, head: Sequence[str], rows: Iterable[Sequence[str | Text]], named: int = 1
) -> FoldingTable:
    """A table, of whose columns the first few name what the numbers in the others are of."""
    table = FoldingTable(title=title)
    for place, name in enumerate(head):
        table.add_column(Text(name), justify="left" if place < named else "right")
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return table


def figures_table(results: Results) -> FoldingTable:
    """Figures with their intervals, and below each how it differs from the first system."""
    rows: list[list[str | Text]] = [
        [
            where(set_name, results.questions),
            title_of(metric),
            *(_cell(results, set_name, metric, system) for system in results.names),
        ]
        for set_name, metric in measures(results.figures)
    ]
    for metric, pace in paces(results):
        cells = [pace.get(system, NOTHING) for system in results.names]
        rows.append([where(ALL), title_of(metric), *cells])
    title = "Figures, with 95% intervals; below each, the difference from the first system"
    begins = [not place or rows[place - 1][0] != row[0] for place, row in enumerate(rows)]
    shown = [[row[0] if first else "", *row[1:]] for row, first in zip(rows, begins, strict=True)]
    table = table_of(title, ["set", "figure", *results.names], shown, 2)
    for row, ends in zip(table.rows, [*begins[1:], False], strict=True):
        row.end_section = ends
    return table


def judged_table(results: Results) -> FoldingTable:
    """Wins, ties and losses of every pair."""
    title = "Judged in both orders; where the orders disagree, it is a tie"
    return table_of(title, JUDGED, map(judged_row, results.judged), 3)


def rated_table(ratings: Ratings) -> FoldingTable:
    """Wins, ties and losses as people saw them."""
    rows = ([ASPECTS[one.aspect], *judged_row(one)[:-1]] for one in ratings.rated)
    return table_of("As people rated them, with 95% intervals", ["asked", *JUDGED[:-1]], rows, 4)


def agreement_table(ratings: Ratings) -> FoldingTable:
    """How far they agree."""
    rows = (
        [ASPECTS[one.aspect], one.party, str(one.share.n), interval(one.share, "%"), interval(one.alpha, "")]
        for one in ratings.agreement
    )
    title = "Agreement of those who rated; alpha is 0 where it is chance"
    return table_of(title, ("asked", "with", "pairs", "same, %", "alpha"), rows, 2)


def measures(figures: Iterable[Figure]) -> list[tuple[str, str]]:
    """The sets and metrics that there are figures of, in their order."""
    return list(dict.fromkeys((one.set, one.metric) for one in figures))


def paces(results: Results) -> Iterator[tuple[str, dict[str, str]]]:
    """How long each system took: for an answer, and for a token where that was measured."""
    if results.pace:
        yield "seconds", {one.system: number(one.seconds_per_answer, "s") for one in results.pace}
    forced = [(one.system, one.seconds_per_token) for one in results.pace]
    if told := {system: number(1000 * seconds, "ms") for system, seconds in forced if seconds is not None}:
        yield "pace", told


def where(set_name: str, questions: dict[str, int] | None = None) -> str:
    """What a set is called, with the number of its questions where it is wanted."""
    if set_name == ALL:
        return "all sets"
    return f"{set_name} ({questions[set_name]})" if questions and set_name in questions else set_name


def judged_row(one: Judged) -> list[str]:
    """The cells of a pair of systems, under `JUDGED`."""
    pair = [where(one.set), one.system, one.baseline, str(one.win.n)]
    shares = [interval(share, "%") for share in (one.win, one.tie, one.lose)]
    net = [interval(one.net, "%", sign=True), probability(one.net.p)]
    return [*pair, *shares, *net, interval(one.first_place, "%")]


def number(value: float, unit: str, *, sign: bool = False) -> str:
    """A figure as it is printed: shares in percent, with a real minus sign."""
    plus = "+" if sign else ""
    if unit == "%":
        text = f"{100 * value:{plus}z.1f}"
    elif unit in ("words", "tokens"):
        text = f"{value:{plus}z,.0f}"
    else:
        text = f"{value:{plus}z.2f}"
    return text.replace("-", "\u2212")


def interval(one: Estimate | None, unit: str, *, sign: bool = False) -> str:
    """A figure with its interval."""
    if one is None:
        return NOTHING
    ends = f"{number(one.low, unit, sign=sign)}, {number(one.high, unit, sign=sign)}"
    return f"{number(one.value, unit, sign=sign)} [{ends}]"


def probability(p: float | None) -> str:
    """A p as it is printed; nothing where there is none."""
    return "" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def p_value(one: Estimate) -> Iterator[str]:
    """The p of a difference, and what Holm's correction makes of it."""
    for name, p in (("p", one.p), ("Holm", one.adjusted)):
        if p is not None:
            yield f"{name} {'' if p < 0.001 else '= '}{probability(p)}"


def title_of(metric: str) -> str:
    """What a metric is called, with its unit."""
    return f"{METRICS[metric].title}, {METRICS[metric].unit}"


def _cell(results: Results, set_name: str, metric: str, system: str) -> Text:
    own = results.find(results.figures, set_name, metric, system)
    if own is None:
        return Text(NOTHING, style="dim")
    unit, better = METRICS[metric].unit, METRICS[metric].better
    cell = Text(interval(own, unit))
    if (apart := results.apart(set_name, metric, system)) is not None:
        cell.append(f"\n{interval(apart, unit, sign=True)}", style=_style(apart, better))
        cell.append("".join(f"\n{p}" for p in [", ".join(p_value(apart))] if p), style="dim")
    if (change := results.find(results.relative_changes, set_name, metric, system)) is not None:
        cell.append(f"\n{interval(change, '%', sign=True)} %", style="dim")
    return cell


def _style(apart: Estimate, better: Better) -> str:
    """Coloured only where the interval leaves no doubt about the direction."""
    if better == "neither" or apart.low <= 0 <= apart.high:
        return "dim"
    return BETTER if (apart.value > 0) == (better == "higher") else WORSE
