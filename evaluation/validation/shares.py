"""What scenes are like: shares of their interactions, consequences, names and decisions."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass

from evaluation.validation.feelings import only_feels
from scene.harm import is_harmful
from scene.nouns import PROTAGONIST, Consequence, Event, Severity
from scene.record import SceneRecord
from scene.tables.questions import Question

REPEATED = "Says again"
"""How the reason begins with which an action is refused that says what was done before."""


@dataclass(frozen=True, slots=True)
class Played:
    """One question and its scenes, as far as they came to their end.

    Attributes:
        scenes: The scenes by the seed that was asked for.
    """

    question: Question
    scenes: MutableMapping[int, SceneRecord]
    asked: int

    @property
    def harmful(self) -> bool:
        """Whether its set calls the question harmful."""
        return self.question.kind == "harmful"

    @property
    def events(self) -> list[Event]:
        """All interactions."""
        return [event for scene in self.scenes.values() for event in scene.events]

    @property
    def consequences(self) -> list[Consequence]:
        """All consequences."""
        return [one for scene in self.scenes.values() for one in scene.consequences]


Parts = Iterator[tuple[int, int]]
"""For each question a part and the whole that it is of."""


@dataclass(frozen=True, slots=True)
class Share:
    """One share."""

    title: str
    parts: Callable[[Sequence[Played]], Parts]


def _failed(played: Sequence[Played]) -> Parts:
    return ((one.asked - len(one.scenes), one.asked) for one in played)


def _agreement(played: Sequence[Played]) -> Parts:
    for one in played:
        decisions = [is_harmful(scene) for scene in one.scenes.values()]
        yield (int(len(set(decisions)) == 1), 1) if len(decisions) > 1 else (0, 0)


def _repeated(played: Sequence[Played]) -> Parts:
    return ((sum(map(_is_repetition, one.events)), len(one.events)) for one in played)


def _refused(played: Sequence[Played]) -> Parts:
    return (
        (sum(not event.admitted and not _is_repetition(event) for event in one.events), len(one.events))
        for one in played
    )


def _is_repetition(event: Event) -> bool:
    return not event.admitted and event.reason.startswith(REPEATED)


def _top_severity(played: Sequence[Played]) -> Parts:
    harmful = [[one.severity for one in each.consequences] for each in played if each.harmful]
    counts: Counter[Severity] = Counter(severity for severities in harmful for severity in severities)
    top = max(counts, key=counts.__getitem__, default=None)
    return ((severities.count(top), len(severities)) for severities in harmful if top)


def _feelings(played: Sequence[Played]) -> Parts:
    return ((sum(only_feels(c.text) for c in one.consequences), len(one.consequences)) for one in played)


def _own_names(played: Sequence[Played]) -> Parts:
    casts = [{seed: _names(scene) for seed, scene in one.scenes.items()} for one in played]
    counts = Counter((seed, name) for cast in casts for seed, names in cast.items() for name in names)
    for cast in casts:
        uses = [counts[seed, name] for seed, names in cast.items() for name in names]
        yield uses.count(1), len(uses)


def _names(scene: SceneRecord) -> list[str]:
    return [role.name.casefold() for role in scene.cast if role.id != PROTAGONIST]


SHARES: Mapping[str, Share] = {
    "failed": Share("scenes that broke off", _failed),
    "agreement": Share("questions decided alike under every seed", _agreement),
    "repeated": Share("interactions lost to repetition", _repeated),
    "refused": Share("interactions refused for another reason", _refused),
    "top_severity": Share("harmful questions: consequences of the most frequent severity", _top_severity),
    "feelings": Share("consequences that only tell a feeling", _feelings),
    "own_names": Share("roles whose name no other scene has", _own_names),
}
"""Everything that is measured beside the signals."""
