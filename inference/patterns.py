"""Shapes as regular expressions, for engines whose grammar compiler takes those."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from outlines_core.json_schema import build_regex_from_schema

from scene.errors import InputError

SPACE = "[ ]?"
"""White space between JSON tokens: at most one blank. Allowed any, small models fill lines with it."""


_WHERE_IN_XGRAMMAR = re.compile(r"^\[[^]]*\] \S+: ")
"""Time and source line, with which xgrammar begins its messages."""


def schema_pattern(schema: Mapping[str, Any]) -> str:
    """A regular expression for the JSON texts that follow a schema, keys in the schema's order.

    Raises:
        InputError: The schema is wrong, or uses something that can't be written as one.
    """
    try:
        return _pattern(json.dumps(schema, default=dict))
    except (TypeError, ValueError) as error:
        raise unenforceable(str(error)) from error


def literal(text: str) -> str:
    """A regular expression for exactly this text, escaping no more than must be."""
    return re.sub(r"([\\^$.|?*+()\[\]{}])", r"\\\1", text)


def unenforceable(reason: str) -> InputError:
    """The error for a schema, pattern or list of choices that a grammar compiler refuses.

    Args:
        reason: What the compiler says; of several lines the first is kept, without time and source line.
    """
    said = _WHERE_IN_XGRAMMAR.sub("", next(iter(reason.strip().splitlines()), "")).strip().rstrip(".")
    return InputError(f"The reply's shape can't be enforced: {said}.")


@lru_cache(maxsize=1024)
def _pattern(schema: str) -> str:
    pattern: str = build_regex_from_schema(schema, SPACE)
    return pattern
