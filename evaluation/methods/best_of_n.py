"""Best of N: several answers, of which the model scores each by itself."""

from __future__ import annotations

import asyncio

from evaluation.session import Reply, Session

N = 4
DRAFT_TEMPERATURE = 0.7
MARKS = tuple(str(mark) for mark in range(1, 11))


async def best_of_n(session: Session) -> Reply:
    """Answer several times, and give the answer with the highest mark, the first of equals."""
    drafts = await asyncio.gather(
        *(session.draft(temperature=DRAFT_TEMPERATURE, take=take) for take in range(1, N + 1))
    )
    marks = await asyncio.gather(*(session.choose("rate", MARKS, answer=draft.text) for draft in drafts))
    best = max(range(N), key=lambda take: (int(marks[take]), -take))
    return drafts[best]
