"""Results as a page: figures, differences, judgements, beside the paper's table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from evaluation.metrics import METRICS
from evaluation.planted import Judging
from evaluation.report.judging import judging_said
from evaluation.report.tables import interval, number
from evaluation.results import ALL
from evaluation.statistics import Estimate
from scene.markdown import markdown_table


def results_page(found: Mapping[str, Any], pictures: Mapping[str, Sequence[str]], command: str) -> str:
    """The page.

    Args:
        found: What `evaluation.proof.results.gathered` came to.
        pictures: Addresses of plots, by name of the student they are of.
        command: What measured it all.
    """
    parts = [
        "# Results\n",
        f"Measured by `{command}`. Figures have 95% bootstrap intervals over questions; differences are "
        "paired by question. [evaluation.md](evaluation.md) says what each figure means.\n",
        *_goals(found["students"]),
        *(part for one in found["students"] for part in _student(one, pictures.get(one["name"], ()), found)),
        *_rows(found),
        *_cost(found),
        *_paper(found["paper"]),
    ]
    return "\n".join(parts).rstrip("\n") + "\n"


def _goals(students: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "## Goals\n"
    yield (
        "Not certain where the interval is on both sides of the bound. Seconds have no interval: a run takes "
        "its time once.\n"
    )
    for student in students:
        rows = []
        for one in student["goals"]:
            sign = one["of"] != "figure"
            estimate = Estimate(**one["estimate"])
            measured = interval(estimate, one["unit"], sign=sign)
            if one["certain"] is None:
                measured = number(estimate.value, one["unit"], sign=sign)
            met = ("yes" if one["met"] else "no") + (", not certain" if one["certain"] is False else "")
            rows.append([one["system"], one["aim"], f"{measured} {_short(one['unit'])}", met])
        yield f"{_title(student)}:\n"
        yield _table(["model", "aim", "measured", "met"], rows)


def _title(student: Mapping[str, Any]) -> str:
    whose = "its own rehearsals" if student["teaches"] else "the rehearsals of another model"
    return f"`{student['name']}`, tuned on {whose}"


def _short(unit: str) -> str:
    return "" if unit == "%" else unit


def _student(student: Mapping[str, Any], pictures: Sequence[str], found: Mapping[str, Any]) -> Iterator[str]:
    results = student["results"]
    yield f"## {_title(student)}\n"
    yield from _systems(results)
    room = ", ".join(f"{name} {tokens}" for name, tokens in student["room"].items())
    yield f"Room for an answer, in tokens: {room}.\n"
    yield from _figures(results)
    yield from _judged(results)
    for address in pictures:
        yield f"![{address.rpartition('/')[2].partition('.')[0]} of {student['name']}]({address})\n"
    if student["rehearsed"] is not None:
        yield "### MATRIX at inference, on fewer questions\n"
        yield "Both systems on the fastest engine there is, so that they compare with each other alone.\n"
        yield from _systems(student["rehearsed"])
        yield from _figures(student["rehearsed"])
        yield from _judged(student["rehearsed"])
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
    rows = []
    own = {
        f"{name} of {student['name']} (learned beside each of the others)": one
        for student in found["students"]
        for name, one in student.get("beside", {}).items()
    }
    for name, one in {**found["rows"], **own}.items():
        for split, parts in one["rows"].items():
            said = ", ".join(f"{count} {part}" for part, count in parts.items())
            left = ", ".join(f"{count} {reason}" for reason, count in one["filtered"].items())
            rows.append([name, split, str(sum(parts.values())), said, left if split == "train" else ""])
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


def _cost(found: Mapping[str, Any]) -> Iterator[str]:
    yield "## What it took\n"
    yield (
        "Wall time, interruptions left out. Tokens read and written for scenes and answers; those of judging "
        "and of scoring references are not counted.\n"
    )
    kinds = ("prompt_tokens", "completion_tokens", "trained_tokens")
    stages = found["stages"]
    rows = [
        [
            one["name"],
            f"{one['seconds'] / 60:.1f}",
            *(f"{one[kind]:,}" if kind in one else "" for kind in kinds),
        ]
        for one in stages
    ]
    sums = [f"{sum(one.get(kind, 0) for one in stages):,}" for kind in kinds]
    rows.append(["all", f"{sum(one['seconds'] for one in stages) / 60:.1f}", *sums])
    yield _table(["stage", "minutes", "tokens read", "tokens written", "tokens trained"], rows)
    settings = ", ".join(f"{name} `{value}`" for name, value in found["settings"].items() if value != "")
    yield f"Settings: {settings}.\n"


def _systems(results: Mapping[str, Any]) -> Iterator[str]:
    rows = []
    for one in results["systems"]:
        identity = one["identity"] or {}
        rows.append(
            [one["name"], one["method"], str(identity.get("revision") or "")[:12], identity.get("engine", "")]
        )
    yield _table(["system", "method", "weights", "engine"], rows)
    counts = ", ".join(f"{name} {count}" for name, count in results["questions"].items())
    settings = ", ".join(f"{name} {value}" for name, value in results["sampling"].items())
    judge = results["judge"]
    yield f"Questions: {counts}. Answers: {settings}. Judge: {judge['id'] if judge else 'none'}."
    if results["failed"]:
        failed = ", ".join(f"{name} {count}" for name, count in results["failed"].items())
        yield f"\nWithout an answer, and left out of the figures: {failed}."
    yield ""


def _figures(results: Mapping[str, Any]) -> Iterator[str]:
    names = [one["name"] for one in results["systems"]]
    for kind, title, sign in (
        ("figures", "Figures", False),
        ("differences", f"Differences from {names[0]}", True),
    ):
        cells: dict[tuple[str, str], dict[str, str]] = {}
        for one in results[kind]:
            text = interval(Estimate(**one["estimate"]), METRICS[one["metric"]].unit, sign=sign)
            cells.setdefault((one["set"], one["metric"]), {})[one["system"]] = text
        shown = names[1:] if sign else names
        if not cells:
            continue
        rows = []
        for (set_name, metric), own in cells.items():
            where = "all sets" if set_name == ALL else set_name
            what = f"{METRICS[metric].title}, {METRICS[metric].unit}"
            rows.append([where, what, *(own.get(name, "") for name in shown)])
        yield f"### {title}\n"
        yield _table(["set", "figure", *shown], rows)
    if results["pace"]:
        said = (f"{one['system']} {one['seconds_per_answer']:.2f}" for one in results["pace"])
        yield f"Seconds for a whole answer, of all together by their number: {', '.join(said)}.\n"


def _judged(results: Mapping[str, Any]) -> Iterator[str]:
    if not results["judged"]:
        return
    rows = []
    for one in results["judged"]:
        shares = [interval(Estimate(**one[name]), "%") for name in ("win", "tie", "lose")]
        shares.append(interval(Estimate(**one["net"]), "%", sign=True))
        first = one["first_place"]
        bias = "" if first is None else interval(Estimate(**first), "%")
        rows.append([one["set"], one["system"], one["baseline"], str(one["win"]["n"]), *shares, bias])
    yield "### Judged in pairs\n"
    yield _table(
        ["set", "system", "against", "questions", "win, %", "tie, %", "lose, %", "net, %", "first place, %"],
        rows,
    )
    if results.get("judging"):
        yield f"{judging_said(TypeAdapter(Judging).validate_python(results['judging']))}\n"


def _paper(paper: Mapping[str, Any]) -> Iterator[str]:
    table = dict(paper)
    sets = table.pop("sets")
    rows = [
        [system, baseline, *shares]
        for system, baselines in table.items()
        for baseline, shares in baselines.items()
    ]
    yield "## The paper's table\n"
    yield "Win/tie/lose in %, 13B models, judged by GPT-4: another model and another judge than above.\n"
    yield _table(["system", "against", *sets], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return markdown_table(head, rows) + "\n"
