"""Shapes as regular expressions, for engines whose grammar compiler takes those."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from outlines_core.json_schema import build_regex_from_schema

SPACE = "[ ]?"
"""White space between JSON tokens: at most one blank. Allowed any, small models fill lines with it."""


def schema_pattern(schema: Mapping[str, Any]) -> str:
    """A regular expression for the JSON texts that follow a schema, keys in the schema's order."""
    return _pattern(json.dumps(schema))


def literal(text: str) -> str:
    """A regular expression for exactly this text, escaping no more than must be."""
    return re.sub(r"([\\^$.|?*+()\[\]{}])", r"\\\1", text)


@lru_cache(maxsize=1024)
def _pattern(schema: str) -> str:
    pattern: str = build_regex_from_schema(schema, SPACE)
    return pattern
