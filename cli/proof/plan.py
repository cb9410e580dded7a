"""What `make proof` does, as a plain list of stages."""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import prompts
from cli.proof.stages import Stage
from evaluation.methods import METHODS
from evaluation.proof.questions import sources_in
from evaluation.proof.results import BASE, JUDGED, REHEARSED, SETS, TUNED
from evaluation.proof.rows import row_files
from evaluation.sets import known_sets
from finetune.examples import SPLITS
from scene.errors import InputError
from scene.settings import SceneSettings

MATRIX = "matrix"
ARMS = {
    "critique": "critique_revise",
    "fixed": "fixed_critique",
    "other": "other_scene",
    "context": "context_distillation",
    "mistakes": "mistake_analysis",
    "rlcd": "rlcd",
    "rlaif": "rlaif",
}
"""Methods whose rows a student may be tuned on beside those of scenes, by the name of the arm."""

AT_INFERENCE = {
    "self-align": "method=self_align",
    "context-prompt": "method=context_distillation",
    "critique-revise": "method=critique_revise",
    "fixed-critique": "method=fixed_critique",
    "self-refine": "method=self_refine",
    "debate": "method=debate",
    "best-of-n": "method=best_of_n",
    "best-of-tokens": "method=best_of_n,tokens=scenes",
}
"""Methods that MATRIX may be compared with where nothing is tuned, by what their systems are called."""

BENCHMARKS = ("advbench", "xstest-safe", "xstest-unsafe")
BENIGN = "self-instruct"
PLAIN = "plain"
"""A student's own answers to benign questions, learned beside the rows of each arm."""

PLAIN_TEMPERATURE = "1"
"""At which a model's answers are its own distribution, so that learning them keeps it where it is. Greedy
ones would sharpen it, and make every reference less likely."""

OPENING_TOKENS = 64
"""Room for an answer of which the opening alone decides."""

PACE = "64"
"""Tokens of the reply whose time is taken."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What to do; `cli.proof.main.run` says what each of these is."""

    data: Path
    out: Path
    model: str
    students: tuple[str, ...]
    arms: tuple[str, ...]
    methods: tuple[str, ...]
    questions: int
    dev: int
    plain: int
    limit: int
    judged: int
    rehearsed: int
    tokens: int
    judge: str
    grader: str
    mix: str
    refusals: int
    own_questions: bool
    scene: str
    train: str
    train_others: str
    train_pairs: str
    seeds: int

    def __post_init__(self) -> None:
        """Refuse students that would share a folder, and arms and methods that there are not.

        Raises:
            InputError: There are some.
        """
        names = [student_name(student) for student in self.students]
        if repeated := [name for name in names if names.count(name) > 1]:
            raise InputError(f"Two students are called {repeated[0]}; name their folders otherwise.")
        for what, given, known in (("arm", self.arms, ARMS), ("method", self.methods, AT_INFERENCE)):
            if unknown := [name for name in given if name not in known]:
                raise InputError(f"There is no {what} {unknown[0]!r}; give some of {', '.join(known)}.")

    @property
    def all_arms(self) -> tuple[str, ...]:
        """MATRIX and the others."""
        return (MATRIX, *self.arms)

    @property
    def pairs(self) -> tuple[str, ...]:
        """The arms whose rows are pairs."""
        return tuple(name for name in self.arms if METHODS[ARMS[name]].pairs)

    @property
    def adapters(self) -> dict[str, tuple[str, str]]:
        """By folder, each arm with each of its seeds; a lone seed is "", and left to the recipe."""
        seeds = [str(seed) for seed in range(self.seeds)] if self.seeds > 1 else [""]
        return {_seeded(arm, seed): (arm, seed) for arm, seed in product(self.all_arms, seeds)}

    @property
    def given(self) -> dict[str, int]:
        """Finished answers that each arm was shown before it wrote its own."""
        return {name: METHODS[ARMS.get(name, name)].examples for name in self.all_arms}

    def rows_of(self, arm: str, student: str) -> Path:
        """What a student is tuned on."""
        return (self.out / student_name(student) if self.plain else self.out) / "data" / arm

    def settings(self) -> dict[str, Any]:
        """The same as plain data."""
        texts = {"data": str(self.data), "out": str(self.out), "students": " ".join(self.students)}
        return asdict(self) | texts | {"arms": ",".join(self.arms), "methods": ",".join(self.methods)}


def student_name(model: str) -> str:
    """Name of a model's folder."""
    return Path(model).name


def _seeded(name: str, seed: str) -> str:
    return f"{name}-{seed}" if seed else name


def stages_of(proof: Proof) -> list[Stage]:
    """All stages, each after those it reads from."""
    return [*_rows(proof), *(stage for student in proof.students for stage in _student(proof, student))]


def _rows(proof: Proof) -> Iterator[Stage]:
    """From the question sets to a data set of each arm."""
    at = proof.out
    train, scenes = at / "questions" / "train.jsonl", at / "scenes" / "scenes.jsonl"
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
            "monopolylogue", "export", str(train), "--model", proof.model, *scene,
            "--out", str(scenes.parent),
        ),
        makes=scenes,
        reads=(train,),
        folder=scenes.parent,
        basis={"the model": proof.model, "the scene": " ".join(scene), "the prompts": prompts.digest()},
    )  # fmt: skip
    if proof.arms:
        yield _answers(proof, "rivals", train, {name: name for name in proof.arms})
    if proof.plain and proof.pairs:
        benign = at / "questions" / "plain.jsonl"
        yield _answers(proof, "pairs", benign, {f"{PLAIN}-{name}": name for name in proof.pairs})
    sources = {MATRIX: scenes.parent, **dict.fromkeys(proof.arms, at / "rivals")}
    own = ("--own-questions",) if proof.own_questions else ()
    mix = ("--mix", proof.mix, "--refusals", str(proof.refusals), *own)
    yield _data_sets("rows", sources, train, at / "data", *mix)


def _answers(proof: Proof, name: str, questions: Path, arms: Mapping[str, str]) -> Stage:
    """What arms answer, decoded as the first answers of scenes are."""
    scenes = proof.out / "scenes"
    reading = ("other",) if "other" in arms.values() else ()
    return _evaluation(
        name, proof.out / name,
        [(system, f"{proof.model},method={ARMS[arm]}") for system, arm in arms.items()],
        (
            "--set", f"train={questions}", "--no-likelihood", "--temperature", str(SceneSettings.temperature),
            *(("--scenes", str(scenes)) if reading else ()),
        ),
        tokens=SceneSettings.answer_tokens,
        reads=(questions, *(scenes / "scenes.jsonl" for _ in reading)),
    )  # fmt: skip


def _data_sets(name: str, sources: Mapping[str, Path], questions: Path, target: Path, *options: str) -> Stage:
    """Data sets of arms, which differ in nothing but the answers."""
    files = dict.fromkeys(
        folder / ("scenes.jsonl" if arm == MATRIX else "answers.jsonl") for arm, folder in sources.items()
    )
    return Stage(
        name=name,
        command=(
            "proof", "rows", *(f"{arm}={folder}" for arm, folder in sources.items()),
            "--questions", str(questions), *options, "--out", str(target),
        ),
        makes=target / list(sources)[-1] / "manifest.json",
        reads=(*files, questions),
    )  # fmt: skip


def _student(proof: Proof, student: str) -> Iterator[Stage]:
    """From data sets to a model tuned on each, all of them compared."""
    name = student_name(student)
    at = proof.out / name
    if proof.plain:
        yield from _plain(proof, student)
    recipe = shlex.split(proof.train if student == proof.model else proof.train_others)
    tuned: dict[str, str] = {}
    weights: dict[str, Path] = {}
    pairs = []
    for folder, (arm, seed) in proof.adapters.items():
        adapter, data = at / "adapters" / folder, proof.rows_of(arm, student)
        own = [*recipe, *(shlex.split(proof.train_pairs) if arm in proof.pairs else ())]
        yield Stage(
            name=f"{name} {arm} adapter {seed}".rstrip(),
            command=(
                "monopolylogue", "train", str(data), "--model", student, *own,
                *(("--seed", seed) if seed else ()), "--resume", "--out", str(adapter),
            ),
            makes=adapter / "metrics.json",
            folder=adapter,
            basis={"the model": student, "the recipe": " ".join(own), **_row_files(data)},
        )  # fmt: skip
        group = TUNED.format(arm)
        system = _seeded(group, seed)
        tuned[system] = f"{adapter},group={group}" if seed else str(adapter)
        weights[f"weights of {system}"] = adapter / "adapter_model.safetensors"
        if arm != MATRIX:
            pairs.append((_seeded(TUNED.format(MATRIX), seed), system))
    distilled = f"{student},method=context_distillation"
    systems = [(BASE, student), *tuned.items(), ("context-prompt", distilled)]
    yield _evaluation(
        f"{name} {SETS}", at / SETS, systems,
        (
            *(word for one in (*BENCHMARKS, BENIGN) for word in ("--set", one)), "--score-only", BENIGN,
            "--data", str(proof.data), "--limit", str(proof.limit), "--engine", "transformers",
            *(("--grader", proof.grader) if proof.grader else ()),
        ),
        tokens=OPENING_TOKENS,
        basis={
            **weights, "the grader": proof.grader, **_by_name(_files(proof.data, (*BENCHMARKS, BENIGN))),
        },
    )  # fmt: skip
    if student != proof.model:
        return
    held_out = proof.out / "questions" / "hh.jsonl"
    judge, judging = ("--judge", proof.judge), {"the judge": proof.judge}
    yield _evaluation(
        f"{name} {JUDGED}", at / JUDGED, systems,
        (
            "--set", f"hh={held_out}", *judge, *_pairs(pairs),
            "--engine", "transformers", "--pace", PACE,
        ),
        tokens=proof.tokens, reads=(held_out,), basis={**weights, **judging},
    )  # fmt: skip
    # No adapter takes part, so that this may run on the fastest engine; the base answers on it too.
    others = [(method, f"{student},{AT_INFERENCE[method]}") for method in proof.methods]
    scenes = proof.out / "scenes"
    yield _evaluation(
        f"{name} {REHEARSED}", at / REHEARSED,
        [(BASE, student), (MATRIX, f"{student},method=matrix"), *others],
        (
            "--set", f"hh={held_out}", "--limit", str(proof.rehearsed), *judge,
            *_pairs((MATRIX, method) for method in proof.methods),
            *(("--scenes", str(scenes)) if "best-of-tokens" in proof.methods else ()),
        ),
        tokens=proof.tokens, reads=(held_out,), basis=judging,
    )  # fmt: skip


def _pairs(pairs: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """What compares systems with others, as words of `evaluate`."""
    return tuple(word for pair in pairs for word in ("--pair", "=".join(pair)))


def _plain(proof: Proof, student: str) -> Iterator[Stage]:
    """What keeps a student as it is where nothing is to change, joined with the rows of each arm.

    Pairs are joined with pairs, of the same questions and as many.
    """
    name = student_name(student)
    at = proof.out / name
    benign = proof.out / "questions" / "plain.jsonl"
    yield _evaluation(
        f"{name} {PLAIN}", at / PLAIN, [(PLAIN, student)],
        ("--set", f"{PLAIN}={benign}", "--no-likelihood", "--temperature", PLAIN_TEMPERATURE),
        tokens=SceneSettings.answer_tokens, reads=(benign,), basis={"the temperature": PLAIN_TEMPERATURE},
    )  # fmt: skip
    pairs = {f"{PLAIN}-{arm}": proof.out / "pairs" for arm in proof.pairs}
    yield _data_sets(f"{name} {PLAIN} rows", {PLAIN: at / PLAIN, **pairs}, benign, at / "data")
    for arm in proof.all_arms:
        beside = f"{PLAIN}-{arm}" if arm in proof.pairs else PLAIN
        both = [proof.out / "data" / arm, at / "data" / beside]
        target = proof.rows_of(arm, student)
        yield Stage(
            name=f"{name} {arm} and {PLAIN} rows",
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
