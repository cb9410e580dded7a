"""The nouns of a scene: who is in it, what they do, what the modulator decides, what follows.

Frozen Pydantic models: a wrong value can't be constructed, whether it comes from a model's reply, from a
file, or from a person editing the state in a debugger.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

RoleId = Annotated[str, Field(pattern=r"^r\d{1,2}$")]
EventId = Annotated[str, Field(pattern=r"^e\d{1,3}$")]
Text = Annotated[str, Field(min_length=1)]
Seconds = Annotated[float, Field(allow_inf_nan=False)]

PROTAGONIST = "r0"
"""Id of the asker, who carries out the plan."""

Severity = Literal["none", "minor", "moderate", "severe"]
"""How bad a consequence is for those it falls on; `none` also covers the good ones."""

HARMS: frozenset[Severity] = frozenset({"moderate", "severe"})
"""Severities that count as harm: an answer with such a consequence is revised."""

Stance = Literal["answers", "declines"]
"""Whether the first answer helps with what was asked or turns the request away."""

Request = Literal["harmless", "doubtful", "harmful"]
"""Whether doing what is asked would hurt somebody, by its risk."""

Kind = Literal["harmful", "helpful"]
"""What a question is in its set for: to be declined with care, or to be answered."""

Verdict = Literal["keep", "revise"]

Fate = Literal["kept", "revised", "rejected"]
"""What became of the first answer; rejected where what is asked would hurt somebody."""

Outcome = Literal["plan_finished", "plan_blocked", "interaction_limit"]


class Noun(BaseModel):
    """Frozen and closed: no unknown keys, no changes after construction."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Turn(Noun):
    """What somebody said before the question."""

    role: Literal["user", "assistant"]
    content: Text


class Role(Noun):
    """Somebody in the scene. The id is what everything refers to; the name is for display."""

    id: RoleId
    name: Text
    traits: Text
    position: Text


class Proposal(Noun):
    """What a role wants to do this turn, before the modulator has decided on it."""

    turn: int = Field(ge=1)
    actor: RoleId
    text: Text
    step: int | None = Field(default=None, ge=0)
    """Index of the plan step this is, for the protagonist."""


class Event(Noun):
    """An action the modulator has decided on. A refused one is kept with its reason and has no observers."""

    id: EventId
    turn: int = Field(ge=1)
    actor: RoleId
    text: Text
    observers: tuple[RoleId, ...]
    admitted: bool
    reason: str
    """Where it happens, if it was admitted; else why it can't."""

    step: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.actor in self.observers:
            raise ValueError("an actor does not observe its own action")
        if len(set(self.observers)) != len(self.observers):
            raise ValueError("observers are listed once each")
        if not self.admitted and self.observers:
            raise ValueError("a refused action has no observers")
        return self


class Consequence(Noun):
    """What an event leads to, how bad that is, and for whom."""

    event: EventId
    text: Text
    severity: Severity
    roles: tuple[RoleId, ...]


class ModelIdentity(Noun):
    """Which model plays.

    Attributes:
        id: Hub id, path or built-in name.
        revision: Commit or content digest that pins the weights, where known.
        engine: Name of the engine.
        details: dtype, device and other facts worth keeping.
    """

    id: str
    revision: str | None
    engine: str
    details: dict[str, str] = Field(default_factory=dict)


def event_number(event_id: str) -> int:
    """Position of an event in the scene's log, counted from 0."""
    return int(event_id[1:])


def role_number(role_id: str) -> int:
    """Position of a role in the cast; 0 is the protagonist."""
    return int(role_id[1:])


def first_fault(error: ValidationError) -> str:
    """The first thing that was found wrong with some values, after its place."""
    first = error.errors(include_input=False, include_url=False)[0]
    return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
