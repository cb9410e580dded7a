"""Debate between two copies of the model (Du et al. 2023), two rounds."""

import asyncio

from evaluation.session import Reply, Session

DRAFT_TEMPERATURE = 0.7
"""Two greedy copies would have nothing to debate."""


async def debate(session: Session) -> Reply:
    """Two copies answer, each reads the other and answers anew, and the first one writes the last answer.

    It does so in view of both: nobody chooses between the two, which is the judge's to do.
    """
    one, two = await asyncio.gather(
        *(session.draft(temperature=DRAFT_TEMPERATURE, take=copy) for copy in (1, 2))
    )
    first, second = await asyncio.gather(
        session.say("debate", 1, first=one.text, second=two.text),
        session.say("debate", 2, first=two.text, second=one.text),
    )
    return await session.say("debate", first=first.text, second=second.text)
