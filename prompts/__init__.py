"""Prompt files, one per model call, and the loader that fills them strictly."""

from prompts.loader import CONVERSATION, Prompt, digest, load, names, quote, unquoted

__all__ = ["CONVERSATION", "Prompt", "digest", "load", "names", "quote", "unquoted"]
