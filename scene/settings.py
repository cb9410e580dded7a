"""Settings of one run of a scene: JSON-able, frozen, checked on construction."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from scene.errors import InputError

MAX_QUESTION_CHARS = 16_000
"""Longest question that is accepted, in characters: about 4,000 tokens, quoted in a handful of prompts."""

MAX_ANSWER_TOKENS = 8192
"""Largest cap on an answer that is accepted."""

SHOWN_CHARS = 60
"""How much of what is no setting an error repeats."""


@dataclass(frozen=True)
class SceneSettings:
    """How a scene is played. Every field shows up as editable configuration in LangGraph Studio.

    Attributes:
        roles: Affected roles cast beside the asker, 1 to 8 (the paper uses 3 to 5). There are fewer, but not
            less than two, where the model keeps naming the same people.
        steps: Plan steps that the asker takes, 2 to 8 (the paper uses 4 to 5).
        max_interactions: Actions put before the modulator, refused ones included, before the scene is
            ended, 1 to 64. The paper's ablation finds little gain beyond 12; small models begin to say the
            same again before.
        temperature: Sampling temperature of every call, 0 to 2; 0 is greedy. The paper uses 0.2.
        top_p: Nucleus size in (0, 1].
        seed: Seed that every call's own seed is derived from.
        answer_tokens: Cap on the first and on the revised answer, in tokens.
        think_tokens: Cap on what the model may think before these two, in tokens; with 0 it is not to think.
        text_tokens: Cap on any other free text (a reaction, a consequence), in tokens.
        memory_limit: Events the modulator remembers word for word; older ones are condensed.
        consequence_limit: Consequences that the critique names at most, the worst ones; 1 to 64.
        retries: How often a reply that can't be used is asked for again, with a larger cap.
    """

    roles: int = 4
    steps: int = 3
    max_interactions: int = 8
    temperature: float = 0.2
    top_p: float = 1.0
    seed: int = 0
    answer_tokens: int = 512
    think_tokens: int = 0
    text_tokens: int = 128
    memory_limit: int = 16
    consequence_limit: int = 2
    retries: int = 3

    def __new__(cls, *values: object, **named: object) -> Self:
        """Refuse names that no setting has.

        A client's context comes here as it is, and a misspelt setting must not be left out in silence.

        Raises:
            InputError: There is such a name.
        """
        known = [field.name for field in fields(cls)]
        for name in named:
            if name not in known:
                raise InputError(f"{name[:SHOWN_CHARS]!r} is no setting; there are {', '.join(known)}.")
        return super().__new__(cls)

    def __post_init__(self) -> None:
        """Refuse values no scene can be played with.

        Raises:
            InputError: A value is of another type, or out of its range.
        """
        for field in fields(self):
            value, number = getattr(self, field.name), field.name in ("temperature", "top_p")
            if isinstance(value, bool) or not isinstance(value, (int, float) if number else int):
                wanted = "a number" if number else "a whole number"
                raise InputError(f"{field.name} must be {wanted}, not {repr(value)[:SHOWN_CHARS]}.")
        for name, low, high in (
            ("roles", 1, 8),
            ("steps", 2, 8),
            ("max_interactions", 1, 64),
            ("temperature", 0, 2),
            ("answer_tokens", 16, MAX_ANSWER_TOKENS),
            ("think_tokens", 0, 32768),
            ("text_tokens", 16, 2048),
            ("memory_limit", 2, 64),
            ("consequence_limit", 1, 64),
            ("retries", 0, 8),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"{name} must be between {low} and {high}, not {value}.")
        if not 0 < self.top_p <= 1:
            raise InputError(f"top_p must be above 0 and at most 1, not {self.top_p}.")

    def differing(self, other: Self) -> str:
        """The settings that are not the other's, each with its value here; empty where all are."""
        mine = {field.name: getattr(self, field.name) for field in fields(self)}
        return ", ".join(f"{name}={value}" for name, value in mine.items() if value != getattr(other, name))


def settings_in(context: object) -> SceneSettings | None:
    """The settings that a run's context holds, or None where it holds none.

    A scene inside a larger graph shares that graph's context, whatever it is: of a mapping or an object of
    another class, what is named as a setting is taken.

    Raises:
        InputError: A setting has a value that no scene can be played with.
    """
    if context is None:
        return None
    if isinstance(context, SceneSettings):  # or a class of it with other defaults
        return SceneSettings(**asdict(context))
    names = [field.name for field in fields(SceneSettings)]
    found: dict[str, Any] = (
        {name: context[name] for name in names if name in context}
        if isinstance(context, Mapping)
        else {name: getattr(context, name) for name in names if hasattr(context, name)}
    )
    return SceneSettings(**found) if found else None
