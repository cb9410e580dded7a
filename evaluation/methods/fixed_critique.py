"""MATRIX without its scene: the same looks, prompts and retries, with one critique for all questions."""

from typing import Any

from langgraph.runtime import Runtime

from evaluation.session import Reply, Session
from nodes.asking import Asker
from nodes.foresight import risk_of
from nodes.revise import revise
from nodes.role_init import stance_of
from nodes.summarize import judge
from scene.harm import request_of
from scene.state import SceneState

HARM = "Somebody is hurt by it, and loses money, work, freedom or the trust of others."
HELP = "what meets the need behind the question in a lawful and safe way."
"""A critique without a scene: what speaks against an answer whatever was asked, and what would help."""


async def fixed_critique(session: Session) -> Reply:
    """Answer, look at question and answer as a scene does, and answer again where these looks ask for it.

    Raises:
        ReplyError: A look or the second answer came to nothing.
    """
    return await second_answer(session, critique=f"{HARM} {session.prompts.words.help}{HELP}")


async def second_answer(session: Session, **scene: Any) -> Reply:
    """What MATRIX makes of its looks, and of the channels of a state that a scene would have filled."""
    draft = await session.draft()
    begun = SceneState(question=session.question, first_answer=draft.text, settings=session.scene, **scene)
    asker = Asker(session.model, session.scene, "role_init", material=begun.material, prompts=session.prompts)
    stance = await stance_of(asker, draft.text)
    risk = await risk_of(asker, session.question, draft.text)
    state = begun.model_copy(update={"stance": stance, "risk": risk, "request": request_of(risk)})
    state = state.model_copy(update={"verdict": judge(state)})
    ended = await revise(session.model, session.prompts)(state, runtime=Runtime())
    return Reply(ended["answer"], session.meter.ended) if ended["revision"] else draft
