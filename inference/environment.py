"""The one place that reads `MONOPOLYLOGUE_*`: an explicit argument beats it, it beats the default."""

from __future__ import annotations

import os

PREFIX = "MONOPOLYLOGUE_"


def setting(name: str, explicit: str | None, default: str) -> str:
    """Value of a setting.

    Args:
        name: Name without the prefix, such as `CACHE`.
        explicit: What the caller was given, None when nothing was.
        default: Used when neither the caller nor the environment says anything. An empty variable says
            nothing.
    """
    if explicit is not None:
        return explicit
    return os.environ.get(PREFIX + name) or default
