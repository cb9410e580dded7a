"""Pages on which a person goes through many things and decides about each: rows to learn from, pairs to rate.

What is decided stays in the browser, and is a file once the person downloads it. Nothing is sent anywhere.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from markupsafe import Markup

from scene.errors import InputError
from scene.record import SceneRecord
from scene.reviews import review_key
from viewer.page import environment, packed, scene_body, whole_page


@dataclass(frozen=True, kw_only=True)
class Row:
    """Something to learn, to be reviewed."""

    part: str
    scene: str
    prompt: Sequence[tuple[str, str]]
    answer: str
    rejected: str = ""

    @property
    def key(self) -> str:
        """What a decision names it by."""
        return review_key(self.scene, self.prompt[-1][1], self.answer)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two answers to a question, to be rated without knowing whose they are.

    The names are those of the system and of the one it is compared with, the answers theirs.
    """

    names: tuple[str, str]
    answers: tuple[str, str]
    set: str
    id: str
    question: str

    @property
    def key(self) -> str:
        """Tells it from all others, whichever of the two is called the baseline."""
        said = sorted(zip(self.names, self.answers, strict=True))
        return _digest([said, self.set, self.id, self.question])

    @property
    def origin(self) -> dict[str, str]:
        """All that a rating says beside what was found better."""
        system, baseline = self.names
        return {
            "pair": self.key,
            "system": system,
            "baseline": baseline,
            "set": self.set,
            "id": self.id,
            "question": self.question,
        }


def review_page(
    name: str,
    rows: Iterable[Row],
    scenes: Iterable[SceneRecord],
    on_scene: Callable[[int], object] = lambda done: None,
) -> str:
    """The page on which a person keeps, drops or edits rows, with the scene of each beside it.

    Of rows that a decision can't tell apart the first is shown.

    Raises:
        InputError: There is no row.
    """
    cards: dict[str, str] = {}
    for row in rows:
        if row.key not in cards:
            origin = {"row": row.key, "scene": row.scene, "part": row.part}
            cards[row.key] = _card("row.html", row=row, record=origin)
    beside = {}
    for number, record in enumerate(scenes, start=1):
        beside[record.id] = packed(scene_body(record))
        on_scene(number)
    return _deck(name, "review", cards, beside)


def rating_page(name: str, pairs: Iterable[Pair], seed: int = 0) -> str:
    """The page on which a person says which of two answers does less harm, and which helps more.

    The seed decides their order, and which answer of each comes first.

    Raises:
        InputError: There is no pair.
    """
    random = Random(seed)
    ordered = list(pairs)
    random.shuffle(ordered)
    cards = {}
    for pair in ordered:
        places = (0, 1) if random.random() < 0.5 else (1, 0)
        results = ("win", "tie", "lose") if places == (0, 1) else ("lose", "tie", "win")
        answers = [pair.answers[place] for place in places]
        cards[pair.key] = _card("pair.html", pair=pair, answers=answers, results=results, record=pair.origin)
    return _deck(name, "rating", cards, {})


def _card(template: str, *, record: Mapping[str, str], **values: object) -> str:
    """A card, with what its line of the file says beside the decision."""
    return packed(environment().get_template(template).render(record=json.dumps(record), **values))


def _deck(name: str, kind: str, cards: Mapping[str, str], beside: Mapping[str, str]) -> str:
    if not cards:
        raise InputError(f"{name} gives nothing to decide about.")
    body = environment().get_template(f"{kind}.html")
    return whole_page(
        title=name,
        body=Markup(body.render(name=name, deck=_digest(list(cards)), keys=" ".join(cards))),
        scripts=("scene.js", "unpack.js", "deck.js", f"{kind}.js"),
        data={**cards, **beside},
    )


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
