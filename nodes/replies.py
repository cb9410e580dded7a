"""What makes a reply unusable, whatever was asked."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import regex
from langchain_core.messages import AIMessage

from scene.text import loops
from scene.thought import Said, heard


class UnusableReplyError(Exception):
    """A reply can't be used; the text says why. Caught by who asks, and asked for again."""


class LoopingReplyError(UnusableReplyError):
    """A reply goes round in circles. More room would only make it longer."""


class EchoedReplyError(UnusableReplyError):
    """A reply repeats what it was asked for, or speaks of what the asker never saw."""


class CopiedReplyError(UnusableReplyError):
    """A reply was copied from an example of its prompt."""


def said_in(message: AIMessage) -> Said:
    """What a message says, and what was thought before: in LangChain's own place for that, or in its text."""
    said = heard(message.text)
    blocks = [block.get("reasoning") for block in message.content_blocks if block["type"] == "reasoning"]
    return replace(said, thought="\n\n".join(filter(None, blocks)) or said.thought)


def is_cut_off(message: AIMessage) -> bool:
    """Whether a cap ended a reply."""
    return message.response_metadata.get("finish_reason") == "length"


def whole(text: str) -> str:
    """The text, if there is any and it gets on.

    Raises:
        UnusableReplyError: It is empty, or goes round in circles.
    """
    if not text:
        raise UnusableReplyError("the reply holds no whole sentence")
    if loops(text):
        raise LoopingReplyError("the reply repeats itself")
    return text


def fits(text: str, patterns: Iterable[str]) -> bool:
    """Whether any of some regular expressions is found in a text, without regard to capitals."""
    return any(regex.search(pattern, text, regex.IGNORECASE) for pattern in patterns)


def speaks_of_unseen(text: str, seen: Iterable[str], patterns: Sequence[str]) -> bool:
    """Whether an answer names what its prompt alone calls so, and nothing that the asker has seen."""
    return fits(text, patterns) and not any(fits(one, patterns) for one in seen)
