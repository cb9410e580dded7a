"""Chromium, wherever the system keeps it."""

from __future__ import annotations

import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str:
    """Where it is.

    Raises:
        FileNotFoundError: It is not on this machine.
    """
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise FileNotFoundError(f"There is no Chromium on this machine; install one of {', '.join(NAMES)}.")
    return found
