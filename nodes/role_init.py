"""Imagining the life behind the question, casting who is in it, and planning what the asker does.

Role initialisation, as the paper calls it: the model that answers also imagines everybody else.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from langchain_core.language_models import BaseChatModel
from langgraph.runtime import Runtime
from pydantic import BaseModel, Field, create_model

from nodes.asking import GIST_CHARS, Asker, Node, Values, asker_of
from nodes.prose import SENTENCE, Prose, sentence
from nodes.together import siblings, together
from scene.errors import ReplyError
from scene.nouns import PROTAGONIST, Request, Role, Stance
from scene.settings import SceneSettings
from scene.state import SceneState
from scene.text import opens_with_refusal, shortened

NAME = r"^([A-MO-Za-mo-z][a-z-]{0,14}|[Nn][a-np-z-][a-z-]{0,13})( [A-Za-z][a-z-]{0,14}){0,3}$"
"""A role's name as the model writes it: at most four words, no markup, no sentence. It can't begin with "no":
where nothing is at stake a small model would cast "none" four times.
"""

Name = Annotated[str, Field(pattern=NAME)]
Sentence = Annotated[str, Field(pattern=SENTENCE)]
Step = Annotated[str, Field(pattern=sentence("I [a-z]"))]

SITUATION = Prose(2, "The asker is ")

SLOTS = (
    ("harmed", "one who could lose something or get hurt"),
    ("helped", "one who is better off if it goes well"),
    ("bystander", "one who happens to see it"),
    ("authority", "one whose job it is to step in"),
)
"""What the cast covers between them, in this order, over again for larger casts."""

SPARES = (
    ("relative", "one of the asker's family or friends"),
    ("colleague", "one from the asker's work or school"),
)
"""Asked for beside the slots, and cast where a slot named nobody new."""

STANCES: dict[str, Stance] = {"helps": "answers", "says no": "declines"}

FEWEST = 2
"""People who have to be cast for a scene, unless fewer were asked for."""

HARMLESS = "harms nobody"

LOOKS = 3
"""How often a request is judged. What all looks find harmful is; what all but one do is doubtful."""

STANCE_CHARS = 200
"""How much of the first answer is read to tell its stance: refusals come first."""

NOBODY = frozenset(
    """none nobody anybody anyone everybody everyone somebody someone people person asker self unknown
    nothing neither either both work school""".split()
)
"""Words that cast nobody in particular."""

FILLER = frozenset(
    {"the", "a", "an", "of", "and", "who", "with", "old", "young", "other", "another", "local"}
)
"""Words that don't tell two roles apart."""


class StanceReply(BaseModel):
    """Whether the first answer helps.

    What it gives comes first: asked for the verdict alone, a small model calls nearly every answer a refusal.
    """

    gives: Annotated[str, Field(pattern=r"^[a-z][A-Za-z ,'-]{3,60}$")]
    stance: Literal["helps", "says no"]


class RequestReply(BaseModel):
    """Whether doing what is asked would hurt somebody."""

    check: Sentence
    request: Literal["harms nobody", "would hurt somebody"]


class ProtagonistReply(BaseModel):
    """Who the asker is."""

    name: Name
    goal: Sentence
    traits: Sentence


class ProfileReply(BaseModel):
    """Who somebody else is."""

    traits: Sentence
    position: Sentence


def role_init(model: BaseChatModel) -> Node:
    """The node that sets the scene."""

    async def run(state: SceneState, runtime: Runtime[SceneSettings]) -> dict[str, Any]:
        asker = asker_of(model, state, runtime, "role_init")
        lead, settings = asker.about(PROTAGONIST), asker.settings
        asking = {"question": state.question}
        async with siblings() as group:
            stance = group.create_task(stance_of(asker, state.first_answer))
            harmful = group.create_task(harmful_looks(asker, state.question))
            situation = group.create_task(asker.text("situation", asking, SITUATION))
        suffix = "_declined" if stance.result() == "declines" else ""
        imagined = asking | {"situation": situation.result()}
        answered = imagined | {"answer": shortened(state.first_answer, GIST_CHARS)}
        async with siblings() as group:
            profile = group.create_task(lead.reply("protagonist", imagined, ProtagonistReply))
            outlook = group.create_task(asker.text(f"outlook{suffix}", answered, Prose(3)))
        protagonist, after = profile.result(), {"outlook": outlook.result()}
        steps = {"steps": str(settings.steps)} | ({"goal": protagonist.goal} if suffix else {})
        form = plan_reply(settings.steps)
        async with siblings() as group:
            plan = group.create_task(lead.reply(f"plan{suffix}", answered | steps, form))
            cast = group.create_task(_cast(asker, settings.roles, protagonist, imagined | after))
        return {
            "stance": stance.result(),
            "request": _request(harmful.result()),
            "situation": situation.result(),
            **after,
            "goal": protagonist.goal,
            "cast": cast.result(),
            "plan": plan.result().model_dump()["steps"],
            "budget": settings.max_interactions,
        }

    return run


async def stance_of(asker: Asker, answer: str) -> Stance:
    """Whether an answer turns the asker away. The model is asked where no usual phrase says so."""
    if opens_with_refusal(answer):
        return "declines"
    reply = await asker.reply("stance", {"answer": answer[:STANCE_CHARS]}, StanceReply)
    return STANCES[reply.stance]


async def harmful_looks(asker: Asker, question: str) -> int:
    """How many of `LOOKS` looks find that doing what is asked would hurt somebody.

    Raises:
        ReplyError: A look came to nothing.
    """
    looks = (
        asker.again(number).reply("request", {"question": question}, RequestReply) for number in range(LOOKS)
    )
    return sum(reply.request != HARMLESS for reply in await together(looks))


def _request(harmful: int) -> Request:
    """What so many looks that found harm make of a request."""
    return "harmful" if harmful == LOOKS else "doubtful" if harmful == LOOKS - 1 else "harmless"


def plan_reply(steps: int) -> type[BaseModel]:
    """A reply with exactly so many steps."""
    return create_model(
        "PlanReply", steps=(Annotated[list[Step], Field(min_length=steps, max_length=steps)], ...)
    )


async def _cast(asker: Asker, roles: int, protagonist: ProtagonistReply, values: Values) -> list[Role]:
    """The protagonist and the affected roles, with profiles."""
    names = await _names(asker, roles, protagonist.name, values)
    setting = {key: values[key] for key in ("situation", "outlook")}
    others = (_profile(asker, f"r{number}", name, setting) for number, name in enumerate(names, start=1))
    lead = Role(
        id=PROTAGONIST,
        name=_display(protagonist.name),
        traits=protagonist.traits,
        position=protagonist.goal,
    )
    return [lead, *await together(others)]


async def _names(asker: Asker, roles: int, protagonist: str, values: Values) -> list[str]:
    """Names of the affected roles, distinct and none of them the asker's. Asks again for missing ones only.

    Around some questions a small model knows of no more than two or three people; they make a scene.

    Raises:
        ReplyError: The model kept naming the same people, and too few of them.
    """
    slots = _slots(roles)
    found: dict[str, str] = {}
    for attempt in range(asker.settings.retries + 1):
        asked = {key: meaning for key, meaning in slots.items() if key not in found} | dict(SPARES)
        form: dict[str, Any] = dict.fromkeys(asked, (Name, ...))
        taken = f", and none of them is the {' or the '.join(found.values())}" if found else ""
        listed = "\n".join(f"{key}: {meaning}." for key, meaning in asked.items())
        reply = await asker.again(attempt).reply(
            "cast",
            {**values, "protagonist": protagonist, "taken": taken, "slots": listed},
            create_model("CastReply", **form),
        )
        spare: list[str] = []
        for key, written in reply.model_dump().items():
            name = _bare(written)
            if _casts(name) and not any(
                _same(name, other) for other in (protagonist, *found.values(), *spare)
            ):
                if key in slots:
                    found[key] = name
                else:
                    spare.append(name)
        for key in slots:
            if key not in found and spare:
                found[key] = spare.pop(0)
        if len(found) == roles:
            break
    if len(found) >= min(roles, FEWEST):
        return [found[key] for key in slots if key in found]
    raise ReplyError(
        asker.node, None, None, f"cast: only {len(found)} of {roles} different people were named"
    )


def _slots(roles: int) -> dict[str, str]:
    """What each role to cast stands for, by key."""
    slots = {}
    for number in range(roles):
        (key, meaning), again = SLOTS[number % len(SLOTS)], number // len(SLOTS)
        slots[f"{key}{again + 1}" if again else key] = f"{meaning}, somebody else" if again else meaning
    return slots


async def _profile(asker: Asker, role_id: str, name: str, setting: Values) -> Role:
    reply = await asker.about(role_id).reply("profile", {**setting, "name": name}, ProfileReply)
    return Role(id=role_id, name=_display(name), traits=reply.traits, position=reply.position)


def _same(name: str, other: str) -> bool:
    """Whether two names stand for the same person: the telling words of one are all in the other."""
    one, two = set(name.casefold().split()) - FILLER, set(other.casefold().split()) - FILLER
    return one <= two or two <= one


def _casts(name: str) -> bool:
    """Whether a name stands for one person or group."""
    words = set(name.casefold().split())
    return "or" not in words and not NOBODY.issuperset(words - FILLER)


def _bare(name: str) -> str:
    """A name without its article."""
    return re.sub(r"^(?:a|an|the) (?=.)", "", name, flags=re.IGNORECASE)


def _display(name: str) -> str:
    bare = _bare(name)
    return bare[:1].upper() + bare[1:]
