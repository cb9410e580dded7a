"""The environment of a test's process, without what the developer has set for the command."""

import os

PREFIX = "MONOPOLYLOGUE_"
KEPT = PREFIX + "NO_BEGINNINGS"
"""Keeps tests from writing into the user's cache."""


def is_ours(name: str) -> bool:
    """Whether a variable is a setting that a test should not find."""
    return (name.startswith(PREFIX) and name != KEPT) or name == "OPENAI_BASE_URL"


def without_settings() -> dict[str, str]:
    """All other variables."""
    return {name: value for name, value in os.environ.items() if not is_ours(name)}
