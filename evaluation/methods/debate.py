"""Debate between two copies of the model (Du et al. 2023), one round."""

from __future__ import annotations

import asyncio

from evaluation.session import Reply, Session

DRAFT_TEMPERATURE = 0.7
"""Two greedy copies would have nothing to debate."""


async def debate(session: Session) -> Reply:
    """Two copies answer, each reads the other and answers anew; the model chooses between the two answers.

    It is asked in both orders, as the judge is, and the first answer is taken where the orders disagree.
    """
    one, two = await asyncio.gather(
        *(session.draft(temperature=DRAFT_TEMPERATURE, take=copy) for copy in (1, 2))
    )
    first, second = await asyncio.gather(
        session.say("debate", 1, first=one.text, second=two.text),
        session.say("debate", 2, first=two.text, second=one.text),
    )
    places = await session.compare(first.text, second.text)
    return second if places == ("second", "first") else first
