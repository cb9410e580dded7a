"""A request's shape as an OpenAI `response_format`, and the reply taken out of that shape again.

A JSON schema is what every server understands. Choices and patterns are no JSON, so they become the one
field of an object, and the text of that field is the reply. What servers have beside it (vLLM's `choice` and
`regex`, llama-server's grammars) spells the same in as many ways and would have to be guessed.
"""

from __future__ import annotations

import json
import re
from typing import Any

from langchain_core.utils.function_calling import convert_to_openai_function

from inference.engine import FinishReason, GenerationRequest

FIELD = "reply"

WRAPPER_TOKENS = 16
"""Room for what stands around the one field: braces, quotes, its name, blanks."""

_WRAPPED = re.compile(
    rf'\s*\{{\s*"{FIELD}"\s*:\s*"(?P<reply>(?:[^"\\]|\\(?:u[0-9a-fA-F]{{4}}|[^u]))*)(?P<end>"?)', re.DOTALL
)
"""The beginning of an object up to the end of its one field, or as far as that goes."""


def is_wrapped(request: GenerationRequest) -> bool:
    """Whether the reply comes as the one field of an object."""
    return bool(request.choices) or request.pattern is not None


def response_format(request: GenerationRequest) -> dict[str, Any]:
    """The format of a request that asks for a shape.

    Objects are closed and all their fields required, as `strict` demands.
    """
    if request.choices:
        schema = _wrapper({"type": "string", "enum": list(dict.fromkeys(request.choices))})
    elif request.pattern is not None:
        schema = _wrapper({"type": "string", "pattern": _anchored(request.pattern)})
    else:
        schema = {"properties": {}, **(request.schema or {}), "title": FIELD}
    function = convert_to_openai_function(schema, strict=True)
    return {
        "type": "json_schema",
        "json_schema": {"name": FIELD, "strict": True, "schema": function["parameters"]},
    }


def unwrapped(
    request: GenerationRequest, text: str, finish_reason: FinishReason
) -> tuple[str, FinishReason] | None:
    """The reply itself, and whether it is whole; None when what came is not of the shape that was asked for.

    A wrapped reply is whole once its string is closed; small models like to go on with blanks.
    """
    if text.strip() and not text.lstrip().startswith("{") and (is_wrapped(request) or _is_object(request)):
        return None
    if not is_wrapped(request):
        return (text, finish_reason) if finish_reason == "length" or _is_json(text) else None
    found = _WRAPPED.match(text)
    reply = json.loads(f'"{found["reply"]}"', strict=False) if found else ""
    if found and found["end"]:
        return (reply, "stop") if _fits(request, reply) else None
    return (reply, "length") if finish_reason == "length" else None


def _is_object(request: GenerationRequest) -> bool:
    return request.schema is not None and "properties" in request.schema


def _is_json(text: str) -> bool:
    try:
        json.loads(text, strict=False)
    except ValueError:
        return False
    return True


def _fits(request: GenerationRequest, reply: str) -> bool:
    """Whether a server that took the request also kept to it; some overlook patterns."""
    if request.pattern is not None:
        return re.fullmatch(request.pattern, reply) is not None
    return reply in request.choices


def _wrapper(form: dict[str, Any]) -> dict[str, Any]:
    return {"title": FIELD, "type": "object", "properties": {FIELD: form}}


def _anchored(pattern: str) -> str:
    """The pattern for a whole string: JSON schema's would be satisfied by a part, llama-server refuses it."""
    inner = pattern.removeprefix("^")
    if not inner.endswith("\\$"):
        inner = inner.removesuffix("$")
    return f"^(?:{inner})$"
