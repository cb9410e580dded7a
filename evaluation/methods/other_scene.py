"""MATRIX with the wrong scene: what followed in the scene of another question decides and criticises."""

from evaluation.methods.fixed_critique import second_answer
from evaluation.session import Reply, Session
from scene.turn import MAX_REFUSALS


async def other_scene(session: Session) -> Reply:
    """Answer, look as a scene does, and answer again with the consequences and critique of another scene.

    Raises:
        InputError: There is no scene of another question.
        ReplyError: A look or the second answer came to nothing.
    """
    other = session.scenes.other_than(session.question)
    return await second_answer(
        session,
        situation=other.situation,
        cast=list(other.cast),
        events=list(other.events),
        consequences=list(other.consequences),
        critique=other.critique,
        plan=list(other.plan),
        step=0 if other.outcome == "plan_blocked" else len(other.plan),
        refusals=MAX_REFUSALS,
    )
