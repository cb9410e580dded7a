"""`monopolylogue ablate`: how the win rate over the base model grows with roles and with interactions."""

from typing import Annotated

import typer

from cli.options import SCENE, Model, numbers, option
from cli.options.evaluate import EvaluateOptions, SharedOptions

EPILOG = """\
[bold]Example[/]

The paper's two curves, on twenty questions of HH-RLHF:
  monopolylogue ablate --set hh --data sets --limit 20 --judge default --out evaluations/ablation"""


def ablate(
    shared: SharedOptions,
    judge: Annotated[str, typer.Option(metavar="MODEL", help="Model that compares answers.")],
    sweep_roles: Annotated[str, option(SCENE, "Numbers of roles to try.", metavar="N,...")] = "1,2,4,7",
    sweep_interactions: Annotated[
        str, option(SCENE, "Limits of interactions to try.", metavar="N,...")
    ] = "1,4,8,12,16",
    model: Model = "default",
) -> None:
    """Sweep roles and interactions, and plot both curves beside the paper's.

    Each setting plays its scenes around the same questions, and a judge compares
    what came of them with the model's own answers. While roles are swept,
    interactions stay at --max-interactions, and the other way round. The same
    command again goes on where it stopped.
    """
    from cli.views.console import plain_console
    from cli.work.evaluating import Evaluation, run_evaluation, show
    from evaluation.ablation import PAPER_CURVES, Sweep, curves, systems_of
    from evaluation.report.plots import write_ablation

    items = shared.items()
    options = EvaluateOptions(**vars(shared), system=[], judge=judge, no_likelihood=True)
    sweep = Sweep(
        roles=numbers(sweep_roles, "--sweep-roles"),
        max_interactions=numbers(sweep_interactions, "--sweep-interactions"),
    )
    systems = systems_of(model, sweep, options.scene)
    pairs = tuple((system.name, systems[0].name) for system in systems[1:])
    results = run_evaluation(
        Evaluation(asked=options, items=items, systems=systems, pairs=pairs, scene=options.scene)
    )
    show(results, options.out)
    path = write_ablation(curves(results, sweep, options.scene), PAPER_CURVES, options.out)
    plain_console().print(f"Both curves are in {path}.")
