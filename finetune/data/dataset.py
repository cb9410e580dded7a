"""Scenes to a data set: rows made, filtered, mixed, split and written, and every step accounted for."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from finetune.data.filters import REASONS, Rejected, deduplicated, fault
from finetune.data.pairs import Pairs
from finetune.data.reviewed import Reviews
from finetune.data.rows import Part, Row, rows_of
from finetune.data.scenes import Scene
from finetune.data.settings import DatasetSettings
from finetune.data.split import rank, validation_questions
from scene.errors import InputError
from scene.record import SceneRecord
from scene.refusal import opens_with_refusal
from scene.reviews import Review

Gate = Callable[[Sequence[Row], Mapping[str, str]], Awaitable[tuple[list[Row], list[Rejected]]]]


@dataclass(kw_only=True)
class Dataset:
    """A data set before it is written.

    Attributes:
        splits: Rows by split, `train` first; `validation` only where it has rows.
        rejected: Rows left out, each with its reason.
        surplus: Good rows beyond the mix, or refusals beyond their number, by part.
        shortfalls: Rows wanted and rows there were, for parts with too few.
        scenes: Where each scene stands.
        repeated: Scenes that came more than once and counted once.
        provenance: What the scenes were made with: each different set of facts once.
        unmatched: Decisions of people that are about none of the rows.
        twins: How many pairs of twins came out how, and are in; empty where they were not looked at.
    """

    settings: DatasetSettings
    splits: dict[str, list[Row]]
    rejected: list[Rejected]
    surplus: Counter[str]
    shortfalls: dict[str, tuple[int, int]]
    scenes: dict[str, str]
    repeated: int
    provenance: list[dict[str, str]]
    unmatched: int = 0
    twins: dict[str, int] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Rows by split and part."""
        return {split: dict(Counter(str(row.part) for row in rows)) for split, rows in self.splits.items()}

    @property
    def reviewed(self) -> dict[str, int]:
        """Rows that a person decided about, by decision; those that a filter took do not count."""
        dropped = sum(one.reason == "dropped" for one in self.rejected)
        taken = Counter(str(row.review) for rows in self.splits.values() for row in rows)
        return {"keep": taken["keep"], "edit": taken["edit"], "drop": dropped}

    @property
    def filtered(self) -> dict[str, dict[str, int]]:
        """Rows left out, by reason and part; reasons that took none are not there."""
        taken = {
            reason: dict(Counter(str(r.row.part) for r in self.rejected if r.reason == reason))
            for reason in REASONS
        }
        return {reason: parts for reason, parts in taken.items() if parts}


@dataclass
class _Sources:
    """What is noted of the scenes as they go by."""

    scenes: dict[str, str] = field(default_factory=dict)
    first_answers: dict[str, str] = field(default_factory=dict)
    provenance: dict[tuple[tuple[str, str], ...], None] = field(default_factory=dict)
    repeated: int = 0
    pairs: Pairs = field(default_factory=Pairs)


async def make_dataset(
    scenes: Iterable[Scene],
    settings: DatasetSettings,
    gate: Gate | None = None,
    decisions: Mapping[str, Review] | None = None,
) -> Dataset:
    """Turn scenes into rows, and leave out what is not worth learning.

    The gate judges the rows that passed every filter; see `finetune.data.gate`. An answer that a person
    edited goes through the filters like any other.

    Raises:
        InputError: There are no scenes, one was not played again whose harms are to be compared, no row is
            left, or no decision is about a row.
    """
    sources, reviews = _Sources(), Reviews(decisions or {})
    rows = [
        reviews.followed(row)
        for scene in _verified(_once(scenes, sources), settings)
        for row in rows_of(scene, settings.parts, examples=settings.examples, taken=not settings.untaken)
    ]
    reviews.check()
    pairs = sources.pairs if settings.twins else Pairs()
    if settings.twins:
        pairs.match()
    rows.sort(key=lambda row: rank(pairs.name(row) or row.id, settings.seed))
    faults = [(row, fault(row, settings.harms_removed)) for row in rows]
    rejected = [Rejected(row, reason) for row, reason in faults if reason]
    kept, repeats = deduplicated((row for row, reason in faults if not reason), settings.near, pairs.twins)
    rejected += repeats
    rejected += [Rejected(row, "dropped") for row in kept if row.review == "drop"]
    kept = [row for row in kept if row.review != "drop"]
    if gate is not None:
        kept, refused = await gate(kept, sources.first_answers)
        rejected += refused
    if settings.twins:
        kept, refused = pairs.apart(kept)
        rejected += refused
    taken = mixed(kept, settings.mix, settings.refusals, pairs.name)
    surplus = Counter(row.part for row in kept) - Counter(row.part for row in taken)
    without = pairs.with_twins(settings.without, taken)
    splits, named = _parted(split_rows(taken, settings, pairs.questions), without)
    dataset = Dataset(
        settings=settings,
        splits=splits,
        rejected=rejected + named,
        surplus=Counter({str(part): count for part, count in surplus.items()}),
        shortfalls=_shortfalls(taken, settings.mix),
        scenes=sources.scenes,
        repeated=sources.repeated,
        provenance=[dict(facts) for facts in sources.provenance],
        unmatched=reviews.unmatched,
        twins=pairs.counted(row for own in splits.values() for row in own) if settings.twins else {},
    )
    _refuse_empty(dataset)
    return dataset


def _once(scenes: Iterable[Scene], sources: _Sources) -> Iterable[Scene]:
    """Each scene once, noted as it goes by."""
    for scene in scenes:
        record = scene.record
        if record.id in sources.scenes:
            sources.repeated += 1
            continue
        sources.scenes[record.id] = scene.source
        sources.first_answers[record.id] = record.first_answer
        sources.pairs.note(scene)
        sources.provenance[tuple(_facts(record).items())] = None
        yield scene


def _verified(scenes: Iterable[Scene], settings: DatasetSettings) -> Iterable[Scene]:
    """The scenes; where harms are to have been removed, each second answer must have been looked at.

    One whose replay failed was looked at in vain: its row is left out by name.
    """
    for scene in scenes:
        record = scene.record
        revised = record.answer != record.first_answer
        looked_at = record.replay is not None or record.replay_failure is not None
        if settings.harms_removed is not None and revised and not looked_at:
            raise InputError(
                f"{scene.source}: whether the second answer removed any harm was not looked at; "
                "export with --verify, or leave --harms-removed out."
            )
        yield scene


def _facts(record: SceneRecord) -> dict[str, str]:
    return {
        "model": record.model.id,
        "revision": record.model.revision or "unknown",
        "engine": record.model.engine,
        "prompts": record.prompt_digest,
    }


def mixed(
    rows: Iterable[Row],
    mix: Mapping[Part, int] | None,
    refusals: int | None = None,
    pair: Callable[[Row], str] = lambda row: "",
) -> list[Row]:
    """The first rows of each part, as many as the mix wants.

    Args:
        rows: The rows, the preferred ones first.
        mix: Rows wanted of each part; None takes all.
        refusals: Most answers that turn the asker away, of all parts together; None takes all.
        pair: Name of the pair that a row is taken or left with; empty for a row by itself.
    """
    left = None if mix is None else Counter[Part](mix)
    units: dict[str | int, list[Row]] = {}
    for number, row in enumerate(rows):
        units.setdefault(pair(row) or number, []).append(row)
    turned_away = 0
    taken = []
    for own in units.values():
        wanted = Counter(row.part for row in own)
        if left is not None and wanted - left:
            continue
        if refusals is not None:
            more = sum(row.part != "simulation" and opens_with_refusal(row.completion) for row in own)
            if more and turned_away + more > refusals:
                continue
            turned_away += more
        if left is not None:
            left -= wanted
        taken += own
    return taken


def _shortfalls(rows: Sequence[Row], mix: dict[Part, int] | None) -> dict[str, tuple[int, int]]:
    there = Counter(row.part for row in rows)
    return {part: (wanted, there[part]) for part, wanted in (mix or {}).items() if there[part] < wanted}


def split_rows(
    rows: Sequence[Row], settings: DatasetSettings, together: Sequence[tuple[str, str]] = ()
) -> dict[str, list[Row]]:
    """Rows by split, a split without rows left out; no question is in two, nor are two that stay together."""
    questions = sorted({row.asked for row in rows})
    apart = validation_questions(
        questions, settings.validation, settings.seed, threshold=settings.near, together=together
    )
    splits = {
        "train": [row for row in rows if row.asked not in apart],
        "validation": [row for row in rows if row.asked in apart],
    }
    return {name: own for name, own in splits.items() if own}


def _parted(
    splits: dict[str, list[Row]], without: Sequence[str]
) -> tuple[dict[str, list[Row]], list[Rejected]]:
    """The splits without the rows that are named, so that the others are those of the set before, and these.

    Raises:
        InputError: There is no row of that name.
    """
    named = {row.id: row for own in splits.values() for row in own if row.id in {*without}}
    if missing := [name for name in without if name not in named]:
        raise InputError(f"The set has no row {missing[0]!r} to leave out; name rows as `why` does.")
    left = {name: [row for row in own if row.id not in named] for name, own in splits.items()}
    if named and not any(left.values()):
        raise InputError("--without takes out every row of the set; leave some in.")
    taken = [Rejected(named[name], "without") for name in without]
    return {name: own for name, own in left.items() if own}, taken


def _refuse_empty(dataset: Dataset) -> None:
    if dataset.splits:
        return
    if not dataset.scenes:
        raise InputError("There is no scene to make a data set of: the export is empty; play some first.")
    if dataset.surplus:
        why = f"turns the asker away, and at most {dataset.settings.refusals} may; allow more refusals"
        if dataset.settings.refusals is None:
            why = "comes with its twin, for which the mix has no room; ask for more rows of each part"
        raise InputError(f"Every good row {why}, or play more questions.")
    if not dataset.rejected:
        raise InputError(
            f"The {len(dataset.scenes)} scenes give no row of the parts {', '.join(dataset.settings.parts)}; "
            "ask for other parts, or play other questions."
        )
    took = ", ".join(f"{sum(parts.values())} {reason}" for reason, parts in dataset.filtered.items())
    raise InputError(f"Every row was filtered out ({took}); play more questions, or with a larger model.")
