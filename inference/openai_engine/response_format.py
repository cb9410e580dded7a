"""A request's shape as an OpenAI `response_format`, and the reply taken out of that shape again.

A JSON schema is what every server understands. Choices and patterns are no JSON, so they become the one
field of an object, and the text of that field is the reply; a pattern with line breaks becomes a field for
each of its lines, since JSON spells a line break as two characters. What servers have beside it (vLLM's
`choice` and `regex`, llama-server's grammars) spells the same in as many ways and would have to be guessed.
"""

import json
import re
from typing import Any

from langchain_core.utils.function_calling import convert_to_openai_function

from inference.engine import FinishReason, GenerationRequest

FIELD = "reply"

WRAPPER_TOKENS = 16
"""Room for what stands around a field: braces, quotes, its name, blanks."""

_FIELD = re.compile(
    r'\s*[{,]\s*"(?P<name>\w+)"\s*:\s*"(?P<text>(?:[^"\\]|\\(?:u[0-9a-fA-F]{4}|[^u]))*)(?P<end>"?)', re.DOTALL
)
"""A field of an object, or as much of it as there is, with what is between it and the one before."""


def wrapper_tokens(request: GenerationRequest) -> int:
    """Room for what stands around a reply that comes in the fields of an object; 0 for any other."""
    return WRAPPER_TOKENS * len(_forms(request))


def response_format(request: GenerationRequest) -> dict[str, Any]:
    """The format of a request that asks for a shape.

    Objects are closed and all their fields required, as `strict` demands.
    """
    if forms := _forms(request):
        schema = {"title": FIELD, "type": "object", "properties": forms}
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

    A wrapped reply is whole once its last string is closed; small models like to go on with blanks.
    """
    forms, said = _forms(request), text.lstrip()
    if said and not said.startswith("{") and (forms or "properties" in (request.schema or ())):
        return None
    if not forms:
        return (text, finish_reason) if finish_reason == "length" or _is_json(text) else None
    lines: list[str] = []
    end = 0
    for name in forms:
        found = _FIELD.match(text, end)
        if not found or found["name"] != name:
            break
        lines.append(json.loads(f'"{found["text"]}"', strict=False))
        if not found["end"]:
            break
        end = found.end()
    else:
        reply = "\n".join(lines)
        return (reply, "stop") if _fits(request, reply) else None
    return ("\n".join(lines), "length") if finish_reason == "length" else None


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


def _forms(request: GenerationRequest) -> dict[str, dict[str, Any]]:
    """The fields that a reply comes in, with their schemas, in order; none where it is an object itself."""
    if request.choices:
        return {FIELD: {"type": "string", "enum": list(dict.fromkeys(request.choices))}}
    if request.pattern is None:
        return {}
    lines = _whole(request.pattern).split("\n")
    names = [FIELD] if len(lines) == 1 else [f"line{number}" for number in range(1, len(lines) + 1)]
    return {
        name: {"type": "string", "pattern": f"^(?:{line})$"} for name, line in zip(names, lines, strict=True)
    }


def _whole(pattern: str) -> str:
    """The pattern without anchors at its ends: each line gets its own, since a part would satisfy it."""
    inner = pattern.removeprefix("^")
    return inner if inner.endswith("\\$") else inner.removesuffix("$")
