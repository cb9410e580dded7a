"""Results as a page: figures, differences, judgements, beside the paper's table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from evaluation.metrics import METRICS
from evaluation.report import interval
from evaluation.results import ALL
from evaluation.statistics import Estimate


def results_page(results: dict[str, Any], judged: dict[str, Any], command: str) -> str:
    """The page.

    Args:
        results: What the `results.json` of an evaluation holds.
        judged: The same of one that was judged, on questions of its own.
        command: What measured both.
    """
    parts = [
        "# Results\n",
        f"Measured by `{command}`. Figures have 95% bootstrap intervals over questions; differences are "
        "paired by question. [evaluation.md](evaluation.md) says what each figure means.\n",
        *_systems(results),
        *_figures(results),
        "# On the questions that were judged\n",
        *_systems(judged),
        *_judged(judged),
        *_figures(judged),
        *_paper(),
    ]
    return "\n".join(parts).rstrip("\n") + "\n"


def _systems(results: dict[str, Any]) -> Iterator[str]:
    yield "## Systems\n"
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


def _figures(results: dict[str, Any]) -> Iterator[str]:
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
        yield f"## {title}\n"
        yield _table(["set", "figure", *shown], rows)


def _judged(results: dict[str, Any]) -> Iterator[str]:
    if not results["judged"]:
        return
    rows = []
    for one in results["judged"]:
        shares = [interval(Estimate(**one[name]), "%") for name in ("win", "tie", "lose")]
        first = one["first_place"]
        bias = "" if first is None else interval(Estimate(**first), "%")
        rows.append([one["set"], one["system"], one["baseline"], str(one["win"]["n"]), *shares, bias])
    yield "## Judged in pairs\n"
    yield _table(
        ["set", "system", "against", "questions", "win, %", "tie, %", "lose, %", "first place, %"], rows
    )


def _paper() -> Iterator[str]:
    table = yaml.safe_load(Path(__file__).with_name("paper.yaml").read_text(encoding="utf-8"))
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
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
