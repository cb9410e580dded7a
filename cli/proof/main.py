"""`make proof`, and those of its parts that no subcommand has; `python -m cli.proof.main`."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from cli.main import Commands
from cli.options import EngineName, model_choice
from cli.output import print_json
from scene.errors import InputError
from scene.files import replace_file
from scene.text import one_line

app = typer.Typer(cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)

PROGRAMS = {"monopolylogue": "cli.main", "proof": "cli.proof.main"}
"""The modules behind the first word of a stage's command."""

BEAT = 10.0
"""Seconds after which the time a stage has taken is noted again."""

ALL, NONE = "all", "none"
TO_TRAIN = "Questions to train on."
TO_CHOOSE = "Questions to choose prompts, rows and epochs on."
TO_ANSWER = "Benign questions whose plain answers are trained on beside all rows."
TO_JUDGE = "Questions of held-out HH to judge answers on."


def _set(name: str, text: str, *names: str, **more: Any) -> Any:  # noqa: ANN401  # as Typer's
    """An option that `make proof` is told by an environment variable."""
    return typer.Option(*names, envvar=f"PROOF_{name}", help=text, **more)


OwnQuestions = Annotated[
    bool,
    _set(
        "OWN_QUESTIONS",
        "Questions that some arms have no good answer to count too; the numbers stay the same.",
        "--own-questions",
    ),
]


@app.command()
def run(
    context: typer.Context,
    data: Annotated[str, typer.Argument(help="Folder with the question sets.")],
    out: Annotated[Path, typer.Option(help="Folder of everything; goes on with what is there.")],
    student: Annotated[list[str], typer.Option(metavar="MODEL", help="A model to tune; once for each.")],
    page: Annotated[Path, typer.Option(help="The page to write; its data goes beside it as JSON.")],
    model: Annotated[str, typer.Option(help="The model that rehearses.")] = "default",
    questions: Annotated[int, _set("QUESTIONS", TO_TRAIN, min=1)] = 120,
    dev: Annotated[int, _set("DEV", TO_CHOOSE, min=0)] = 150,
    plain: Annotated[int, _set("PLAIN", TO_ANSWER, min=0)] = 60,
    limit: Annotated[int, _set("LIMIT", "Questions of each evaluated set.", min=1)] = 40,
    judged: Annotated[int, _set("JUDGED", TO_JUDGE, min=1)] = 24,
    rehearsed: Annotated[int, _set("REHEARSED", "Those of them that methods answer untuned.", min=1)] = 6,
    tokens: Annotated[int, _set("TOKENS", "Room for an answer that is judged.", min=16)] = 256,
    judge: Annotated[str, _set("JUDGE", "Who judges; by default who rehearses.")] = "",
    grader: Annotated[str, _set("GRADER", "Who grades answers by themselves; nobody by default.")] = "",
    mix: Annotated[str, _set("MIX", "Rows of each part.", metavar="PART=N,...")] = "aligned=60,helpful=30",
    refusals: Annotated[int, _set("REFUSALS", "Most of them that turn the asker away.", min=0)] = 15,
    scene: Annotated[str, _set("SCENE", "Further options of `export`.")] = "",
    train: Annotated[str, _set("TRAIN", "Options of `train`.")] = "--preset cpu-small --learning-rate 6e-4",
    train_others: Annotated[
        str, _set("TRAIN_OTHERS", "The same for students that did not rehearse.")
    ] = "--preset cpu-small --epochs 2",
    train_pairs: Annotated[
        str, _set("TRAIN_PAIRS", "Further options of `train` for pairs of answers.")
    ] = "--method dpo --learning-rate 1e-4",
    seeds: Annotated[int, _set("SEEDS", "Trainings of each arm, each by another seed.", min=1)] = 1,
    arms: Annotated[
        str, _set("ARMS", "Whose rows to tune on beside MATRIX's; all or none.", metavar="ARM,...")
    ] = ALL,
    methods: Annotated[
        str, _set("METHODS", "What to compare MATRIX with; all or none.", metavar="METHOD,...")
    ] = ALL,
    own_questions: OwnQuestions = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the commands, and stop.")] = False,
) -> None:
    """Rehearse, tune, tune rivals, compare, and write the results."""
    import shlex

    from cli.proof.plan import ARMS, AT_INFERENCE, PLAIN, Proof, stages_of, student_name
    from cli.proof.stages import Ledger, run_stages

    if not data:
        raise InputError("Name the folder with the question sets: make proof DATA=folder")
    asked: dict[str, Any] = {field.name: context.params.get(field.name) for field in fields(Proof)}
    asked |= {"data": Path(data), "students": tuple(dict.fromkeys(student)), "judge": judge or model}
    asked |= {"arms": _listed(arms, ARMS), "methods": _listed(methods, AT_INFERENCE)}
    proof = Proof(**asked)
    stages = stages_of(proof)
    if dry_run:
        before = Ledger.read(out)
        for stage in stages:
            mark = "done" if before.is_done(stage) else "to do"
            typer.echo(f"{stage.name} ({mark}): {shlex.join(stage.command)}")
        return
    ledger = run_stages(stages, proof.settings(), out, call)

    from evaluation.proof.results import Done, gathered

    found = gathered(
        out,
        model,
        {student_name(one): one for one in proof.students},
        proof.all_arms,
        list(proof.adapters),
        [Done(name=one.name, seconds=ledger.stages[one.name].seconds, made=one.makes) for one in stages],
        proof.settings() | {"examples": ", ".join(f"{arm} {count}" for arm, count in proof.given.items())},
        beside=[PLAIN] if plain else [],
    )
    page.parent.mkdir(parents=True, exist_ok=True)
    results = page.with_suffix(".json")
    replace_file(results, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    write_page(found, results)


def _listed(names: str, known: Iterable[str]) -> tuple[str, ...]:
    """Names between commas, or all that are known, or none: an empty variable says nothing."""
    if names == NONE:
        return ()
    return tuple(known if names == ALL else dict.fromkeys(filter(None, map(str.strip, names.split(",")))))


def call(command: Sequence[str], note: Callable[[], None]) -> int:
    """Run a stage's command in a process of its own, which gives back all its memory.

    Ctrl-C reaches that process too; it says what it kept, and is waited for. It inherits the folder's lock,
    so that nobody else begins while it runs, even where this process was killed.
    """
    program, *words = command
    process = subprocess.Popen([sys.executable, "-m", PROGRAMS[program], *words], close_fds=False)
    stopped = False
    while True:
        try:
            code = process.wait(timeout=BEAT)
        except subprocess.TimeoutExpired:
            note()
        except KeyboardInterrupt:
            if stopped:
                process.kill()
            stopped = True
        else:
            return 130 if stopped else code


@app.command()
def questions(
    data: Annotated[Path, typer.Argument(help="Folder with the question sets.")],
    out: Annotated[Path, typer.Option(help="Folder for train.jsonl, dev.jsonl and hh.jsonl.")],
    limit: Annotated[int, typer.Option(min=1, help=TO_TRAIN)] = 120,
    dev: Annotated[int, typer.Option(min=0, help=TO_CHOOSE)] = 150,
    held_out: Annotated[int, typer.Option(min=0, help=TO_JUDGE)] = 24,
    plain: Annotated[int, typer.Option(min=0, help=TO_ANSWER)] = 0,
    evaluated: Annotated[
        list[str] | None, typer.Option(help="A set that is evaluated on; once for each.")
    ] = None,
) -> None:
    """Draw the questions to train on, and hold others out."""
    from evaluation.proof.questions import draw_questions, write_left_out, write_questions

    drawn = draw_questions(data, evaluated or (), limit, dev=dev, held_out=held_out, plain=plain)
    write_questions(drawn.held_out, out / "hh.jsonl")
    write_questions(drawn.dev, out / "dev.jsonl")
    write_questions(drawn.plain, out / "plain.jsonl")
    if drawn.references:
        write_questions(drawn.references, out / "references.jsonl")
    write_left_out(drawn.left_out, out / "left_out.jsonl")
    write_questions(drawn.train, out / "train.jsonl")
    typer.echo(
        f"{len(drawn.train):,} questions to train on, {len(drawn.plain):,} to answer plainly, "
        f"{len(drawn.dev):,} to choose on and {len(drawn.held_out):,} held out are in {one_line(str(out))}; "
        f"{len(drawn.left_out):,} were nearly the same as others, and left out."
    )


@app.command()
def looks(
    questions: Annotated[Path, typer.Argument(help="Questions, as `export` reads them, with their kinds.")],
    model: Annotated[str, typer.Option(help="The model that looks.")] = "default",
    engine: EngineName = "auto",
    max_tokens: Annotated[int, typer.Option(min=1, help="Room for the opening of its answer.")] = 64,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a question.")] = False,
) -> None:
    """Count how often a model finds requests harmful: what prompts/safe.yaml is chosen by."""
    import asyncio

    from cli.views.console import plain_console
    from cli.work.loading import loaded
    from evaluation.proof.looks import counted, look_at
    from scene.folding import FoldingTable
    from scene.nouns import Request
    from scene.settings import SceneSettings
    from scene.tables.questions import read_questions

    asked = read_questions(str(questions)).questions
    with loaded(model_choice(model, engine), plain_console(stderr=True)) as looking:
        looked = asyncio.run(look_at(looking, asked, SceneSettings(answer_tokens=max_tokens)))
    if as_json:
        for one in looked:
            print_json(asdict(one))
    else:
        requests = get_args(Request)[::-1]
        table = FoldingTable("questions", "are", *requests, title="What requests are taken for")
        for (kind, stance), counts in counted(looked).items():
            said = "answered" if stance == "answers" else "declined"
            table.add_row(kind, said, *(str(counts[request]) for request in requests))
        plain_console().print(table)
    if left_out := len(asked) - len(looked):
        typer.echo(f"{left_out:,} of {len(asked):,} questions without a usable reply are left out.", err=True)


@app.command()
def rows(
    arms: Annotated[
        list[str],
        typer.Argument(
            metavar="ARM=FOLDER...",
            help="A system and the folder of `evaluate`; or any name and one of `export`.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the data sets, each called as its arm.")],
    questions: Annotated[Path, typer.Option(help="The questions, which say of what kind each is.")],
    mix: Annotated[
        str | None, typer.Option(metavar="PART=N,...", help="Rows of each part; else all.")
    ] = None,
    refusals: Annotated[
        int | None, typer.Option(min=0, help="Most of them that turn the asker away; else all.")
    ] = None,
    own_questions: OwnQuestions = False,
) -> None:
    """Make a data set of each arm's answers: the same filters, questions and numbers of rows."""
    from evaluation.proof.rows import write_rows
    from finetune.data.settings import DatasetSettings, parse_mix
    from scene.tables.questions import read_questions

    kinds = {one.text: one.kind for one in read_questions(str(questions)).questions}
    settings = DatasetSettings(mix=None if mix is None else parse_mix(mix), refusals=refusals)
    shared = not own_questions
    sources = {name: Path(folder) for name, _, folder in (arm.partition("=") for arm in arms)}
    for name, written in write_rows(sources, kinds, settings, out, shared=shared).items():
        said = " and ".join(f"{count:,} {split}" for split, count in written.items())
        typer.echo(one_line(f"{said} rows of {name} are in {out / name}."))


@app.command()
def join(
    folders: Annotated[list[Path], typer.Argument(help="Data sets.")],
    out: Annotated[Path, typer.Option(help="Folder of the data set.")],
) -> None:
    """Put the rows of several data sets into one, each in its split."""
    from evaluation.proof.rows import join_rows

    joined = join_rows(folders, out)
    said = " and ".join(f"{count:,} {split}" for split, count in joined.items())
    typer.echo(one_line(f"{said} rows are in {out}."))


@app.command()
def page(
    results: Annotated[Path, typer.Argument(help="The JSON beside a page that `run` wrote.")],
    readme: Annotated[
        Path | None,
        typer.Option(help="A text to write what became better and worse into, between its marks."),
    ] = None,
) -> None:
    """Write a page anew from its data."""
    try:
        found: dict[str, Any] = json.loads(results.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{results} can't be read; give the JSON that `run` wrote beside a page.") from error
    write_page(found, results)
    if readme is not None:
        from evaluation.proof.page import with_sentences

        replace_file(readme, with_sentences(readme.read_text(encoding="utf-8"), found["students"]))


def write_page(found: Mapping[str, Any], results: Path) -> None:
    """Write page and plots beside the data they are made of."""
    from evaluation.proof.page import results_page
    from evaluation.proof.results import results_from
    from evaluation.report.plots import write_plots

    pictures = {}
    for student in found["students"]:
        folder = results.with_suffix("") / student["name"]
        folder.mkdir(parents=True, exist_ok=True)
        drawn = write_plots(results_from(student["results"], results), folder)
        pictures[student["name"]] = [one.relative_to(results.parent).as_posix() for one in drawn]
    target = results.with_suffix(".md")
    replace_file(target, results_page(found, pictures, "make proof"))
    typer.echo(one_line(f"Written to {target}, from {results}."))


if __name__ == "__main__":
    app(prog_name="python -m cli.proof.main")
