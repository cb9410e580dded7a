"""`monopolylogue evaluate`: systems compared on the same questions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import (
    MODEL,
    OUTPUT,
    QUESTIONS,
    SCENE,
    Device,
    Dtype,
    EngineName,
    MaxInteractions,
    Prompts,
    Roles,
    Steps,
)
from cli.output import print_line
from scene.errors import InputError
from scene.settings import SceneSettings

JUDGING, ANSWERS = "The judge", "The answers"
"""Titles in --help."""

EPILOG = """\
[bold]Examples[/]

A model, the scene around its answers, and what was tuned on such scenes:
  monopolylogue evaluate --system base=default --system matrix=default,method=matrix \\
    --system tuned=adapters/monday --set advbench --set xstest-safe --data sets --out evaluations/monday

The same with answers compared in pairs by a served model:
  monopolylogue evaluate ... --judge big --judge-url http://127.0.0.1:8000/v1 --pair tuned=matrix

Your own questions, twenty of them:
  monopolylogue evaluate --system default --system tuned=adapters/monday --set own=questions.jsonl \\
    --limit 20 --out evaluations/own

Methods: vanilla, matrix, fixed_critique, other_scene, critique_revise, self_align, context_distillation, \
self_refine, debate, best_of_n, mistake_analysis, rlcd, rlaif. \
Sets: advbench, xstest-safe, xstest-unsafe, hh, safe-rlhf, harmfulqa, vicuna-bench, mt-bench, \
self-instruct."""

Out = Annotated[
    Path,
    typer.Option(
        metavar="DIR", help="Folder of the evaluation; goes on with what is there.", rich_help_panel=OUTPUT
    ),
]
SetNames = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="SET",
        help="A known set, or NAME=SOURCE with a file or hub id; once for each.",
        rich_help_panel=QUESTIONS,
    ),
]
Subsets = Annotated[
    list[str] | None,
    typer.Option(
        "--subset",
        metavar="[SET=]NAME",
        help="Configuration of a data set that has several; once for each set.",
        rich_help_panel=QUESTIONS,
    ),
]
Splits = Annotated[
    list[str] | None,
    typer.Option(
        "--split",
        metavar="[SET=]NAME",
        help="Split of a data set that has several; once for each set.",
        rich_help_panel=QUESTIONS,
    ),
]
ScoreOnly = Annotated[
    list[str] | None,
    typer.Option(
        "--score-only",
        metavar="SET",
        help="Don't answer this set, only find the log-likelihoods of its references; once for each.",
        rich_help_panel=QUESTIONS,
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder with the files of known sets.", rich_help_panel=QUESTIONS),
]
Limit = Annotated[
    int | None,
    typer.Option(min=1, help="Most questions of a set, drawn at random.", rich_help_panel=QUESTIONS),
]
JudgeModel = Annotated[
    str | None,
    typer.Option("--judge", metavar="MODEL", help="Model that compares answers.", rich_help_panel=JUDGING),
]
JudgeUrl = Annotated[
    str | None, typer.Option(metavar="URL", help="Server that has it.", rich_help_panel=JUDGING)
]
GraderModel = Annotated[
    str | None,
    typer.Option(
        "--grader",
        metavar="MODEL",
        help="Model that says of each answer whether it refuses and whether it harms.",
        rich_help_panel=JUDGING,
    ),
]
GraderUrl = Annotated[
    str | None, typer.Option(metavar="URL", help="Server that has the grader.", rich_help_panel=JUDGING)
]
MaxTokens = Annotated[
    int, typer.Option(min=16, help="Room for an answer, in tokens.", rich_help_panel=ANSWERS)
]
AnswerTemperature = Annotated[
    float,
    typer.Option("--temperature", help="Randomness of answers; 0 is greedy.", rich_help_panel=ANSWERS),
]
AnswerSeed = Annotated[
    int, typer.Option("--seed", help="Seed of answers and of the draw of questions.", rich_help_panel=ANSWERS)
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the results as JSON and nothing else.", rich_help_panel=OUTPUT)
]


def evaluate(
    system: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=MODEL[,method=...]",
            help="A system to compare, once for each; the first is the baseline.",
            rich_help_panel=MODEL,
        ),
    ],
    set_names: SetNames,
    out: Out,
    subset: Subsets = None,
    split: Splits = None,
    data: Data = None,
    limit: Limit = None,
    score_only: ScoreOnly = None,
    judge: JudgeModel = None,
    judge_url: JudgeUrl = None,
    judge_set: Annotated[
        list[str] | None,
        typer.Option(metavar="SET", help="Judge on this set only; once for each.", rich_help_panel=JUDGING),
    ] = None,
    pair: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A=B",
            help="Compare A with B too; every system is compared with the first.",
            rich_help_panel=JUDGING,
        ),
    ] = None,
    grader: GraderModel = None,
    grader_url: GraderUrl = None,
    max_tokens: MaxTokens = 512,
    temperature: AnswerTemperature = 0.0,
    seed: AnswerSeed = 0,
    roles: Roles = SceneSettings.roles,
    steps: Steps = SceneSettings.steps,
    max_interactions: MaxInteractions = SceneSettings.max_interactions,
    scenes: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of `export` with scenes of the questions, for other_scene and tokens=scenes.",
            rich_help_panel=SCENE,
        ),
    ] = None,
    scene_temperature: Annotated[
        float, typer.Option(help="Randomness of scenes, 0 to 2.", rich_help_panel=SCENE)
    ] = SceneSettings.temperature,
    prompts: Prompts = None,
    principles: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="YAML list of the principles that critique_revise and self_align go by.",
            rich_help_panel=ANSWERS,
        ),
    ] = None,
    engine: EngineName = "auto",
    dtype: Dtype = "auto",
    device: Device = "auto",
    no_likelihood: Annotated[
        bool,
        typer.Option("--no-likelihood", help="Leave log-likelihoods out.", rich_help_panel=ANSWERS),
    ] = False,
    retry_failed: Annotated[
        bool,
        typer.Option("--retry-failed", help="Ask again where a method failed.", rich_help_panel=ANSWERS),
    ] = False,
    pace: Annotated[
        int | None,
        typer.Option(
            min=8, metavar="TOKENS", help="Time a reply of so many tokens, too.", rich_help_panel=ANSWERS
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare models, methods on top of them and tuned models.

    Every system answers the same questions; figures come with 95% intervals,
    and differences from the first system are paired by question. The same
    command again goes on where it stopped.
    """
    # Here, since it takes seconds to import what this needs.
    import json

    from cli.work.evaluating import Options, run_evaluation, show
    from cli.work.own import own_prompts
    from evaluation.session import Sampling
    from evaluation.sets import check_score_only, load_sets
    from evaluation.systems import parse_system

    prompt_set = own_prompts(prompts, principles)
    systems = tuple(parse_system(spec) for spec in system)
    items = tuple(
        load_sets(set_names, data, limit=limit, seed=seed, subsets=subset or (), splits=split or ())
    )
    if judge is None and (judge_url or judge_set or pair):
        raise InputError(
            "There is no judge; name its model with --judge, or leave out what is said about it."
        )
    if grader is None and grader_url:
        raise InputError("There is no grader; name its model with --grader, or leave out --grader-url.")
    if unknown := set(judge_set or ()) - {item.set for item in items}:
        raise InputError(f"--judge-set {min(unknown)} is none of the sets; give it with --set too.")
    check_score_only(score_only or (), items, judge_set or (), likelihood=not no_likelihood)
    pairs = [(one.name, systems[0].name) for one in systems[1:]] + [_pair(text) for text in pair or ()]
    results = run_evaluation(
        Options(
            systems=systems,
            items=items,
            out=out,
            sampling=Sampling(max_tokens=max_tokens, temperature=temperature, seed=seed),
            scene=SceneSettings(
                roles=roles, steps=steps, max_interactions=max_interactions, temperature=scene_temperature
            ),
            judge=judge,
            judge_url=judge_url,
            grader=grader,
            grader_url=grader_url,
            pairs=tuple(dict.fromkeys(pairs)),
            judged_sets=tuple(judge_set or ()),
            scored_sets=tuple(score_only or ()),
            likelihood=not no_likelihood,
            retry_failed=retry_failed,
            pace=pace,
            scenes=scenes,
            engine=engine,
            dtype=dtype,
            device=device,
            prompt_set=prompt_set,
        )
    )
    if as_json:
        print_line(json.dumps(results.to_json(), ensure_ascii=False))
    else:
        show(results, out)


def _pair(text: str) -> tuple[str, str]:
    ours, _, theirs = text.partition("=")
    return ours, theirs
