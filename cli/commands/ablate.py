"""`monopolylogue ablate`: how the win rate over the base model grows with roles and with interactions."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.commands.evaluate import (
    AnswerSeed,
    AnswerTemperature,
    Data,
    JudgeUrl,
    Limit,
    MaxTokens,
    Out,
    SetNames,
    Splits,
    Subsets,
)
from cli.options import SCENE, Device, Dtype, EngineName, MaxInteractions, Model, Roles, Steps, numbers
from scene.settings import SceneSettings

EPILOG = """\
[bold]Example[/]

The paper's two curves, on twenty questions of HH-RLHF:
  monopolylogue ablate --set hh --data sets --limit 20 --judge default --out evaluations/ablation"""


def ablate(
    set_names: SetNames,
    out: Out,
    judge: Annotated[str, typer.Option(metavar="MODEL", help="Model that compares answers.")],
    judge_url: JudgeUrl = None,
    subset: Subsets = None,
    split: Splits = None,
    data: Data = None,
    limit: Limit = None,
    sweep_roles: Annotated[
        str, typer.Option(metavar="N,...", help="Numbers of roles to try.", rich_help_panel=SCENE)
    ] = "1,2,4,7",
    sweep_interactions: Annotated[
        str, typer.Option(metavar="N,...", help="Limits of interactions to try.", rich_help_panel=SCENE)
    ] = "1,4,8,12,16",
    roles: Roles = SceneSettings.roles,
    steps: Steps = SceneSettings.steps,
    max_interactions: MaxInteractions = SceneSettings.max_interactions,
    max_tokens: MaxTokens = 512,
    temperature: AnswerTemperature = 0.0,
    seed: AnswerSeed = 0,
    model: Model = "default",
    engine: EngineName = "auto",
    dtype: Dtype = "auto",
    device: Device = "auto",
) -> None:
    """Sweep roles and interactions, and plot both curves beside the paper's.

    Each setting plays its scenes around the same questions, and a judge compares
    what came of them with the model's own answers. While roles are swept,
    interactions stay at --max-interactions, and the other way round. The same
    command again goes on where it stopped.
    """
    # Here, since it takes seconds to import what this needs.
    from cli.views.console import plain_console
    from cli.work.evaluating import Options, run_evaluation, show
    from evaluation.ablation import Sweep, curves, paper_curves, systems_of
    from evaluation.report.plots import write_ablation
    from evaluation.session import Sampling
    from evaluation.sets import load_sets

    items = tuple(
        load_sets(set_names, data, limit=limit, seed=seed, subsets=subset or (), splits=split or ())
    )
    scene = SceneSettings(roles=roles, steps=steps, max_interactions=max_interactions)
    sweep = Sweep(
        roles=numbers(sweep_roles, "--sweep-roles"),
        max_interactions=numbers(sweep_interactions, "--sweep-interactions"),
    )
    systems = systems_of(model, sweep, scene)
    results = run_evaluation(
        Options(
            systems=systems,
            items=items,
            out=out,
            sampling=Sampling(max_tokens=max_tokens, temperature=temperature, seed=seed),
            scene=scene,
            judge=judge,
            judge_url=judge_url,
            grader=None,
            grader_url=None,
            pairs=tuple((system.name, systems[0].name) for system in systems[1:]),
            judged_sets=(),
            scored_sets=(),
            likelihood=False,
            retry_failed=False,
            scenes=None,
            engine=engine,
            dtype=dtype,
            device=device,
        )
    )
    show(results, out)
    path = write_ablation(curves(results, sweep, scene), paper_curves(), out)
    plain_console().print(f"Both curves are in {path}.", soft_wrap=True)
