"""Results as a page: what became of the aims, sentences, figures, judgements, beside the paper's table."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from evaluation.metrics import METRICS
from evaluation.proof.goals import Outcome, main_measure
from evaluation.proof.results import TUNED, results_from
from evaluation.report.judging import judging_said
from evaluation.report.sentences import sentences
from evaluation.report.tables import (
    JUDGED,
    interval,
    judged_row,
    measures,
    number,
    paces,
    probability,
    title_of,
    where,
)
from evaluation.results import ALL, Results
from scene.errors import InputError
from scene.markdown import markdown_table

MARKS = ("<!-- results -->", "<!-- /results -->")
"""Around what is written into another text."""


def results_page(found: Mapping[str, Any], pictures: Mapping[str, Sequence[str]], command: str) -> str:
    """The page of what `evaluation.proof.results.gathered` found, with the addresses of plots by student."""
    parts = [
        "# Results\n",
        f"Measured by `{command}`. Figures have 95% intervals over questions; differences are paired by "
        "question. [evaluation.md](evaluation.md) says what each figure means, and how it is tested.\n",
        *_goals(found["students"]),
        *(part for one in found["students"] for part in _student(one, pictures.get(one["name"], ()), found)),
        *_rows(found),
        *_cost(found),
        *_paper(found["paper"]),
    ]
    return "\n".join(parts).rstrip("\n") + "\n"


def with_sentences(text: str, students: Sequence[Mapping[str, Any]]) -> str:
    """A text with what became of the first student, tuned on its own scenes, between its two marks.

    Raises:
        InputError: It has no such marks.
    """
    before, begins, rest = text.partition(MARKS[0])
    _, ends, after = rest.partition(MARKS[1])
    if not begins or not ends:
        raise InputError(f"The text has no {MARKS[0]} and {MARKS[1]} to write sentences between.")
    results = results_from(students[0]["results"], students[0]["name"])
    said = "\n".join(f"- {sentence}" for sentence in sentences(results, TUNED.format("matrix")))
    return f"{before}{begins}\n{said}\n{ends}{after}"


def _goals(students: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "## Goals\n"
    yield (
        "Not certain where the interval is on both sides of the bound, or has no width. Seconds have no "
        "interval: a run takes its time once.\n"
    )
    for student in students:
        rows = []
        for one in TypeAdapter(list[Outcome]).validate_python(student["goals"]):
            sign = one.of != "figure"
            measured = interval(one.estimate, one.unit, sign=sign)
            if one.certain is None:
                measured = number(one.estimate.value, one.unit, sign=sign)
            unit = "" if one.unit == "%" else f" {one.unit}"
            tests = (probability(one.estimate.p), probability(one.estimate.adjusted))
            met = ("yes" if one.met else "no") + (", not certain" if one.certain is False else "")
            rows.append([one.system, one.aim, "yes" if one.main else "", measured + unit, *tests, met])
        yield f"{_title(student)}:\n"
        yield _table(["model", "aim", "main measure", "measured", "p", "p, Holm", "met"], rows)
        if missing := student.get("unmeasured"):
            yield f"Not measured: {'; '.join(missing)}.\n"


def _title(student: Mapping[str, Any]) -> str:
    whose = "its own rehearsals" if student["teaches"] else "the rehearsals of another model"
    return f"`{student['name']}`, tuned on {whose}"


def _student(student: Mapping[str, Any], pictures: Sequence[str], found: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {_title(student)}\n"
    results = results_from(student["results"], student["name"])
    for name in results.names:
        if name.endswith(TUNED.format("")):
            yield from (f"{said}\n" for said in sentences(results, name))
    room = ", ".join(f"{name} {tokens}" for name, tokens in student["room"].items())
    yield from _measured(results, f"Room for an answer, in tokens: {room}.\n")
    for address in pictures:
        yield f"![{address.rpartition('/')[2].partition('.')[0]} of {student['name']}]({address})\n"
    if student["rehearsed"] is not None:
        yield "### MATRIX at inference, on fewer questions\n"
        yield "Both systems on the fastest engine there is, so that they compare with each other alone.\n"
        yield from _measured(results_from(student["rehearsed"], student["name"]))
    if student["samples"]:
        yield "### Samples\n"
        yield f"{found['samples']}\n"
        for sample in student["samples"]:
            yield from _sample(sample)


def _sample(sample: Mapping[str, Any]) -> Iterator[str]:
    yield f"**{'Better' if sample['good'] else 'Worse'}** ({sample['set']}; {sample['why']}):\n"
    for who, text in {"asked": sample["question"], **sample["answers"]}.items():
        yield f"{who}:\n"
        # As a quotation of code: no mark that a model wrote is taken for the page's.
        yield "\n".join(f">     {line}" for line in (text or "(nothing)").splitlines()) + "\n"


def _rows(found: Mapping[str, Any]) -> Iterator[str]:
    yield "## What was trained on\n"
    scenes = found["scenes"]
    ended, failed = f"{scenes['done']:,} of {scenes['questions']:,}", f"{scenes['failed']:,}"
    yield f"{ended} scenes came to their end; {failed} failed.\n"
    if left_out := found.get("left_out"):
        counts = ", ".join(f"{count:,} of {part}" for part, count in left_out.items())
        yield f"Questions left out since they say nearly what others do, by part: {counts}.\n"
    rows = []
    own = {
        f"{name} of {student['name']} (learned beside each of the others)": one
        for student in found["students"]
        for name, one in student.get("beside", {}).items()
    }
    for name, one in {**found["rows"], **own}.items():
        for split, parts in one["rows"].items():
            left = _listed(one["filtered"]) if split == "train" else ""
            rows.append([name, split, str(sum(parts.values())), _listed(parts), left])
    yield _table(["rows of", "split", "rows", "parts", "left out of both"], rows)
    rows = [
        [
            student["name"], name, f"{one['steps']:,.0f}", f"{one['tokens']:,.0f}",
            *(f"{one[loss]:.3f}" if loss in one else "" for loss in ("loss", "validation_loss")),
        ]
        for student in found["students"]
        for name, one in student["training"].items()
    ]  # fmt: skip
    yield _table(["model", "rows of", "steps", "tokens", "last loss", "validation loss"], rows)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _cost(found: Mapping[str, Any]) -> Iterator[str]:
    yield "## What it took\n"
    yield (
        "Wall time, interruptions left out. Tokens read and written for scenes and answers; those of judging "
        "and of scoring references are not counted.\n"
    )
    kinds = ("prompt_tokens", "completion_tokens", "trained_tokens")
    stages = found["stages"]
    rows = []
    for one in stages:
        tokens = (f"{one[kind]:,}" if kind in one else "" for kind in kinds)
        rows.append([one["name"], f"{one['seconds'] / 60:.1f}", *tokens])
    sums = [f"{sum(one.get(kind, 0) for one in stages):,}" for kind in kinds]
    rows.append(["all", f"{sum(one['seconds'] for one in stages) / 60:.1f}", *sums])
    yield _table(["stage", "minutes", "tokens read", "tokens written", "tokens trained"], rows)
    settings = ", ".join(f"{name} `{value}`" for name, value in found["settings"].items() if value != "")
    yield f"Settings: {settings}.\n"


def _measured(results: Results, room: str = "") -> Iterator[str]:
    """Systems, figures, differences and judgements of an evaluation."""
    rows = []
    for one in results.systems:
        known = one["identity"] or {}
        weights = str(known.get("revision") or "")[:12]
        rows.append([one["name"], one["method"], weights, known.get("engine", "")])
    yield _table(["system", "method", "weights", "engine"], rows)
    counts = ", ".join(f"{name} {count}" for name, count in results.questions.items())
    settings = ", ".join(f"{name} {value}" for name, value in results.sampling.items())
    judge = results.judge["id"] if results.judge else "none"
    yield f"Questions: {counts}. Answers: {settings}. Judge: {judge}.\n"
    if results.failed:
        failed = ", ".join(f"{name} {count}" for name, count in results.failed.items())
        yield f"Without an answer, and left out of the figures: {failed}.\n"
    if room:
        yield room
    yield "### Figures\n"
    rows = []
    for set_name, metric in measures(results.figures):
        own = [results.find(results.figures, set_name, metric, name) for name in results.names]
        cells = ["" if one is None else interval(one, METRICS[metric].unit) for one in own]
        rows.append([where(set_name), title_of(metric), *cells])
    rows += [
        [where(ALL), title_of(metric), *(own.get(name, "") for name in results.names)]
        for metric, own in paces(results)
    ]
    yield _table(["set", "figure", *results.names], rows)
    base = results.names[0]
    yield f"### Differences from {base}\n"
    rows = []
    for apart in results.differences:
        if (apart.against or base) == base:
            said = apart.estimate
            main = "yes" if (apart.set, apart.metric) == main_measure() else ""
            tested = [interval(said, METRICS[apart.metric].unit, sign=True), probability(said.p)]
            what = [where(apart.set), title_of(apart.metric), apart.system, main]
            rows.append([*what, *tested, probability(said.adjusted)])
    yield _table(["set", "figure", "system", "main measure", "difference", "p", "p, Holm"], rows)
    if results.judged:
        yield "### Judged in pairs\n"
        yield _table(JUDGED, map(judged_row, results.judged))
        if results.judging is not None:
            yield f"{judging_said(results.judging)}\n"


def _paper(paper: Mapping[str, Any]) -> Iterator[str]:
    sets = paper["sets"]
    rows = [
        [system, baseline, *shares]
        for system, baselines in paper.items()
        if system != "sets"
        for baseline, shares in baselines.items()
    ]
    yield "## The paper's table\n"
    yield "Win/tie/lose in %, 13B models, judged by GPT-4: another model and another judge than above.\n"
    yield _table(["system", "against", *sets], rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return markdown_table(head, rows) + "\n"
