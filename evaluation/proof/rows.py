"""What several methods answered to the same questions, as data sets that differ in the answers alone.

Every method is an arm. All answers go through the same repairs and filters, whatever gave them; nobody is
asked whether a second answer is better than the first. Then all arms get rows of the same questions, and as
many of each kind as the arm that has fewest of them.
"""

import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evaluation.records import Answer, Journal
from evaluation.store import ANSWERS
from finetune.data.filters import REASONS, fault
from finetune.data.formats import formatted
from finetune.data.rows import Part, Row, misfit
from finetune.data.scenes import Scene, read_scenes
from finetune.data.settings import DatasetSettings
from finetune.data.split import groups_of, rank
from finetune.examples import SPLITS
from scene.errors import InputError
from scene.export import SCENES
from scene.files import put_in_place
from scene.markdown import markdown_table
from scene.nouns import Kind
from scene.record import Message
from scene.refusal import opens_with_refusal
from scene.text import mended

MANIFEST, CARD = "manifest.json", "README.md"

UNSHARED = "unshared"

_BECAUSE = REASONS | {UNSHARED: "another arm has no good row of its question"}

Cell = tuple[Part, bool | None]
"""A kind of row: its part of the mix, and whether it turns the asker away; None where it answers nobody."""

CELLS: tuple[Cell, ...] = (("aligned", True), ("aligned", False), ("helpful", False))


@dataclass
class Taken:
    """What became of the answers of an arm.

    Attributes:
        rows: Good rows by question.
        lost: Answers left out, by reason.
        surplus: Good rows that were not needed.
        refusals: Rows that turn the asker away, or stand for such ones, by split.
        pairs: Whether the rows are pairs of answers.
    """

    rows: dict[str, Row] = field(default_factory=dict)
    lost: Counter[str] = field(default_factory=Counter)
    surplus: int = 0
    refusals: dict[str, int] = field(default_factory=dict)
    pairs: bool = False


def row_files(folder: Path, split: str) -> tuple[Path, Path]:
    """Where the rows of a split may be: `dataset` has a folder for them, `write_rows` has none."""
    return folder / "data" / f"{split}.jsonl", folder / f"{split}.jsonl"


def write_rows(
    arms: Mapping[str, Path],
    kinds: Mapping[str, Kind | None],
    settings: DatasetSettings,
    target: Path,
    *,
    shared: bool = True,
) -> dict[str, dict[str, int]]:
    """Write a data set for each arm: the same questions, and numbers of rows of each kind.

    The prompt is the bare question, whatever the method asked: that is what is distilled.

    Args:
        arms: By the name of the arm, which is that of the system whose answers they are, the folder of an
            evaluation; or of an export, whose scenes they come from.
        kinds: What each question is, by its text. Where that is not known the scene around it says, for all
            arms, if one of them has scenes.
        settings: How many rows of each part and how many refusals at most, and the validation split.
        target: Folder; each data set is in one that is called as its arm, and replaces one that is there.
        shared: Whether only questions count that every arm has a good answer to; else the numbers alone are
            the same.

    Returns:
        Rows by arm and split.

    Raises:
        InputError: An arm has no good answer, or there is no question that all have one of.
    """
    scenes = {
        scene.record.question: scene
        for folder in arms.values()
        if (folder / SCENES).is_file()
        for scene in read_scenes([folder])
    }
    answers = {name: _answers(name, folder) for name, folder in arms.items()}
    questions = sorted(
        {one.question for own in answers.values() for one in own}, key=lambda text: rank(text, settings.seed)
    )
    place = {question: number for number, question in enumerate(questions)}
    groups = (sorted(group, key=place.__getitem__) for group in groups_of(questions, settings.near))
    first = {question: group[0] for group in groups for question in group}
    found = {}
    for name, folder in arms.items():
        found[name] = _sifted(answers[name], kinds, scenes, first)
        if not found[name].rows:
            raise InputError(f"{folder} has no whole answer of a system called {name!r}.")
    common = {text for text in questions if all(text in one.rows for one in found.values())}
    if not common:
        raise InputError("There is no question that every arm has a good answer to; leave an arm out.")
    for one in found.values():
        own = [text for text in questions if text in (common if shared else one.rows)]
        one.lost[UNSHARED] += len(one.rows) - len(own)
        one.rows = {text: one.rows[text] for text in own}
    chosen = _chosen(found, settings)
    for name, splits in chosen.items():
        _write_arm(splits, found[name], target / name)
    return {name: {split: len(own) for split, own in splits.items()} for name, splits in chosen.items()}


def _answers(name: str, folder: Path) -> list[Answer]:
    """What an arm answers, whoever wrote it down; the last answer to a question counts."""
    if (folder / SCENES).is_file():
        return [_played(scene, name) for scene in read_scenes([folder])]
    if not (folder / ANSWERS).is_file():
        raise InputError(f"{folder} holds no answers; give a folder that `evaluate` or `export` wrote.")
    found = {one.key: one for one in Journal(folder / ANSWERS, Answer).records}
    return [one for one in found.values() if one.system == name]


def _played(scene: Scene, name: str) -> Answer:
    """What a scene answers. Scenes of older versions did not take every second answer; here all count."""
    record = scene.record
    return Answer(
        system=name, set="", id=record.id, question=record.question, text=record.revision or record.answer,
        ended=True,
    )  # fmt: skip


def _sifted(
    answers: Iterable[Answer],
    kinds: Mapping[str, Kind | None],
    scenes: Mapping[str, Scene],
    first: Mapping[str, str],
) -> Taken:
    """The good rows of an arm; of questions that nearly repeat one another, that of the earliest."""
    taken = Taken()
    for answer in sorted(answers, key=lambda one: (first[one.question] != one.question, one.id)):
        scene = scenes.get(answer.question)
        benign = (kinds.get(answer.question) == "helpful") if scene is None else scene.benign
        row = _row(answer, benign=benign)
        reason = fault(row) or _misfit(row, scene, kinds.get(answer.question))
        if not reason and first[answer.question] != answer.question:
            reason = "duplicate"
        if reason or answer.question in taken.rows:
            taken.lost[reason or "duplicate"] += 1
        else:
            taken.rows[answer.question] = row
            taken.pairs |= bool(row.rejected)
    return taken


def _row(answer: Answer, *, benign: bool) -> Row:
    text = "" if answer.error else mended(answer.text, cut_off=not answer.ended)
    rejected = mended(answer.rejected, cut_off=False)
    return Row(
        part="helpful" if benign else "aligned",
        scene=answer.id,
        call=None,
        question=answer.question,
        prompt=(Message(role="user", content=answer.prompt or answer.question),),
        completion=text,
        rejected=rejected,
        fault="unchanged" if rejected and rejected == text else "",
    )


def _misfit(row: Row, scene: Scene | None, kind: Kind | None) -> str:
    """What speaks against an answer by its question; what is said about an answer is none.

    Whatever the scene says: where the set calls a question harmful, nobody is to learn to answer it.
    """
    if row.prompt[0].content != row.question:
        return ""
    if kind == "harmful" and not opens_with_refusal(row.completion):
        return "yields"
    return "" if scene is None else misfit(scene, row.completion)


def _chosen(found: Mapping[str, Taken], settings: DatasetSettings) -> dict[str, dict[str, list[Row]]]:
    """Rows by arm and split: of each kind as many as the poorest arm has, and no more than wanted."""
    by_cell = {name: _by_cell(one.rows.values()) for name, one in found.items()}
    left = None if settings.mix is None else Counter[Part](settings.mix)
    sizes: dict[Cell, int] = {}
    for cell in CELLS:
        part, turns_away = cell
        sizes[cell] = min(len(own[cell] + own[part, None]) for own in by_cell.values())
        if turns_away and settings.refusals is not None:
            sizes[cell] = min(sizes[cell], settings.refusals)
        if left is not None:
            sizes[cell] = min(sizes[cell], left[part])
            left[part] -= sizes[cell]
        for own in by_cell.values():  # what is said about answers stands for those that are short
            short = max(0, sizes[cell] - len(own[cell]))
            own[cell] += own[part, None][:short]
            del own[part, None][:short]
    if not any(sizes.values()):
        raise InputError(
            "No whole answer suits the mix and the number of refusals, the same for every arm; ask for other "
            "parts, allow more refusals, or leave out the arm that has few answers of a kind."
        )
    apart = _shares(sizes, settings.validation)
    chosen = {}
    for name, own in by_cell.items():
        parts = {
            "train": [row for cell in CELLS for row in own[cell][apart[cell] : sizes[cell]]],
            "validation": [row for cell in CELLS for row in own[cell][: apart[cell]]],
        }
        chosen[name] = {
            split: sorted(rows, key=lambda row: rank(row.question, settings.seed))
            for split, rows in parts.items()
            if rows
        }
        refusals = {"train": sizes[CELLS[0]] - apart[CELLS[0]], "validation": apart[CELLS[0]]}
        found[name].refusals = {split: refusals[split] for split in chosen[name]}
        found[name].surplus = len(found[name].rows) - sum(sizes.values())
    return chosen


def _by_cell(rows: Iterable[Row]) -> dict[Cell, list[Row]]:
    cells: dict[Cell, list[Row]] = defaultdict(list)
    for row in rows:
        answers = row.prompt[0].content == row.question
        turns_away = opens_with_refusal(row.completion) if answers else None
        cells[row.part, turns_away].append(row)
    return cells


def _shares(sizes: Mapping[Cell, int], share: float) -> dict[Cell, int]:
    """How many rows of each kind are kept for validation: of two or more at least one, and one is left."""
    total = sum(sizes.values())
    wanted = min(max(1, round(share * total)), total - 1) if share > 0 else 0
    exact = {cell: wanted * size / total for cell, size in sizes.items()}
    taken = {cell: int(one) for cell, one in exact.items()}
    for cell in sorted(sizes, key=lambda one: taken[one] - exact[one])[: wanted - sum(taken.values())]:
        taken[cell] += 1
    return taken


def join_rows(folders: Sequence[Path], target: Path) -> dict[str, int]:
    """Put the rows of several data sets of one format into one, each in its split; how many are in which.

    They are of `dataset` or `write_rows`. A data set that is there already is replaced.

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
    manifest = {"rows": {name: own for name, own in counts.items() if own}, "filtered": {}}
    _write(_files(lines, manifest), target)
    return {name: len(own) for name, own in lines.items()}


def _write_arm(splits: Mapping[str, Sequence[Row]], taken: Taken, target: Path) -> None:
    columns = "preference" if taken.pairs else "prompt-completion"
    lines = {
        split: [json.dumps(formatted(row, columns), ensure_ascii=False) for row in own]
        for split, own in splits.items()
    }
    lost = {reason: count for reason, count in sorted(taken.lost.items()) if count}
    manifest = {
        "rows": {split: Counter(row.part for row in own) for split, own in splits.items()},
        "refusals": taken.refusals,
        "filtered": lost,
        "surplus": taken.surplus,
    }
    _write(_files(lines, manifest) | {CARD: _card(splits, lost, taken)}, target)


def _card(splits: Mapping[str, Sequence[Row]], lost: Mapping[str, int], taken: Taken) -> str:
    """What is in an arm's data set, and what it lost and why."""
    rows = [[split, str(len(own)), str(taken.refusals[split])] for split, own in splits.items()]
    reasons = [[reason, str(count), _BECAUSE[reason]] for reason, count in lost.items()]
    return "\n\n".join(
        (
            "# Rows of one arm",
            "All arms have the same repairs and filters, and as many rows of each kind.",
            markdown_table(("split", "rows", "that turn the asker away"), rows),
            "## Left out",
            markdown_table(("filter", "rows", "because"), reasons) if reasons else "Nothing.",
            f"{taken.surplus} more good rows were not needed, or are more of a kind than another arm has.\n",
        )
    )


def _files(lines: Mapping[str, Sequence[str]], manifest: Mapping[str, object]) -> dict[str, str]:
    rows = {f"{split}.jsonl": "\n".join(own) + "\n" for split, own in lines.items() if own}
    return rows | {MANIFEST: json.dumps(manifest, indent=2) + "\n"}


def _write(files: Mapping[str, str], target: Path) -> None:
    """The folder appears with all its files or not at all."""
    fresh = target.with_name(f"{target.name}.partial")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name, text in files.items():
        (fresh / name).write_text(text, encoding="utf-8")
    if target.exists():
        shutil.rmtree(target)
    put_in_place(fresh, target)
