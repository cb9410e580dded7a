"""Prompt files, one per model call, and the sets of them that are filled strictly."""

from prompts.loader import CONVERSATION, Prompt
from prompts.prompt_set import OURS, PromptSet
from prompts.words import Words

__all__ = [
    "CONVERSATION", "OURS", "Prompt", "PromptSet", "Words", "digest", "load", "names", "quote", "unquoted",
]  # fmt: skip

load, names, digest = OURS.load, OURS.names, OURS.digest
quote, unquoted = OURS.tags.quote, OURS.tags.unquoted
