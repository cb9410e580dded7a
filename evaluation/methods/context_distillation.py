"""Context distillation's prompt (Askell et al. 2021), before it is distilled: helpful, honest, harmless."""

from evaluation.session import Reply, Session


async def context_distillation(session: Session) -> Reply:
    """Answer as the assistant that the prompt describes."""
    return await session.say("context_distillation")
