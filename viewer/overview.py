"""An export at a glance: a row for each question that has ended, what they can be filtered by, totals."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, get_args

from scene.export import Contents, Counts, Failure, Manifest
from scene.nouns import Kind, Outcome, Severity, Verdict
from scene.record import NodeCost, SceneRecord, total_cost
from viewer.again import Removal, harm_counts, removal
from viewer.log import SEVERITIES, severity_counts, worst_severity
from viewer.scene import Result, result_of
from viewer.wording import removed

_NOTHING = NodeCost(calls=0, prompt_tokens=0, completion_tokens=0, cached_tokens=0, seconds=0)


@dataclass(frozen=True)
class Row:
    """A question of an export that has ended, as a scene or as a failure.

    Attributes:
        facets: Its value of each facet; absent where it has none.
        removed: The share of its harms that its final answer removed, in words; empty if nobody looked.
    """

    id: str
    question_id: str
    question: str
    facets: Mapping[str, str]
    seconds: float
    people: Sequence[str] = ()
    events: int = 0
    refused: int = 0
    reason: str = ""
    removed: str = ""


@dataclass(frozen=True)
class Facet:
    """Something that rows are filtered by, with the rows of each of its values."""

    name: str
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Harms:
    """Harms on the first answers of scenes that were looked at, and on their final ones, and how many."""

    scenes: int
    had: int
    has: int

    @property
    def share(self) -> float | None:
        """Share of them that went, as `scene.comparison.share_removed` has it for a scene."""
        return (self.had - self.has) / self.had if self.had else None


@dataclass
class Costs:
    """What scenes took, or their replays."""

    nodes: dict[str, NodeCost] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, costs: Mapping[str, NodeCost], seconds: float) -> None:
        """Count one."""
        for node, cost in costs.items():
            self.nodes[node] = _sum(self.nodes.get(node, _NOTHING), cost)
        self.seconds += seconds

    @property
    def total(self) -> NodeCost:
        """Of all nodes together."""
        return total_cost(self.nodes, self.seconds)


@dataclass
class Overview:
    """What is counted while the scenes of an export go by."""

    rows: list[Row] = field(default_factory=list)
    severities: Counter[Severity] = field(default_factory=Counter)
    scenes: Costs = field(default_factory=Costs)
    replays: Costs = field(default_factory=Costs)
    looked_at: list[tuple[int, int]] = field(default_factory=list)
    """Harms before and after, for each scene of which that is known."""

    def add(self, record: SceneRecord) -> None:
        """Count a scene."""
        self.rows.append(row_of(record))
        self.severities.update(severity_counts(record))
        if (counts := harm_counts(record)) is not None:
            self.looked_at.append(counts)
        self.scenes.add(record.cost, record.seconds)
        if record.replay is not None:
            self.replays.add(record.replay.cost, record.replay.seconds)

    def fail(self, failure: Failure) -> None:
        """Count a failure."""
        facets = {"ended": "failure", "error": failure.node or failure.error}
        row = Row(
            id=failure.id,
            question_id=failure.question_id,
            question=failure.question,
            facets=facets if failure.kind is None else facets | {"kind": failure.kind},
            seconds=failure.seconds,
            reason=failure.reason,
        )
        self.rows.append(row)

    def harms(self) -> Harms | None:
        """What all final answers together removed; None where nobody looked."""
        if not self.looked_at:
            return None
        had, has = map(sum, zip(*self.looked_at, strict=True))
        return Harms(len(self.looked_at), had, has)

    def facets(self) -> list[Facet]:
        """Everything the rows can be filtered by, its values in the order of their declaration."""
        values: dict[str, Iterable[str]] = {
            "ended": ("scene", "failure"),
            "answer": get_args(Result),
            "verdict": get_args(Verdict),
            "severity": SEVERITIES,
            "removed": get_args(Removal),
            "outcome": get_args(Outcome),
            "kind": get_args(Kind),
            "edited": ("hand",),
            "again": ("failed",),
            "error": sorted({row.facets["error"] for row in self.rows if "error" in row.facets}),
        }
        counts = {name: Counter(row.facets.get(name) for row in self.rows) for name in values}
        found = [
            Facet(name, {value: counts[name][value] for value in own if counts[name][value]})
            for name, own in values.items()
        ]
        return [facet for facet in found if facet.counts]


def export_context(manifest: Manifest, contents: Contents, overview: Overview) -> dict[str, Any]:
    """Everything that the index shows; counts are those of the files, which may be ahead of the manifest."""
    questions, done, failed = manifest.counts.questions, len(contents.done), len(contents.failed)
    counts = Counts(
        questions=questions,
        done=done,
        failed=failed,
        pending=questions - done - failed,
        replays_failed=contents.replays_failed,
    )
    return {
        "manifest": manifest,
        "name": PurePath(manifest.source).name or manifest.source,
        "counts": counts,
        "contents": contents,
        "overview": overview,
        "facets": overview.facets(),
        "severities": {severity: overview.severities[severity] for severity in SEVERITIES},
        "revised": sum(row.facets.get("answer") in ("revised", "rejected") for row in overview.rows),
        "harms": overview.harms(),
        "total": _sum(overview.scenes.total, overview.replays.total),
    }


def row_of(record: SceneRecord) -> Row:
    """The row of a scene."""
    facets = {
        "ended": "scene",
        "answer": result_of(record),
        "verdict": record.verdict,
        "severity": worst_severity(record),
        "outcome": record.outcome,
        "kind": record.kind,
        "removed": removal(record),
        "edited": "hand" if record.edited else None,
        "again": "failed" if record.replay_failure is not None else None,
    }
    return Row(
        id=record.id,
        question_id=record.question_id or "",
        question=record.question,
        facets={name: value for name, value in facets.items() if value is not None},
        seconds=record.seconds,
        people=[role.name for role in record.cast],
        events=len(record.events),
        refused=sum(not event.admitted for event in record.events),
        removed=removed(record.harms_removed) if removal(record) is not None else "",
    )


def _sum(one: NodeCost, other: NodeCost) -> NodeCost:
    figures = one.model_dump()
    return NodeCost(**{name: value + getattr(other, name) for name, value in figures.items()})
