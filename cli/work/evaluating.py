"""Loading what is compared, one model after the other, and showing what came of it."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path

from rich.console import Console

from cli.complaint import interruptible
from cli.options import ModelChoice
from cli.options.evaluate import EvaluateOptions
from cli.views.console import plain_console
from cli.views.progress import Working
from cli.work.loading import loaded
from evaluation.planted import judging_of, planted_pairs
from evaluation.report.judging import judging_said
from evaluation.report.plots import write_plots
from evaluation.report.tables import figures_table, judged_table, write_results
from evaluation.results import Results, results_of
from evaluation.run import (
    answer_all,
    grade_all,
    judge_all,
    judge_by_grades,
    planted_left,
    score_all,
    seconds_per_token,
    unanswered,
    ungraded,
    unjudged,
    unscored,
)
from evaluation.session import Scenes
from evaluation.sets import Item
from evaluation.store import GRADER, JUDGE, Store
from evaluation.systems import System, check_systems
from inference.loading import pinned
from prompts import OURS, PromptSet
from scene.errors import InputError
from scene.export import Export
from scene.settings import SceneSettings


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What is compared."""

    asked: EvaluateOptions
    items: tuple[Item, ...]
    systems: tuple[System, ...]
    pairs: tuple[tuple[str, str], ...]
    scene: SceneSettings
    prompt_set: PromptSet = OURS

    def choice_of(self, system: System) -> ModelChoice:
        """How to load the model of a system."""
        return self.asked.choice(system.model, system.base_url)

    @cached_property
    def others(self) -> dict[str, ModelChoice]:
        """The models of the judge and the grader, where there are any."""
        asked = self.asked
        named = ((JUDGE, asked.judge, asked.judge_url), (GRADER, asked.grader, asked.grader_url))
        return {name: asked.choice(model, url) for name, model, url in named if model is not None}


def run_evaluation(options: Evaluation) -> Results:
    """Do what is not done yet, and write and return what it all came to.

    Raises:
        MonopolylogueError: A model can't be loaded, the folder can't be used, or an engine failed.
        typer.Exit: Ctrl-C.
    """
    check_systems(options.systems, options.pairs)
    if (needy := [one.name for one in options.systems if one.needs_scenes]) and options.asked.scenes is None:
        raise InputError(
            f"{needy[0]} needs scenes of the questions; `export` them, and name that folder with --scenes."
        )
    stderr = plain_console(stderr=True)
    with Store(options.asked.out, options.asked.sampling, options.scene, options.prompt_set) as store:
        store.add({system.name: system for system in options.systems})
        _check_models(options, store)
        with interruptible(
            f"What was finished is kept in {options.asked.out}; run the same command again to go on."
        ):
            _answer(options, store, stderr)
            if not options.asked.no_likelihood:
                _score(options, store, stderr)
            for name, choice in options.others.items():
                (_judge if name == JUDGE else _grade)(options, choice, store, stderr)
        results = results_of(store, [system.name for system in options.systems], options.items)
        write_results(results, options.asked.out)
        write_plots(results, options.asked.out)
    return results


def show(results: Results, out: Path) -> None:
    """The tables, on standard output."""
    console = plain_console()
    console.print(figures_table(results))
    if results.judged:
        console.print(judged_table(results))
    if results.judging is not None:
        console.print(judging_said(results.judging))
    for name, count in results.failed.items():
        console.print(
            f"{name} failed at {count:,} questions, which its figures leave out; answers.jsonl says why, "
            "and --retry-failed asks them again."
        )
    console.print(f"Written to {out}.")


def _check_models(options: Evaluation, store: Store) -> None:
    """See that models known here are what they were, also where nothing is left to ask of them.

    What a server holds can't be told from here: its models go by their names.

    Raises:
        InputError: One is another one now, or has other weights.
    """
    named = [(system.name, options.choice_of(system)) for system in options.systems]
    for name, choice in (*named, *options.others.items()):
        known = store.manifest.models.get(name)
        if known is None:
            continue
        if choice.base_url is None:
            store.check(name, *pinned(choice.model))
        elif choice.model != "default":
            store.check(name, choice.model, known.revision)


def _answer(options: Evaluation, store: Store, console: Console) -> None:
    """Load each model once, and put to all systems of it what they have not answered."""
    given, scored = options.asked, options.asked.score_only or ()
    asked = [item for item in options.items if item.set not in scored and not item.choices]
    scenes = Scenes(() if given.scenes is None else Export(given.scenes).scenes())
    how = given.sampling, options.scene
    for choice, systems in _by_model(options):
        left = {
            system.name: unanswered(store, system, asked, retry_failed=given.retry_failed)
            for system in systems
        }
        paced = [one.name for one in systems if given.pace and one.name not in store.manifest.paces]
        if not any(left.values()) and not paced:
            continue
        with loaded(choice, console) as engine:
            for system in systems:
                store.loaded(system.name, engine.identity)
                if items := left[system.name]:
                    with _counting(console, f"{system.name} answers") as progress:
                        asyncio.run(answer_all(engine, system, items, store, *how, progress, scenes))
                if given.pace and system.name in paced:
                    seconds = asyncio.run(seconds_per_token(engine, given.pace))
                    if seconds is not None:
                        store.paced(system.name, seconds)


def _score(options: Evaluation, store: Store, console: Console) -> None:
    for choice, systems in _by_model(options):
        left = {system.name: unscored(store, system, options.items) for system in systems}
        if not any(left.values()):
            continue
        with loaded(replace(choice, engine="transformers"), console) as engine:
            for system in systems:
                if items := left[system.name]:
                    if system.name not in store.manifest.models:  # it has answered nothing
                        store.loaded(system.name, engine.identity)
                    with _counting(console, f"{system.name}: likelihoods") as progress:
                        asyncio.run(score_all(engine, system, items, store, progress))


def _judge(options: Evaluation, choice: ModelChoice, store: Store, console: Console) -> None:
    chosen = options.asked.judge_set
    items = [item for item in options.items if not chosen or item.set in chosen]
    if not unjudged(store, options.pairs, items):
        return
    with loaded(choice, console) as engine:
        store.loaded(JUDGE, engine.identity)
        if planted := planted_left(store):
            with _counting(console, "planted pairs judged") as progress:
                asyncio.run(judge_all(engine, planted, store, progress))
        judging = judging_of(store)
        pairs = unjudged(store, options.pairs, items)
        if judging is not None and judging.used == "comparison":
            with _counting(console, "judged") as progress:
                failed = asyncio.run(judge_all(engine, pairs, store, progress))
        else:
            unlike = [(ours, theirs) for ours, theirs in pairs if ours.text != theirs.text]
            answers = [one for pair in [*(pair.answers for pair in planted_pairs()), *unlike] for one in pair]
            if left := ungraded(store, JUDGE, answers):
                with _counting(console, "graded for the judge, who can't compare") as progress:
                    asyncio.run(grade_all(engine, left, store, progress))
            failed = judge_by_grades(store, pairs)
    if failed:
        console.print(f"The judge gave no usable reply about {failed:,} pairs.")


def _grade(options: Evaluation, choice: ModelChoice, store: Store, console: Console) -> None:
    names = {system.name for system in options.systems}
    keys = {item.key for item in options.items}
    last = {one.key: one for one in store.answers.records}
    answers = [one for one in last.values() if one.system in names and (one.set, one.id) in keys]
    if not ungraded(store, GRADER, answers):
        return
    with loaded(choice, console) as engine:
        store.loaded(GRADER, engine.identity)
        left = ungraded(store, GRADER, answers)  # fewer, where the judge is the same model
        with _counting(console, "graded") as progress:
            failed = asyncio.run(grade_all(engine, left, store, progress))
    if failed:
        console.print(f"The grader gave no usable reply about {failed:,} answers.")


def _by_model(options: Evaluation) -> list[tuple[ModelChoice, Sequence[System]]]:
    """The systems that share a model, together; the models in the order in which they first come."""
    choices = {system.name: options.choice_of(system) for system in options.systems}
    order = list(dict.fromkeys(choices.values()))
    ranked = sorted(options.systems, key=lambda system: order.index(choices[system.name]))
    return [(choice, list(group)) for choice, group in groupby(ranked, lambda one: choices[one.name])]


@contextmanager
def _counting(console: Console, doing: str) -> Iterator[Callable[[int, int], None]]:
    """A line that counts; at the end it stays with what was done."""
    reached = (0, 0)
    with Working(console) as working:

        def progress(done: int, total: int) -> None:
            nonlocal reached
            reached = (done, total)
            working.say(f"{doing}: {done:,} of {total:,}")

        yield progress
    console.print(f"{doing}: {reached[0]:,} of {reached[1]:,}", style="dim")
