"""The model alone: its answer to the bare question."""

from evaluation.session import Reply, Session


async def vanilla(session: Session) -> Reply:
    """Answer at once."""
    return await session.draft()
