"""Pairs by a model's own preference (RLAIF, Lee et al. 2023, arXiv 2309.00267)."""

import asyncio
from dataclasses import replace

from evaluation.session import COMPARED_CHARS, Reply, Session
from scene.text import shortened

DRAFT_TEMPERATURE = 0.7
PLACES = ("1", "2")


async def rlaif(session: Session) -> Reply:
    """Two answers to the bare question, the likelier one to be the better preferred to the other.

    That is read off how likely the model finds "1" and "2", in both orders, and averaged.
    """
    one, two = await asyncio.gather(
        *(session.draft(temperature=DRAFT_TEMPERATURE, take=take) for take in (1, 2))
    )
    shown = [shortened(draft.text, COMPARED_CHARS) for draft in (one, two)]
    orders = (shown, shown[::-1])
    given, turned = await asyncio.gather(
        *(session.weigh("rlaif", PLACES, first=first, second=second) for first, second in orders)
    )
    if given["1"] + turned["2"] >= given["2"] + turned["1"]:
        return replace(one, rejected=two.text)
    return replace(two, rejected=one.text)
