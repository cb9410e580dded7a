"""The fixed principles, as text for a prompt."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml


@cache
def principles() -> str:
    """The principles, one a line."""
    text = Path(__file__).with_name("principles.yaml").read_text(encoding="utf-8")
    return "\n".join(f"- {principle}" for principle in yaml.safe_load(text))
