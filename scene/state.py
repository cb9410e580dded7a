"""The channels of the scene graph: a narrow input and output around a full inner state.

The inner state is a Pydantic model, so that what a person edits in a debugger is checked like everything
else before the next node sees it. Model calls are not in it (a recorder collects them), which keeps
checkpoints small.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from scene.errors import InputError
from scene.nouns import (
    Consequence,
    Event,
    Fate,
    Outcome,
    Proposal,
    Request,
    Role,
    RoleId,
    Stance,
    Turn,
    Verdict,
    role_number,
)
from scene.settings import MAX_QUESTION_CHARS, SceneSettings
from scene.text import clean

MAX_ANSWER_CHARS = 64_000
"""Longest first answer that is accepted, in characters: more than the longest that a model may give has."""

MAX_TURNS = 64
"""Most turns that are accepted before a question."""

MAX_HISTORY_CHARS = 64_000
"""Most characters that they may have together: about 16,000 tokens, read whole to answer."""

FAR_TOO_LONG = 4
"""A text of so many times what is accepted is refused as it is; whatever is cleaned takes time."""


def check_question(question: str) -> str:
    """The question, cleaned.

    Raises:
        InputError: It is empty once cleaned, or too long.
    """
    cleaned = _cleaned("question", question, MAX_QUESTION_CHARS)
    if not cleaned:
        raise InputError("The question is empty; give some text to answer.")
    return cleaned


def check_answer(first_answer: str) -> str:
    """A first answer that was given, cleaned; empty where there is none.

    Raises:
        InputError: It is too long.
    """
    return _cleaned("first answer", first_answer, MAX_ANSWER_CHARS)


def check_system(system: str) -> str:
    """The system prompt that a question came with, cleaned; empty where there is none.

    Raises:
        InputError: It is too long.
    """
    return _cleaned("system prompt", system, MAX_QUESTION_CHARS)


def check_history(turns: Sequence[Turn]) -> list[Turn]:
    """The turns before a question, cleaned.

    Raises:
        InputError: They are too many or too long, one is empty, two in a row are the same speaker's, or the
            last one is the user's.
    """
    if len(turns) > MAX_TURNS:
        raise InputError(
            f"There are {len(turns):,} turns before the question; at most {MAX_TURNS} are accepted."
        )
    _cleaned("conversation before the question", "".join(turn.content for turn in turns), MAX_HISTORY_CHARS)
    checked = []
    for number, turn in enumerate(turns, start=1):
        if not (content := clean(turn.content)):
            raise InputError(f"Turn {number} of the conversation is empty; give its text, or leave it out.")
        checked.append(Turn(role=turn.role, content=content))
    after = [turn.role for turn in turns[1:]] + ["user"] * bool(turns)
    if any(turn.role == role for turn, role in zip(turns, after, strict=True)):
        raise InputError("In a conversation, the turns of user and assistant alternate; join those of one.")
    return checked


def _cleaned(what: str, text: str, most: int) -> str:
    cleaned = clean(text) if len(text) <= FAR_TOO_LONG * most else text
    if len(cleaned) > most:
        raise InputError(f"The {what} has {len(cleaned):,} characters; at most {most:,} are accepted.")
    return cleaned


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "question": check_question,
    "first_answer": check_answer,
    "history": check_history,
    "system": check_system,
}


def join_proposals(left: Iterable[Any], right: Iterable[Any]) -> list[Proposal]:
    """Proposals of the latest turn only, one per role, in the order of role ids.

    Roles act in parallel, so they arrive in any order; the result does not depend on it.
    """
    proposals = [Proposal.model_validate(item) for item in (*left, *right)]
    latest = max((proposal.turn for proposal in proposals), default=0)
    by_actor = {proposal.actor: proposal for proposal in proposals if proposal.turn == latest}
    return [by_actor[actor] for actor in sorted(by_actor, key=role_number)]


class SceneInput(BaseModel):
    """What a scene starts from.

    Attributes:
        question: The question to rehearse, up to `MAX_QUESTION_CHARS` characters.
        messages: A conversation instead, as chat clients write it, the last message being the question. Where
            there is a question they are left alone: a larger graph has messages of its own.
        first_answer: A first answer to rehearse, up to `MAX_ANSWER_CHARS` characters; empty lets the model
            give its own.
        situation: The life behind the question; empty lets the model imagine it.
        cast: People to play with, by the id of their place; the model imagines the others.
    """

    question: str = ""
    messages: list[Any] = Field(default_factory=list)
    history: list[Turn] = Field(default_factory=list)
    system: str = ""
    first_answer: str = ""
    situation: str = ""
    cast: list[Role] = Field(default_factory=list)


class SceneOutput(BaseModel):
    """What a scene ends with."""

    answer: str
    verdict: Verdict
    critique: str
    outcome: Outcome
    fate: Fate


class SceneState(BaseModel):
    """Everything a node may read. Nodes return the channels they change.

    Attributes:
        question: The asker's words. Quoted material, never instructions.
        history: What was said before, oldest first. So is this.
        system: The system prompt that the question came with: an instruction for the plain first answer
            alone, and quoted material for everything else.
        settings: How this scene is played: what its run was given when it began, whoever goes on with it.
        prompts: Digest of the prompts that it is played with; empty for ours.
        risk: How likely it is that doing what is asked would hurt somebody, 0 to 1.
        cast: Every role; the first is the protagonist. Before the scene is set, those who are given.
        plan: Steps the protagonist takes, one a turn. Never changes once the scene runs.
        step: Index of the next plan step.
        refusals: How often the modulator refused that step since it was last admitted; 2 ends the plan.
        turn: Turn being played, counted from 1.
        budget: Interactions left before the scene is ended.
        proposals: What the acting roles want to do this turn.
        rulings: This turn's proposals as the modulator decided them, not yet in the log.
        events: The scene's log, refused actions included, in order of turn and role id.
        inbox: Ids of the events each role has observed and not yet reacted to.
        memory: Condensed account of the events that are too old to be remembered word for word.
        remembered: How many events at the beginning of the log `memory` covers.
        critique: The worst that following the first answer leads to, and what would help the asker instead.
        revision: The revised answer as written, kept even when it was not accepted.
    """

    model_config = ConfigDict(validate_default=False)

    question: str
    history: list[Turn] = Field(default_factory=list)
    system: str = ""
    first_answer: str = ""
    settings: SceneSettings | None = None
    prompts: str = ""
    stance: Stance = "answers"
    request: Request = "harmless"
    risk: float = Field(default=0.0, ge=0, le=1)
    situation: str = ""
    goal: str = ""
    cast: list[Role] = Field(default_factory=list)
    plan: list[str] = Field(default_factory=list)
    step: int = 0
    refusals: int = 0
    turn: int = 1
    budget: int = 0
    proposals: Annotated[list[Proposal], join_proposals] = Field(default_factory=list)
    rulings: list[Event] = Field(default_factory=list)
    events: list[Event] = Field(default_factory=list)
    inbox: dict[RoleId, list[str]] = Field(default_factory=dict)
    memory: str = ""
    remembered: int = 0
    consequences: list[Consequence] = Field(default_factory=list)
    critique: str = ""
    verdict: Verdict = "keep"
    revision: str = ""
    answer: str = ""
    outcome: Outcome | None = None
    fate: Fate | None = None

    @field_validator("settings", mode="before")
    @classmethod
    def _as_given(cls, given: object) -> object:
        """Those of a client's edit, refused as those of its context are; Pydantic would convert them."""
        return SceneSettings(**given) if isinstance(given, Mapping) else given

    @field_validator("question", "first_answer", "history", "system")
    @classmethod
    def _usable(cls, given: Any, field: ValidationInfo) -> Any:  # noqa: ANN401  # a text or turns
        try:
            return _CHECKS[str(field.field_name)](given)
        except InputError as error:
            raise ValueError(str(error)) from error

    @property
    def material(self) -> str:
        """What the scene is about, in its own words."""
        before = [turn.content for turn in self.history] + [self.system] * bool(self.system)
        return " ".join((self.question, self.first_answer, self.situation, *before))

    def name(self, role_id: str) -> str:
        """A role's display name."""
        return next(role.name for role in self.cast if role.id == role_id)

    def told(self, event: Event | Proposal) -> str:
        """An action as one line of a script: who, and in their own words what."""
        return f"{self.name(event.actor)}: {event.text}"
