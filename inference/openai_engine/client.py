"""The engine's HTTP client, to which an error is an error, whatever the status that it comes with.

Gateways answer 200 before they know what becomes of a request, and tell of an error in the body, in a choice,
or in the first event of a stream. It becomes a reply of the status that it names, and is tried again as such.
"""

import codecs
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import httpx2
import openai

from inference.openai_engine.server_errors import TOO_LONG, WORDS

BROKEN_OFF = ("abort", "error")
"""What ends a reply that did not come to its end."""

CUT_OFF = ("length", "max_tokens", "max_output_tokens", "model_length")
"""What ends one at its cap, or at the end of the context window."""

WITHHELD = ("content_filter", "safety", "sensitive", "recitation", "prohibited_content", "blocklist")
"""What ends one of which a filter of the server's kept the rest."""

_NAMED = (
    (429, r"rate.?limit|too.?many|overload|throttl|quota"),
    (503, r"unavailable|timeout"),
    (401, r"auth|permission|api.?key"),
    (404, r"not.?found"),
    (400, r"invalid|bad.?request|context.?length"),
)
"""Statuses, and how servers that give no number call them."""


class Client(openai.DefaultAsyncHttpxClient):
    """An `httpx2.AsyncClient` with the defaults of the openai package."""

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send a request; see `httpx2.AsyncClient.send`."""
        response = await super().send(request, **options)
        if response.status_code != httpx2.codes.OK:
            return response
        try:
            if options.get("stream") and "text/event-stream" in response.headers.get("content-type", ""):
                return await _begun(response)
            body = _parsed(await response.aread())
        except BaseException:
            await response.aclose()
            raise
        error = _error(body)
        return response if error is None else _refusal(response, error)


class _GoneOn(httpx2.AsyncByteStream):
    """A stream of which something has been read."""

    def __init__(self, begun: bytes, rest: AsyncIterator[bytes], response: httpx2.Response) -> None:
        self._begun, self._rest, self._response = begun, rest, response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._begun
        async for chunk in self._rest:
            yield chunk

    async def aclose(self) -> None:
        await self._response.aclose()


async def _begun(response: httpx2.Response) -> httpx2.Response:
    """The same stream, or the error that is told before anything is said."""
    begun, rest = b"", response.aiter_bytes()
    async for chunk in rest:
        begun = (begun + chunk).removeprefix(codecs.BOM_UTF8)
        said, error = _opening(begun.split(b"\n")[:-1])
        if said:
            break
    else:  # it ends in the middle of a line, or is no stream of events
        _, error = _opening(begun.split(b"\n"))
        error = _error(_parsed(begun)) if error is None else error
    if error is not None:
        await response.aclose()
        return _refusal(response, error)
    headers = [(name, value) for name, value in response.headers.items() if name != "content-encoding"]
    return httpx2.Response(
        response.status_code,
        headers=headers,
        stream=_GoneOn(begun, rest, response),
        request=response.request,
        extensions=response.extensions,
    )


def _opening(lines: Sequence[bytes]) -> tuple[bool, object]:
    """Whether the lines of a stream tell anything, and the error where it is one."""
    for line in lines:
        if line.startswith(b"data:"):
            event = _parsed(line.removeprefix(b"data:"))
            if (error := _error(event)) is not None or _says_something(event):
                return True, error
    return False, None


def _parsed(data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _choices(body: Mapping[str, Any]) -> list[Any]:
    choices = body.get("choices")
    return [one for one in choices if isinstance(one, Mapping)] if isinstance(choices, list) else []


def _says_something(event: object) -> bool:
    """Whether an event has a part of the reply, or is for others to judge."""
    if not isinstance(event, Mapping):
        return True
    for choice in _choices(event):
        said = choice.get("delta") or {}
        if (
            choice.get("finish_reason")
            or not isinstance(said, Mapping)
            or any(value for name, value in said.items() if name != "role")
        ):
            return True
    return False


def _error(body: object) -> object:
    """What is said of an error, or None where none is told."""
    if isinstance(body, list) and len(body) == 1:
        (body,) = body
    if not isinstance(body, Mapping):
        return None
    choices = _choices(body)
    for part in (body, *choices):
        if error := part.get("error") or part.get("errors"):
            return part if error is True else error
    for choice in choices:
        if (reason := choice.get("finish_reason")) in BROKEN_OFF and "delta" not in choice:
            return {"message": f"The reply ended with {reason!r}."}
    told = not body.get("choices") and any(body.get(name) for name in WORDS)
    return body if told else None


def _refusal(response: httpx2.Response, error: object) -> httpx2.Response:
    """The reply that should have come."""
    told = {name: value for name, value in response.headers.items() if name.startswith(("retry-after", "x-"))}
    return httpx2.Response(_status(error), headers=told, json={"error": error}, request=response.request)


def _status(error: object) -> int:
    """The status that an error names, as a number, as five digits that begin with it, or in words."""
    found = error if isinstance(error, Mapping) else {}
    names = [str(found[name]) for name in ("code", "status", "status_code", "type") if found.get(name)]
    numbers = [int(name[:3]) for name in names if re.fullmatch(r"[45]\d\d(\d\d)?", name)]
    if numbers[:1] != [429] and TOO_LONG.search(str(error)):
        return 400
    if numbers:
        return numbers[0]
    for status, words in _NAMED:
        if re.search(words, " ".join(names), re.IGNORECASE):
            return status
    return 500
