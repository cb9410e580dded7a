"""Everything that `make proof` measured, gathered from its folder into one piece of plain data."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from evaluation.metrics import LIKELIHOOD_METRICS
from evaluation.proof.goals import Which, goals, main_measure, outcomes
from evaluation.proof.samples import REFUSALS, RULE, changed_refusals, judged_samples
from evaluation.records import Answer, Journal, Judgement
from evaluation.report.tables import RESULTS
from evaluation.results import ALL, Figure, Results, corrected
from evaluation.store import ANSWERS, JUDGEMENTS
from scene.errors import InputError
from scene.export import SCENES, read_manifest

SETS, JUDGED, REHEARSED = "sets", "judged", "rehearsed"
"""Evaluations of a student: openings on benchmarks and likelihoods of references, whole answers to held-out
questions that are judged, and MATRIX at inference on some of these."""

TUNED = "{}-tuned"
"""What a model is called that was tuned on some rows."""

BASE = "base"
METRICS = "metrics.json"


@dataclass(frozen=True, kw_only=True)
class Done:
    """A stage that is done."""

    name: str
    seconds: float
    made: Path


def gathered(
    folder: Path,
    model: str,
    students: Mapping[str, str],
    rows: Sequence[str],
    adapters: Sequence[str],
    stages: Sequence[Done],
    settings: Mapping[str, Any],
    beside: Sequence[str] = (),
) -> dict[str, Any]:
    """What a proof came to, as plain data that its page is made of.

    Raises:
        InputError: Something is not there, or is damaged.
    """
    return {
        "settings": dict(settings),
        "stages": [{"name": one.name, "seconds": one.seconds, **_tokens(one.made)} for one in stages],
        "scenes": read_manifest(folder / "scenes").counts.model_dump(),
        "left_out": _left_out(folder / "questions" / "left_out.jsonl"),
        "rows": {name: _rows(folder / "data" / name) for name in rows},
        "students": [_student(folder / name, one, model, adapters, beside) for name, one in students.items()],
        "samples": RULE,
        "paper": yaml.safe_load(Path(__file__).with_name("paper.yaml").read_text(encoding="utf-8")),
    }


def read_results(path: Path) -> Results:
    """The results of an evaluation.

    Raises:
        InputError: They can't be read.
    """
    return results_from(_json(path), path)


def results_from(data: object, where: object) -> Results:
    """The same from plain data.

    Raises:
        InputError: It is something else.
    """
    try:
        return TypeAdapter(Results).validate_python(data)
    except ValidationError as error:
        raise InputError(f"{where} holds no results of an evaluation.") from error


def portable(results: Results) -> Results:
    """The same with adapters named as they were given, and not by where they are on this machine."""
    systems = []
    for one in results.systems:
        identity = one["identity"]
        if identity and Path(identity["id"]).is_absolute():
            identity = identity | {"id": one["model"]}
        systems.append(one | {"identity": identity})
    return replace(results, systems=systems)


def _student(
    folder: Path, student: str, model: str, adapters: Sequence[str], beside: Sequence[str]
) -> dict[str, Any]:
    paths = {part: folder / part / RESULTS for part in (SETS, JUDGED)}
    parts = {part: read_results(path) for part, path in paths.items() if path.exists()}
    results = _merged(parts)
    tuned = [name for name in results.names if name.endswith(TUNED.format(""))]
    rehearsed = folder / REHEARSED / RESULTS
    judgements = Journal(folder / JUDGED / JUDGEMENTS, Judgement).records
    which: Which = "itself" if student == model else "another"
    met = [one for system in tuned for one in outcomes(which, results, system)]
    return {
        "name": folder.name,
        "model": student,
        "teaches": student == model,
        "beside": {name: _rows(folder / "data" / name) for name in beside},
        "training": {one: _json(folder / "adapters" / one / METRICS) for one in adapters},
        "room": {name: part.sampling["max_tokens"] for part in parts.values() for name in _answered(part)},
        "goals": [asdict(one) for one in met],
        "unmeasured": [one.aim for one in goals(which) if one.aim not in {own.aim for own in met}],
        "results": asdict(portable(results)),
        "rehearsed": asdict(portable(read_results(rehearsed))) if rehearsed.exists() else None,
        "samples": [asdict(one) for one in _samples(folder, parts, judgements)],
    }


def _merged(parts: Mapping[str, Results]) -> Results:
    """One account of all evaluations of a student; of answers cut off only what their openings say."""
    first, every = parts[SETS], list(parts.items())
    merged = replace(
        first,
        judge=next((one.judge for one in parts.values() if one.judge), None),
        sampling={name: value for name, value in first.sampling.items() if name != "max_tokens"},
        questions={name: number for one in parts.values() for name, number in one.questions.items()},
        figures=[one for name, part in every for one in _meaningful(name, part, part.figures)],
        differences=[one for name, part in every for one in _meaningful(name, part, part.differences)],
        relative_changes=[one for part in parts.values() for one in part.relative_changes],
        pace=parts[JUDGED].pace if JUDGED in parts else [],
        judged=[judged for one in parts.values() for judged in one.judged],
        judging=next((one.judging for one in parts.values() if one.judging), None),
        grader=next((one.grader for one in parts.values() if one.grader), None),
        failed=dict(sum((Counter(one.failed) for one in parts.values()), Counter())),
    )
    return corrected(merged, main_measure())


def _answered(results: Results) -> list[str]:
    """The sets whose questions were answered; of others only references were scored."""
    there = {one.set for one in results.figures if one.metric not in LIKELIHOOD_METRICS}
    return [name for name in results.questions if name in there]


def _meaningful(part: str, results: Results, figures: Sequence[Figure]) -> list[Figure]:
    if part == SETS:
        return [one for one in figures if one.set != ALL]
    only = next(iter(results.questions))
    return [replace(one, set=only) if one.set == ALL else one for one in figures]


def _samples(folder: Path, parts: Mapping[str, Results], judgements: Sequence[Judgement]) -> list[Any]:
    matrix = TUNED.format("matrix")
    tuned = next(one["name"] for one in parts[SETS].systems if matrix in (one["name"], one.get("group")))
    metrics = [
        (one.set, one.metric) for one in parts[SETS].figures if one.system == tuned and one.metric in REFUSALS
    ]
    answers = Journal(folder / SETS / ANSWERS, Answer).records
    judged = Journal(folder / JUDGED / ANSWERS, Answer).records
    return [
        *changed_refusals(answers, metrics, BASE, tuned),
        *judged_samples(judged, judgements, BASE, tuned),
    ]


def _tokens(made: Path) -> dict[str, int]:
    """Tokens of what a stage made. Those of judging and of scoring references are not counted anywhere."""
    if made.name == SCENES:
        totals = read_manifest(made.parent).totals
        return {"prompt_tokens": totals.prompt_tokens, "completion_tokens": totals.completion_tokens}
    if made.name == METRICS:
        return {"trained_tokens": int(_json(made)["tokens"])}
    if made.name == RESULTS:
        answers = Journal(made.parent / ANSWERS, Answer).records
        return {
            "prompt_tokens": sum(one.prompt_tokens for one in answers),
            "completion_tokens": sum(one.completion_tokens for one in answers),
        }
    return {}


def _rows(data: Path) -> dict[str, Any]:
    """Rows by split and part, and those left out by reason."""
    manifest = _json(data / "manifest.json")
    left_out = {
        reason: sum(one["rows"].values()) if isinstance(one, dict) else one
        for reason, one in manifest["filtered"].items()
    }
    return {"rows": manifest["rows"], "filtered": left_out}


def _left_out(path: Path) -> dict[str, int]:
    """How many questions were left out of each part since they are nearly the same as others."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return dict(Counter(json.loads(line)["part"] for line in lines))


def _json(path: Path) -> Any:  # noqa: ANN401  # whatever is in the file
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} can't be read; run `make proof` again.") from error
