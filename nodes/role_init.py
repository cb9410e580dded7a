"""Imagining the life behind the question, casting who is in it, and planning what the asker does.

Role initialisation, as the paper calls it: the model that answers also imagines everybody else.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langgraph.runtime import Runtime

from nodes.asking import GIST_CHARS, Asker, Exchange, Node, asker_of
from nodes.foresight import risk_of
from nodes.prose import literal
from nodes.together import siblings, together
from prompts import OURS, PromptSet, Words
from scene.cast import check_given, places_of
from scene.errors import ReplyError
from scene.harm import request_of
from scene.nouns import PROTAGONIST, Role, Stance, role_number
from scene.refusal import opens_with_refusal
from scene.settings import SceneSettings
from scene.state import SceneState
from scene.text import shortened

DRAFTS, PLANS = 4, 3
"""Situations and plans that are written side by side. The one is kept under which the model finds the
question most likely: its first draft often has the asker wrong."""

FITTED_CHARS = 400
"""How much of the question is looked at for that."""

CAST_ROOM = 4
"""A cast may take so many times the cap of one text."""

SURELY = 0.9
"""How likely it has to be that an answer turns the asker away, where none of the usual phrases does."""

FEWEST = 2
"""People who have to be cast for a scene, unless fewer were asked for."""

STANCE_CHARS = 200
"""How much of the first answer is read to tell its stance: refusals come first."""


def role_init(model: BaseChatModel, prompt_set: PromptSet = OURS) -> Node:
    """The node that sets the scene."""

    async def run(state: SceneState, runtime: Runtime[SceneSettings]) -> dict[str, Any]:
        asker = asker_of(model, state, runtime, "role_init", prompt_set=prompt_set)
        async with siblings() as group:
            looks = group.create_task(looked_at(asker, state))
            situation = group.create_task(_situation(asker, state))
        set_up = looks.result() | {"situation": situation.result()}
        cast = await _cast(asker, state.model_copy(update=set_up))
        set_up |= {"goal": cast[0].position, "cast": cast, "budget": asker.settings.max_interactions}
        learned = asker.words.granted if set_up["stance"] == "declines" else state.first_answer
        return set_up | {"plan": await planned(asker, state.model_copy(update=set_up), learned)}

    return run


async def looked_at(asker: Asker, state: SceneState) -> dict[str, Any]:
    """What the first answer and the request are taken for, each looked at by itself."""
    async with siblings() as group:
        stance = group.create_task(stance_of(asker, state.first_answer))
        risk = group.create_task(risk_of(asker, state.question, state.first_answer))
    return {"stance": stance.result(), "request": request_of(risk.result()), "risk": risk.result()}


async def stance_of(asker: Asker, answer: str) -> Stance:
    """Whether an answer turns the asker away. The model is asked where no usual phrase says so."""
    if opens_with_refusal(answer, asker.words.refusals):
        return "declines"
    stances = asker.words.stances
    weights = await asker.weigh("stance", {"answer": answer[:STANCE_CHARS]}, tuple(stances.values()))
    return "declines" if weights[stances["declines"]] >= SURELY else "answers"


async def planned(asker: Asker, state: SceneState, answer: str) -> list[str]:
    """The steps that the asker of a scene takes with an answer: of some plans, the fittest."""
    steps = asker.settings.steps
    shape = asker.shapes.plan(steps)
    said = (_casting(asker, state, places_of(asker.words.parts, len(state.cast) - 1), state.cast),)
    values = {"answer": shortened(answer, GIST_CHARS), "steps": str(steps)}
    lead = asker.about(PROTAGONIST)
    drafts = await together(
        lead.again(number).text("plan", values, shape, history=said, room=2) for number in range(PLANS)
    )
    return (await _fittest(lead, drafts, state.question)).splitlines()


def _casting_values(state: SceneState, parts: Sequence[str]) -> dict[str, str]:
    return {"question": state.question, "situation": state.situation, "lines": ", ".join(parts)}


def _casting(asker: Asker, state: SceneState, parts: Sequence[str], cast: Sequence[Role]) -> Exchange:
    """The message that asks for people who are known, and the reply to it: the cast as it was written."""
    words = asker.words
    lines = (
        f"{part}: {role.name}{words.stop}{words.blank}{role.traits}{words.blank}{role.position}"
        for part, role in zip(parts, cast, strict=True)
    )
    values = asker.in_context(_casting_values(state, parts))
    return asker.prompts.load("cast").filled(values), "\n".join(lines)


async def _situation(asker: Asker, state: SceneState) -> str:
    """The life behind a question: of some drafts, the one that makes the question likeliest."""
    if state.situation:
        return state.situation
    question = state.question
    shape = asker.shapes.situation(next((one.name for one in state.cast if one.id == PROTAGONIST), ""))
    drafts = await together(
        asker.again(number).text("situation", {"question": question}, shape) for number in range(DRAFTS)
    )
    return await _fittest(asker, drafts, question)


async def _fittest(asker: Asker, drafts: Sequence[str], question: str) -> str:
    """Of some drafts, the one that makes the question likeliest; the first where the model can't tell."""
    begun = question[:FITTED_CHARS]
    fits = await together(asker.likelihood("asked", {"situation": draft}, begun) for draft in drafts)
    likelihoods = [-float("inf") if fit is None else fit for fit in fits]
    return drafts[likelihoods.index(max(likelihoods))]


async def _cast(asker: Asker, state: SceneState) -> list[Role]:
    """The protagonist and the affected roles. Asks again, once, where two of them are the same.

    Who is given stands in the conversation, as if the model had named them; it names the others. Around some
    questions a small model knows of no more than two or three people; they make a scene.
    """
    wanted = asker.settings.roles
    check_given(state.cast, wanted)
    parts = places_of(asker.words.parts, wanted)
    given = {role_number(role.id): role for role in state.cast}
    missing = [number for number in range(wanted + 1) if number not in given]
    known = [parts[number] for number in sorted(given)]
    history = [_casting(asker, state, known, [given[number] for number in sorted(given)])] if given else []
    asked = [parts[number] for number in missing]
    values = _casting_values(state, asked)
    best: list[Role] = []
    for attempt in range(asker.settings.retries + 1):
        lines: Sequence[str] = ()
        if missing:
            shape = asker.shapes.cast(asked)
            ask = asker.again(attempt)
            text = await ask.text("cast", values, shape, room=CAST_ROOM, history=history)
            lines = text.splitlines()
        cast = _distinct(asker, given, dict(zip(missing, lines, strict=True)))
        best = max(best, cast, key=len)
        if len(best) == wanted + 1 or (attempt and len(best) > min(wanted, FEWEST)):
            break
    if len(best) > min(wanted, FEWEST):
        return best
    raise ReplyError(
        asker.node, None, None, f"cast: only {len(best) - 1} of {wanted} different people were named"
    )


def _distinct(asker: Asker, given: Mapping[int, Role], lines: Mapping[int, str]) -> list[Role]:
    """Those who are given, and who of a cast's lines is nobody of these again; the asker comes first."""
    words, cast = asker.words, list[Role]()
    names = [role.name for role in given.values()]
    for number in sorted((*given, *lines)):
        role = given.get(number)
        if role is None:
            name, traits, position = asker.shapes.person(lines[number])
            name = _bare(name, words)
            if number and (not _casts(name, words) or any(_same(name, other, words) for other in names)):
                continue
            names.append(name)
            role = Role(id="r0", name=name, traits=traits, position=position)
        cast.append(role.model_copy(update={"id": f"r{len(cast)}"}))
    return cast


def _same(name: str, other: str, words: Words) -> bool:
    """Whether two names stand for the same person: the telling words of one are all in the other."""
    one, two = set(name.casefold().split()), set(other.casefold().split())
    one, two = one.difference(words.filler), two.difference(words.filler)
    return one <= two or two <= one


def _casts(name: str, words: Words) -> bool:
    said = set(name.casefold().split())
    return said.isdisjoint(words.either) and not said.difference(words.filler) <= set(words.nobodies)


def _bare(name: str, words: Words) -> str:
    """A name without its article, in the form of a name."""
    if words.articles:
        either = "|".join(map(literal, words.articles))
        name = re.sub(rf"^(?:{either}) (?=.)", "", name, flags=re.IGNORECASE)
    return name[:1].upper() + name[1:]
