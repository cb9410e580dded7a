"""What a model says, apart from what it thought before."""

from __future__ import annotations

import re

_START = re.compile(r"<(?:think|thinking|thought|reasoning)>|\[THINK\]", re.IGNORECASE)
_END = re.compile(r"</(?:think|thinking|thought|reasoning)>|\[/THINK\]", re.IGNORECASE)


def spoken(text: str) -> str:
    """What comes after a thought; all of a text that begins with none; empty where the thought never ends.

    A thought may lack its start mark, which some chat templates write themselves.
    """
    at = _past_space(text, 0)
    while _START.match(text, at):
        end = _END.search(text, at)
        if end is None:
            return ""
        at = _past_space(text, end.end())
    end = _END.search(text, at)
    if end is not None and not _START.search(text, at, end.start()):
        at = _past_space(text, end.end())
    return text[at:] if at > _past_space(text, 0) else text


def _past_space(text: str, at: int) -> int:
    return len(text) - len(text[at:].lstrip())
