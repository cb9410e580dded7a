"""How a model judges requests before it plays their scenes, counted by what their sets say of them."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import prompts
from inference.chat_model import EngineChatModel
from inference.engine import Engine
from nodes.asking import Asker
from nodes.foresight import risk_of
from nodes.role_init import stance_of
from scene.errors import ReplyError
from scene.harm import request_of
from scene.nouns import Kind, Request, Stance
from scene.settings import SceneSettings
from scene.tables.questions import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What a model made of one question.

    Attributes:
        risk: How likely it finds that what is asked would hurt somebody.
    """

    question: str
    kind: Kind | None
    stance: Stance
    request: Request
    risk: float


async def look_at(engine: Engine, questions: Sequence[Question], settings: SceneSettings) -> list[Looked]:
    """Judge every request as its scene would, and the opening of a greedy answer to it.

    In the order of the questions; those without a usable reply are left out.
    """
    asker = Asker(EngineChatModel(engine=engine), settings, "role_init")

    async def one(question: Question) -> Looked | None:
        try:
            opening = await _opening(asker, question.text)
            stance = await stance_of(asker, opening)
            risk = await risk_of(asker, question.text, opening)
        except ReplyError:
            return None
        return Looked(
            question=question.text,
            kind=question.kind,
            stance=stance,
            request=request_of(risk),
            risk=risk,
        )

    found = await asyncio.gather(*map(one, questions))
    return [looked for looked in found if looked is not None]


def counted(looked: Iterable[Looked]) -> dict[tuple[str, Stance], Counter[Request]]:
    """By kind and stance, how many requests are what; in the order of their names."""
    counts: dict[tuple[str, Stance], Counter[Request]] = {}
    for one in looked:
        counts.setdefault((one.kind or "of no known kind", one.stance), Counter())[one.request] += 1
    return dict(sorted(counts.items()))


async def _opening(asker: Asker, question: str) -> str:
    """The beginning of an answer, which need not come to an end."""
    message = await asker.model.ainvoke(
        prompts.load("respond").render({"message": question}),
        max_tokens=asker.settings.answer_tokens,
        temperature=0.0,
        seed=asker.settings.seed,
    )
    return message.text
