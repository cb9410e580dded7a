"""Self-align (Sun et al. 2023): the principles stand in the prompt."""

from evaluation.session import Reply, Session


async def self_align(session: Session) -> Reply:
    """Answer with the principles in view."""
    return await session.say("self_align", principles=session.prompts.principles)
