"""`monopolylogue evaluate`: systems compared on the same questions."""

from dataclasses import asdict, replace

from cli.options import ResultsAsJson
from cli.options.evaluate import EvaluateOptions
from cli.options.own import own_prompts
from cli.output import print_json
from scene.errors import InputError

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


def evaluate(
    options: EvaluateOptions,
    as_json: ResultsAsJson = False,
) -> None:
    """Compare models, methods on top of them and tuned models.

    Every system answers the same questions; figures come with 95% intervals,
    and differences from the first system are paired by question. The same
    command again goes on where it stopped.
    """
    from cli.work.evaluating import Evaluation, run_evaluation, show
    from evaluation.sets import check_score_only
    from evaluation.systems import parse_system

    prompt_set = own_prompts(options.prompts, options.principles)
    systems = tuple(parse_system(spec) for spec in options.system)
    judged, pairs = options.judge_set or (), options.pair or ()
    items = options.items()
    if options.judge is None and (options.judge_url or judged or pairs):
        raise InputError(
            "There is no judge; name its model with --judge, or leave out what is said about it."
        )
    if options.grader is None and options.grader_url:
        raise InputError("There is no grader; name its model with --grader, or leave out --grader-url.")
    if unknown := {*judged} - {item.set for item in items}:
        raise InputError(f"--judge-set {min(unknown)} is none of the sets; give it with --set too.")
    check_score_only(options.score_only or (), items, judged, likelihood=not options.no_likelihood)
    compared = [(one.name, systems[0].name) for one in systems[1:]]
    compared += [(ours, theirs) for ours, _, theirs in (text.partition("=") for text in pairs)]
    results = run_evaluation(
        Evaluation(
            asked=options,
            items=items,
            systems=systems,
            pairs=tuple(dict.fromkeys(compared)),
            scene=replace(options.scene, temperature=options.scene_temperature),
            prompt_set=prompt_set,
        )
    )
    if as_json:
        print_json(asdict(results))
    else:
        show(results, options.out)
