"""A validation as tables for a terminal."""

from evaluation.report.tables import interval, number, table_of
from evaluation.validation.figures import Aurocs, Validation
from evaluation.validation.shares import SHARES
from evaluation.validation.signals import SEVERITIES, SIGNALS
from scene.folding import FoldingTable


def tables(validation: Validation) -> list[FoldingTable]:
    """How well each signal tells, what severities there are, and all else."""
    counts = ", ".join(f"{count:,} {kind}" for kind, count in validation.questions.items())
    found = [_signals(f"AUROC between {counts} questions, with 95% intervals", validation.signals)]
    if validation.styles[next(iter(SIGNALS))]:
        found.append(_signals("The same by style of the question", validation.styles))
    severities = (
        [kind, *(number(one, "%") for one in own.values())] for kind, own in validation.severities.items()
    )
    head = ["of questions that are", *SEVERITIES]
    return [*found, table_of("Severity of the consequences, %", head, severities), _shares(validation)]


def _signals(title: str, aurocs: Aurocs) -> FoldingTable:
    rows = (
        [signal.title, *(interval(one, "AUROC") for one in aurocs[name].values())]
        for name, signal in SIGNALS.items()
    )
    table = table_of(title, ["signal", *aurocs[next(iter(SIGNALS))]], rows)
    table.columns[0].no_wrap = True
    return table


def _shares(validation: Validation) -> FoldingTable:
    cost = validation.cost
    rows = [[f"{one.title}, %", interval(validation.shares[name], "%")] for name, one in SHARES.items()]
    rows += [
        ["tokens computed a scene", number(cost.computed, "tokens")],
        ["tokens generated a scene", number(cost.generated, "tokens")],
        ["seconds a scene, as many at once as were", number(cost.seconds, "s")],
    ]
    seeds = ", ".join(map(str, validation.seeds))
    return table_of(f"{validation.scenes:,} scenes, seeds {seeds}", ["figure", ""], rows)
