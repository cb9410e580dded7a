"""The record of a scene: one JSON object with everything that happened, checked on write and on read."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from scene.cast import Given
from scene.comparison import share_removed
from scene.conversation import InContext
from scene.errors import RecordError
from scene.nouns import (
    PROTAGONIST,
    Consequence,
    Event,
    EventId,
    Fate,
    Kind,
    ModelIdentity,
    Noun,
    Outcome,
    Request,
    Role,
    RoleId,
    Seconds,
    Stance,
    Text,
    Turn,
    Verdict,
    event_number,
)
from scene.settings import SceneSettings

SCHEMA_VERSION = 1
"""Raised when a field changes its meaning or goes away."""

TOKENS = ("prompt_tokens", "completion_tokens", "cached_tokens")

SceneId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class Message(Noun):
    """One message of a prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


class ModelCall(Noun):
    """One call of the model: training material, and the account of what a scene cost.

    Attributes:
        attempt: 0 for the first try, more for retries.
        completion: The reply as it came, without what was thought before it.
        thought: What was thought before it; left out where nothing was.
        prompt_tokens: Tokens of the prompt; 0 where the model does not say.
        cached_tokens: Prompt tokens that a prefix cache served.
        seconds: From asking to the reply, waiting included.
        likelihoods: How likely each choice was, where they were weighed; else it is left out.
    """

    node: str
    role: RoleId | None
    turn: int | None
    call: str
    attempt: int = Field(ge=0)
    prompt: tuple[Message, ...]
    completion: str
    thought: str = Field(default="", exclude_if=lambda given: not given)
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)
    cached_tokens: int = Field(ge=0)
    seconds: Seconds = Field(ge=0)
    likelihoods: tuple[float, ...] = Field(default=(), exclude_if=lambda given: not given)


class Older(Noun):
    """A part of a record that may be from before fields went away which nothing reads any more."""

    @model_validator(mode="before")
    @classmethod
    def _without_outlook(cls, fields: object) -> object:
        if isinstance(fields, dict) and "outlook" in fields:
            return {name: value for name, value in fields.items() if name != "outlook"}
        return fields


class NodeCost(Noun):
    """What one node cost over a whole scene; `seconds` is the time during which any of its calls ran."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    seconds: Seconds


class Replay(Older):
    """What would have followed had the final answer been the first: the same people and seed once more.

    Attributes:
        events: The log of this scene; its ids are its own.
        went: Events of the first scene whose consequence is not here any more.
        stayed: Events of the first and of this scene whose consequences are the same one.
        came: Events of this scene whose consequence is new.
        cost: What it cost by node, beside the first scene.
        calls: Its model calls, or None when they were not kept.
    """

    stance: Stance
    plan: tuple[Text, ...]
    events: tuple[Event, ...]
    consequences: tuple[Consequence, ...]
    outcome: Outcome
    went: tuple[EventId, ...]
    stayed: tuple[tuple[EventId, EventId], ...]
    came: tuple[EventId, ...]
    seconds: Seconds
    cost: dict[str, NodeCost]
    calls: tuple[ModelCall, ...] | None


class ReplayFailure(Noun):
    """Why a scene could not be played again on its final answer."""

    error: Text
    reason: str
    node: str | None = None
    role: RoleId | None = None
    turn: int | None = None


class SceneRecord(Older):
    """A whole scene. `id` follows from what went in: the same question and settings give the same.

    Attributes:
        question_id: The question's own id in the set it came from, if it came from one.
        history: What was said before the question; left out where nothing was.
        system: The system prompt that the question came with; left out where there was none.
        risk: How likely it is that doing what is asked would hurt somebody, where that was read off.
        given: Who in the cast was given rather than imagined.
        calls: Every model call in a fixed order, or None when they were not kept.
        edited: Whether a person changed the state while the scene was stepped through.
        harms_removed: Share of the harms that the final answer removed, where that was looked at and there
            were any.
        replay: The scene on the final answer, where it was played; an answer that stayed leads to the same
            one.
        replay_failure: Why there is no replay, where one was begun and broke off: how much harm went is then
            not known.
    """

    schema_version: Literal[1] = 1
    id: SceneId
    question_id: str | None = None
    kind: Kind | None = None
    question: Text
    history: tuple[Turn, ...] = Field(default=(), exclude_if=lambda given: not given)
    system: str = Field(default="", exclude_if=lambda given: not given)
    first_answer: Text
    stance: Stance
    request: Request
    risk: float | None = Field(default=None, ge=0, le=1)
    situation: Text
    goal: Text
    cast: tuple[Role, ...]
    plan: tuple[Text, ...]
    events: tuple[Event, ...]
    consequences: tuple[Consequence, ...]
    critique: Text
    verdict: Verdict
    revision: str
    answer: Text
    fate: Fate | None = None
    outcome: Outcome
    seed: int
    settings: dict[str, int | float | str]
    model: ModelIdentity
    prompt_digest: str
    prompt_folder: str | None = Field(default=None, exclude_if=lambda given: given is None)
    given: tuple[RoleId, ...] = Field(default=(), exclude_if=lambda given: not given)
    versions: dict[str, str]
    seconds: Seconds
    cost: dict[str, NodeCost]
    calls: tuple[ModelCall, ...] | None
    edited: bool = False
    harms_removed: float | None = None
    replay: Replay | None = None
    replay_failure: ReplayFailure | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        ids = [role.id for role in self.cast]
        if ids != [f"r{number}" for number in range(len(ids))] or PROTAGONIST not in ids:
            raise ValueError("roles must be numbered from r0, the protagonist")
        if len({role.name.casefold() for role in self.cast}) != len(ids):
            raise ValueError("two roles share a name")
        _check_log(self.events, self.consequences, set(ids))
        if self.replay is not None:
            _check_replay(self, self.replay)
        if self.replay_failure is not None and (self.replay, self.harms_removed) != (None, None):
            raise ValueError("a replay that failed removed no harm")
        return self

    def to_json(self) -> str:
        """The record as one line of JSON, without a line break at its end."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Read a record.

        Raises:
            RecordError: The text is not a record of this version; the message names the first fault.
        """
        try:
            return cls.model_validate_json(line)
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(map(str, fault["loc"])) or "the text"
            raise RecordError(
                f"Not a scene record of version {SCHEMA_VERSION}: {where}: {fault['msg']}"
            ) from error


def _check_log(events: Sequence[Event], consequences: Sequence[Consequence], cast: set[RoleId]) -> None:
    if [event_number(event.id) for event in events] != list(range(len(events))):
        raise ValueError("events must be numbered in order")
    if any({event.actor, *event.observers} - cast for event in events):
        raise ValueError("an event names a role that is not in the cast")
    admitted = {event.id for event in events if event.admitted}
    if any(c.event not in admitted or set(c.roles) - cast for c in consequences):
        raise ValueError("a consequence names a refused event or a role that is not in the cast")


def _check_replay(record: SceneRecord, replay: Replay) -> None:
    _check_log(replay.events, replay.consequences, {role.id for role in record.cast})
    before = sorted([*replay.went, *(one for one, _ in replay.stayed)])
    after = sorted([*replay.came, *(other for _, other in replay.stayed)])
    if before != sorted(c.event for c in record.consequences) or after != sorted(
        c.event for c in replay.consequences
    ):
        raise ValueError("every consequence went, stayed or came")
    if record.harms_removed != share_removed(record.consequences, replay.consequences):
        raise ValueError("harms_removed is not what the consequences come to")


def scene_id(
    question: str,
    first_answer: str,
    settings: SceneSettings,
    model: ModelIdentity,
    prompt_digest: str,
    *,
    question_id: str | None = None,
    context: InContext | None = None,
    given: Given | None = None,
) -> str:
    """16 hex digits that follow from everything a scene is determined by.

    Of the model its id, revision and engine count; a question's id tells those apart that read the same.
    """
    parts = [question, first_answer, asdict(settings), model.id, model.revision, model.engine, prompt_digest]
    if question_id is not None:
        parts.append(question_id)
    if context is not None and (context.history or context.system):
        parts.append({"system": context.system, "turns": [turn.model_dump() for turn in context.history]})
    if given is not None and given.digest:
        parts.append({"given": given.digest})
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def costs(
    calls: Sequence[ModelCall], spans: Mapping[str, Sequence[tuple[float, float]]]
) -> dict[str, NodeCost]:
    """What each node cost; spans are start and end of its calls in seconds on one clock, in this order."""
    own = {node: [call for call in calls if call.node == node] for node in spans}
    return {
        node: cost_of(own[node], len(own[node]), round(_covered(times), 3)) for node, times in spans.items()
    }


def total_cost(costs: Mapping[str, NodeCost], seconds: float) -> NodeCost:
    """What a whole scene took; its seconds are less than the sum over nodes that ran side by side."""
    return cost_of(costs.values(), sum(cost.calls for cost in costs.values()), seconds)


def cost_of(parts: Collection[ModelCall | NodeCost], calls: int, seconds: float) -> NodeCost:
    """What so many calls took together, without their words."""
    tokens = {name: sum(getattr(part, name) for part in parts) for name in TOKENS}
    return NodeCost(calls=calls, **tokens, seconds=seconds)


def _covered(spans: Sequence[tuple[float, float]]) -> float:
    """Time that at least one span covers, in seconds."""
    covered, end = 0.0, float("-inf")
    for start, stop in sorted(spans):
        covered += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return covered


def record_settings(settings: SceneSettings) -> dict[str, Any]:
    """Settings as they stand in a record; the seed has a field of its own."""
    return {key: value for key, value in asdict(settings).items() if key != "seed"}
