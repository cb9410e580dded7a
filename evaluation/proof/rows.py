"""Answers of a method as a data set, to tune a model on by the recipe that rows of scenes get."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from evaluation.records import Answer, Journal
from evaluation.store import ANSWERS
from finetune.data.dataset import mixed, split_rows
from finetune.data.filters import Rejected, deduplicated, fault
from finetune.data.formats import formatted
from finetune.data.rows import Row
from finetune.data.settings import DatasetSettings
from finetune.data.split import rank
from finetune.examples import SPLITS
from scene.errors import InputError
from scene.files import put_in_place
from scene.nouns import Kind
from scene.record import Message

MANIFEST = "manifest.json"


def row_files(folder: Path, split: str) -> tuple[Path, Path]:
    """Where the rows of a split may be: `dataset` has a folder for them, `write_rows` has none."""
    return folder / "data" / f"{split}.jsonl", folder / f"{split}.jsonl"


def write_rows(
    folder: Path, system: str, kinds: Mapping[str, Kind | None], settings: DatasetSettings, target: Path
) -> dict[str, int]:
    """Write a method's answers as prompts and completions, filtered, mixed and split as rows of scenes are.

    The prompt is the bare question, whatever the method asked: that is what is distilled.

    Args:
        folder: An evaluation.
        system: The system whose answers to take.
        kinds: What each question is, by its text: an answer to a benign one is a `helpful` row, any other
            an `aligned` one.
        settings: How; the format is that of prompts and completions.
        target: Folder of the data set. One that is there is replaced.

    Returns:
        Rows by split.

    Raises:
        InputError: There is no such evaluation, or it has no good answer of the system that is wanted.
    """
    if not (folder / ANSWERS).is_file():
        raise InputError(f"{folder} holds no answers; give a folder that `evaluate` wrote.")
    answers = {one.key: one for one in Journal(folder / ANSWERS, Answer).records if one.system == system}
    rows = sorted(
        (_row(one, kinds.get(one.question)) for one in answers.values()),
        key=lambda row: rank(row.id, settings.seed),
    )
    rejected = [Rejected(row, reason) for row in rows if (reason := fault(row))]
    kept, repeated = deduplicated((row for row in rows if not fault(row)), settings.near)
    if not kept:
        raise InputError(f"{folder} has no whole answer of a system called {system!r}.")
    taken = mixed(kept, settings.mix, settings.refusals)
    if not taken:
        raise InputError(
            f"No whole answer of {system!r} in {folder} suits the mix and the number of refusals; "
            "ask for other parts, or allow more refusals."
        )
    splits = split_rows(taken, settings)
    lines = {
        name: [json.dumps(formatted(row, "prompt-completion"), ensure_ascii=False) for row in own]
        for name, own in splits.items()
    }
    manifest = {
        "rows": {name: Counter(row.part for row in own) for name, own in splits.items()},
        "filtered": Counter(one.reason for one in (*rejected, *repeated)),
    }
    _write(lines, manifest, target)
    return {name: len(own) for name, own in splits.items()}


def join_rows(folders: Sequence[Path], target: Path) -> dict[str, int]:
    """Put the rows of several data sets, of prompts and completions, into one; each stays in its split.

    Args:
        folders: Data sets that `dataset` or `write_rows` made.
        target: Folder of the data set. One that is there is replaced.

    Returns:
        Rows by split.

    Raises:
        InputError: A folder holds no rows to train on, or a file is damaged.
    """
    lines: dict[str, list[str]] = {split: [] for split in SPLITS}
    for folder in folders:
        for split, own in lines.items():
            path = next(filter(Path.is_file, row_files(folder, split)), None)
            if path is not None:
                # Not by splitlines, which takes marks within a text for the end of a line.
                own += path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
            elif split == "train":
                raise InputError(f"{folder} holds no rows to train on; give a folder of a data set.")
    try:
        counts = {name: Counter(json.loads(line)["part"] for line in own) for name, own in lines.items()}
    except (ValueError, TypeError, KeyError) as error:
        raise InputError("A data set holds something else than rows; make it again.") from error
    _write(lines, {"rows": {name: own for name, own in counts.items() if own}, "filtered": {}}, target)
    return {name: len(own) for name, own in lines.items()}


def _row(answer: Answer, kind: Kind | None) -> Row:
    return Row(
        part="helpful" if kind == "helpful" else "aligned",
        scene=answer.id,
        call=None,
        question=answer.question,
        prompt=(Message(role="user", content=answer.question),),
        completion="" if answer.error else answer.text,
        fault="" if answer.ended or answer.error else "truncated",
    )


def _write(splits: Mapping[str, Sequence[str]], manifest: Mapping[str, object], target: Path) -> None:
    """The folder appears with all its files or not at all."""
    fresh = target.with_name(f"{target.name}.partial")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name, lines in splits.items():
        if lines:
            (fresh / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (fresh / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    if target.exists():
        shutil.rmtree(target)
    put_in_place(fresh, target)
