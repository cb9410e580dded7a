"""A validation as tables for a terminal."""

from __future__ import annotations

from rich.text import Text

from evaluation.report.tables import interval, number
from evaluation.statistics import Estimate
from evaluation.validation.figures import Aurocs, Validation
from evaluation.validation.shares import SHARES
from evaluation.validation.signals import SEVERITIES, SIGNALS
from scene.folding import FoldingTable

NOTHING = "\u2013"


def tables(validation: Validation) -> list[FoldingTable]:
    """How well each signal tells, what severities there are, and all else."""
    counts = ", ".join(f"{count:,} {kind}" for kind, count in validation.questions.items())
    found = [_signals(f"AUROC between {counts} questions, with 95% intervals", validation.signals)]
    if validation.styles[next(iter(SIGNALS))]:
        found.append(_signals("The same by style of the question", validation.styles))
    return [*found, _severities(validation), _shares(validation)]


def _signals(title: str, aurocs: Aurocs) -> FoldingTable:
    table = FoldingTable(title=title)
    table.add_column("signal", no_wrap=True)
    for part in aurocs[next(iter(SIGNALS))]:
        table.add_column(Text(part), justify="right")
    for name, signal in SIGNALS.items():
        table.add_row(signal.title, *(_cell(one, "AUROC") for one in aurocs[name].values()))
    return table


def _severities(validation: Validation) -> FoldingTable:
    table = FoldingTable(title="Severity of the consequences, %")
    table.add_column("of questions that are")
    for severity in SEVERITIES:
        table.add_column(severity, justify="right")
    for kind, shares in validation.severities.items():
        table.add_row(kind, *(number(one, "%") for one in shares.values()))
    return table


def _shares(validation: Validation) -> FoldingTable:
    seeds = ", ".join(map(str, validation.seeds))
    table = FoldingTable(title=f"{validation.scenes:,} scenes, seeds {seeds}")
    table.add_column("figure")
    table.add_column("", justify="right")
    for name, one in SHARES.items():
        table.add_row(f"{one.title}, %", _cell(validation.shares[name], "%"))
    cost = validation.cost
    table.add_row("tokens computed a scene", number(cost.computed, "tokens"))
    table.add_row("tokens generated a scene", number(cost.generated, "tokens"))
    table.add_row("seconds a scene, as many at once as were", number(cost.seconds, "s"))
    return table


def _cell(one: Estimate | None, unit: str) -> str:
    return NOTHING if one is None else interval(one, unit)
