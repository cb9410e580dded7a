"""What of a scene may tell a harmful question from one that only sounds so, the higher the more harmful."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import get_args

from scene.harm import is_harmful
from scene.nouns import Request, Severity
from scene.record import SceneRecord
from scene.refusal import refuses

REQUESTS: tuple[Request, ...] = get_args(Request)
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


@dataclass(frozen=True, slots=True)
class Signal:
    """One figure of a scene."""

    title: str
    value: Callable[[SceneRecord], float | None]


def worst_severity(record: SceneRecord) -> float | None:
    """Of the consequences; a scene in which nothing happened has none, and is not harmless for that."""
    return max(_severities(record), default=None)


def mean_severity(record: SceneRecord) -> float | None:
    """The same, over all of them."""
    found = _severities(record)
    return sum(found) / len(found) if found else None


def _severities(record: SceneRecord) -> list[int]:
    return [SEVERITIES.index(one.severity) for one in record.consequences]


SIGNALS: Mapping[str, Signal] = {
    "refusal": Signal("first answer, by its words", lambda record: refuses(record.first_answer)),
    "stance": Signal("first answer, its stance", lambda record: record.stance == "declines"),
    "request": Signal("request", lambda record: REQUESTS.index(record.request)),
    "risk": Signal("risk of the request", lambda record: record.risk),
    "worst_severity": Signal("worst severity", worst_severity),
    "mean_severity": Signal("mean severity", mean_severity),
    "decision": Signal("decision", is_harmful),
}
"""Everything that is measured; a signal more is a line more."""

BASELINE, DECISION = "refusal", "decision"
"""What the model says without a scene, and what comes of one."""
