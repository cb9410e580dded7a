"""What `make proof` does, as a plain list of stages."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import prompts
from cli.proof.stages import Stage
from evaluation.proof.questions import sources_in
from evaluation.proof.results import JUDGED, REHEARSED, SETS, TUNED
from evaluation.proof.rows import row_files
from evaluation.sets import known_sets
from finetune.examples import SPLITS
from scene.errors import InputError
from scene.settings import SceneSettings

BENCHMARKS = ("advbench", "xstest-safe", "xstest-unsafe")
BENIGN = "self-instruct"
PLAIN = "plain"
"""A student's own answers to benign questions, learned beside the rows of each method."""

PLAIN_TEMPERATURE = "1"
"""At which a model's answers are its own distribution, so that learning them keeps it where it is. Greedy
ones would sharpen it, and make every reference less likely."""

OPENING_TOKENS = 64
"""Room for an answer of which the opening alone decides."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What to do.

    Attributes:
        data: Folder with the question sets.
        out: Folder of everything.
        model: The model that rehearses, and whose answers the rivals' rows are.
        students: The models that are tuned on those rows.
        questions: Questions to train on.
        dev: Questions to choose prompts, rows and epochs on.
        plain: Benign questions that each student answers, to be trained on that beside the rows of a method.
        limit: Questions of each evaluated set.
        judged: Questions of held-out HH that are judged.
        rehearsed: Those of them that MATRIX at inference answers.
        tokens: Room for an answer that is judged.
        judge: The model that judges.
        mix: Rows of each part.
        refusals: Most of them that turn the asker away.
        scene: Further options of `export`.
        train: Options of `train`, for `model`.
        train_others: The same for the other students.
        distillation: Tune on context distillation's answers too.
    """

    data: Path
    out: Path
    model: str
    students: tuple[str, ...]
    questions: int
    dev: int
    plain: int
    limit: int
    judged: int
    rehearsed: int
    tokens: int
    judge: str
    mix: str
    refusals: int
    scene: str
    train: str
    train_others: str
    distillation: bool

    def __post_init__(self) -> None:
        """Refuse students that would share a folder.

        Raises:
            InputError: There are some.
        """
        names = [student_name(student) for student in self.students]
        if repeated := [name for name in names if names.count(name) > 1]:
            raise InputError(f"Two students are called {repeated[0]}; name their folders otherwise.")

    @property
    def rivals(self) -> dict[str, str]:
        """Methods that rows are made of beside MATRIX, by the name of their rows."""
        more = {"context": "context_distillation"} if self.distillation else {}
        return {"critique": "critique_revise", **more}

    def rows_of(self, name: str, student: str) -> Path:
        """What a student is tuned on, by the name of the method's rows."""
        return (self.out / student_name(student) if self.plain else self.out) / "data" / name

    def settings(self) -> dict[str, Any]:
        """The same as plain data."""
        texts = {"data": str(self.data), "out": str(self.out), "students": " ".join(self.students)}
        return asdict(self) | texts


def student_name(model: str) -> str:
    """Name of a model's folder."""
    return Path(model).name


def stages_of(proof: Proof) -> list[Stage]:
    """All stages, each after those it reads from."""
    return [
        *_rows(proof),
        *(stage for student in proof.students for stage in _student(proof, student)),
    ]


def _rows(proof: Proof) -> Iterator[Stage]:
    """From the question sets to data sets."""
    at = proof.out
    train = at / "questions" / "train.jsonl"
    evaluated = [word for name in (*BENCHMARKS, BENIGN) for word in ("--evaluated", name)]
    yield Stage(
        name="questions",
        command=(
            "proof", "questions", str(proof.data), "--limit", str(proof.questions), "--dev", str(proof.dev),
            "--held-out", str(proof.judged), "--plain", str(proof.plain), *evaluated,
            "--out", str(at / "questions"),
        ),
        makes=train,
        reads=(
            *(source.path for source in sources_in(proof.data)),
            *_files(proof.data, (*BENCHMARKS, BENIGN)),
        ),
    )  # fmt: skip
    scene = shlex.split(proof.scene)
    yield Stage(
        name="scenes",
        command=(
            "monopolylogue",
            "export",
            str(train),
            "--model",
            proof.model,
            *scene,
            "--out",
            str(at / "scenes"),
        ),
        makes=at / "scenes" / "scenes.jsonl",
        reads=(train,),
        folder=at / "scenes",
        basis={"the model": proof.model, "the scene": " ".join(scene), "the prompts": prompts.digest()},
    )
    mix = ("--mix", proof.mix, "--refusals", str(proof.refusals))
    systems = [(name, f"{proof.model},method={method}") for name, method in proof.rivals.items()]
    yield _evaluation(
        "rivals", at / "rivals", systems, ("--set", f"train={train}", "--no-likelihood"),
        tokens=SceneSettings.answer_tokens, reads=(train,),
    )  # fmt: skip
    yield Stage(
        name="matrix rows",
        command=(
            "monopolylogue",
            "dataset",
            str(at / "scenes"),
            *mix,
            "--out",
            str(at / "data" / "matrix"),
        ),
        makes=at / "data" / "matrix" / "manifest.json",
        reads=(at / "scenes" / "scenes.jsonl",),
    )
    for name in proof.rivals:
        yield Stage(
            name=f"{name} rows",
            command=(
                "proof", "rows", str(at / "rivals"), "--system", name, "--questions", str(train),
                *mix, "--out", str(at / "data" / name),
            ),
            makes=at / "data" / name / "manifest.json",
            reads=(at / "rivals" / "answers.jsonl", train),
        )  # fmt: skip


def _student(proof: Proof, student: str) -> Iterator[Stage]:
    """From data sets to a model tuned on each, all of them compared."""
    name = student_name(student)
    at = proof.out / name
    if proof.plain:
        yield from _plain(proof, student)
    recipe = shlex.split(proof.train if student == proof.model else proof.train_others)
    adapters = {rows: at / "adapters" / rows for rows in ("matrix", *proof.rivals)}
    for rows, adapter in adapters.items():
        data = proof.rows_of(rows, student)
        yield Stage(
            name=f"{name} {rows} adapter",
            command=(
                "monopolylogue", "train", str(data), "--model", student, *recipe, "--resume",
                "--out", str(adapter),
            ),
            makes=adapter / "metrics.json",
            folder=adapter,
            basis={"the model": student, "the recipe": " ".join(recipe), **_row_files(data)},
        )  # fmt: skip
    tuned = [(TUNED.format(rows), str(adapter)) for rows, adapter in adapters.items()]
    systems = [("base", student), *tuned, ("context-prompt", f"{student},method=context_distillation")]
    weights = {
        f"weights of {TUNED.format(rows)}": adapter / "adapter_model.safetensors"
        for rows, adapter in adapters.items()
    }
    yield _evaluation(
        f"{name} {SETS}", at / SETS, systems,
        (
            *(word for one in (*BENCHMARKS, BENIGN) for word in ("--set", one)), "--score-only", BENIGN,
            "--data", str(proof.data), "--limit", str(proof.limit), "--engine", "transformers",
        ),
        tokens=OPENING_TOKENS, basis={**weights, **_by_name(_files(proof.data, (*BENCHMARKS, BENIGN)))},
    )  # fmt: skip
    if student != proof.model:
        return
    held_out = proof.out / "questions" / "hh.jsonl"
    judge, judging = ("--judge", proof.judge), {"the judge": proof.judge}
    yield _evaluation(
        f"{name} {JUDGED}", at / JUDGED, systems,
        (
            "--set", f"hh={held_out}", *judge, "--pair", f"{tuned[0][0]}={tuned[1][0]}",
            "--engine", "transformers",
        ),
        tokens=proof.tokens, reads=(held_out,), basis={**weights, **judging},
    )  # fmt: skip
    # No adapter takes part, so that this may run on the fastest engine; the base answers on it too.
    yield _evaluation(
        f"{name} {REHEARSED}", at / REHEARSED, [("base", student), ("matrix", f"{student},method=matrix")],
        ("--set", f"hh={held_out}", "--limit", str(proof.rehearsed), *judge),
        tokens=proof.tokens, reads=(held_out,), basis=judging,
    )  # fmt: skip


def _plain(proof: Proof, student: str) -> Iterator[Stage]:
    """What keeps a student as it is where nothing is to change, joined with the rows of each method."""
    name = student_name(student)
    at = proof.out / name
    benign = proof.out / "questions" / "plain.jsonl"
    yield _evaluation(
        f"{name} {PLAIN}", at / PLAIN, [("base", student)],
        ("--set", f"{PLAIN}={benign}", "--no-likelihood", "--temperature", PLAIN_TEMPERATURE),
        tokens=SceneSettings.answer_tokens, reads=(benign,), basis={"the temperature": PLAIN_TEMPERATURE},
    )  # fmt: skip
    yield Stage(
        name=f"{name} {PLAIN} rows",
        command=(
            "proof", "rows", str(at / PLAIN), "--system", "base", "--questions", str(benign),
            "--out", str(at / "data" / PLAIN),
        ),
        makes=at / "data" / PLAIN / "manifest.json",
        reads=(at / PLAIN / "answers.jsonl", benign),
    )  # fmt: skip
    for rows in ("matrix", *proof.rivals):
        both = [proof.out / "data" / rows, at / "data" / PLAIN]
        target = proof.rows_of(rows, student)
        yield Stage(
            name=f"{name} {rows} and {PLAIN} rows",
            command=("proof", "join", *map(str, both), "--out", str(target)),
            makes=target / "manifest.json",
            reads=tuple(path for one in both for path in _row_files(one).values()),
        )


def _evaluation(
    name: str,
    folder: Path,
    systems: Sequence[tuple[str, str]],
    questions: Sequence[str],
    *,
    tokens: int,
    reads: tuple[Path, ...] = (),
    basis: Mapping[str, str | Path] | None = None,
) -> Stage:
    """An evaluation. More questions go into its folder; other systems, weights or settings don't."""
    return Stage(
        name=name,
        command=(
            "monopolylogue", "evaluate", *(word for one in systems for word in ("--system", "=".join(one))),
            *questions, "--max-tokens", str(tokens), "--out", str(folder),
        ),
        makes=folder / "results.json",
        reads=reads,
        folder=folder,
        basis={
            **dict(systems),
            "room for an answer": str(tokens),
            "the prompts": f"{prompts.digest('evaluation')} {prompts.digest()}",
            **(basis or {}),
        },
    )  # fmt: skip


def _files(data: Path, sets: Sequence[str]) -> tuple[Path, ...]:
    """Where the questions of known sets are."""
    return tuple(dict.fromkeys(data / file for name in sets for file in known_sets()[name].files))


def _row_files(data: Path) -> dict[str, Path]:
    """Where the rows of a data set may be."""
    return _by_name(path for split in SPLITS for path in row_files(data, split))


def _by_name(files: Iterable[Path]) -> dict[str, Path]:
    return {str(path): path for path in files}
