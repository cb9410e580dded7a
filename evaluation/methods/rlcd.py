"""Pairs by contrast (RLCD, Yang et al. 2023, arXiv 2307.12950): the prompts say which is better."""

import asyncio
from dataclasses import replace

from evaluation.session import Reply, Session


async def rlcd(session: Session) -> Reply:
    """The answer to a prompt for a good one, preferred to the answer to a prompt for a bad one."""
    good, bad = await asyncio.gather(session.say("contrast_good"), session.say("contrast_bad"))
    return replace(good, rejected=bad.text)
