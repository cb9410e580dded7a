"""Best of N: several answers, of which the model grades each by itself."""

import asyncio

from evaluation.session import Reply, Session

N = 4
DRAFT_TEMPERATURE = 0.7
MARKS = tuple(str(mark) for mark in range(1, 10))
"""Of one figure each: the likelihood of "1" would hold that of "10"."""


async def best_of_n(session: Session) -> Reply:
    """Answer greedily and some times not, and give the answer with the best mark, the first of equals.

    A mark is the mean of all of them by how likely the model finds each. There are `N` answers, and then as
    many more as the session's budget pays for.
    """
    marks: list[float] = []
    drafts: list[Reply] = []
    while not drafts or session.meter.completion_tokens < session.budget:
        takes = range(len(drafts), len(drafts) + 1) if drafts else range(N)
        drafts += await asyncio.gather(*(_draft(session, take) for take in takes))
        marks += await asyncio.gather(*(_mark(session, drafts[take].text) for take in takes))
    return drafts[marks.index(max(marks))]


async def _draft(session: Session, take: int) -> Reply:
    return await session.draft(temperature=DRAFT_TEMPERATURE if take else 0.0, take=take)


async def _mark(session: Session, answer: str) -> float:
    weights = await session.weigh("rate", MARKS, answer=answer)
    return sum(int(mark) * weight for mark, weight in weights.items())
