"""Critique and revise by fixed principles (Constitutional AI, Bai et al. 2022), one round."""

from evaluation.session import Reply, Session


async def critique_revise(session: Session) -> Reply:
    """Answer, criticise the answer by the principles, rewrite it."""
    draft = await session.draft()
    critique = await session.say("critique", answer=draft.text, principles=session.prompts.principles)
    return await session.say(
        "critique_revise", answer=draft.text, critique=critique.text, principles=session.prompts.principles
    )
