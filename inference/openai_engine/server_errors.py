"""What a server's refusal means: one sentence in our terms for each of its status codes."""

import re
from collections.abc import Mapping

import openai

from inference.engine import GenerationRequest
from inference.openai_engine.server import NO_KEY, Server, key_refused
from scene.errors import EngineError, InputError, ModelNotFoundError, MonopolylogueError, PromptTooLongError
from scene.text import one_line

SHOWN_CHARS = 300
"""How much of what a server says of its error is passed on."""

TOO_LONG = re.compile(
    r"context[ _](?:length|size|window)|max(?:imum[ _])?(?:model|prompt|seq)[ _]len|too many tokens"
    r"|(?:prompt|input) is too long|model token limit|max_new_tokens` must be"
    r"|exceeds? (?:the )?max(?:imum)? (?:number of )?(?:length|tokens)",
    re.IGNORECASE,
)
"""What vLLM, SGLang, llama-server, TGI, OpenAI, Gemini and others say of a prompt that does not fit."""

WORDS = (
    "message",
    "detail",
    "msg",
    "error_msg",
    "error_message",
    "status_msg",
    "base_resp",
    "error",
    "errors",
)
"""Where the words of an error stand in its body, for those who give it no place of its own too."""

_OTHER = re.compile(r"\b(?:max_tokens|seed|stop|stream_options|temperature|top_p)\b")
"""What else of a request a server may not know."""


def refusal(error: openai.APIStatusError, request: GenerationRequest, server: Server) -> MonopolylogueError:
    """The error to raise for a reply with a status of 400 or more, after every retry."""
    status, said = error.status_code, _said(error, server)
    if status in (401, 403):
        return InputError(key_refused(server))
    if status != 429 and TOO_LONG.search(f"{said} {error.body}"):
        return PromptTooLongError(None, request.max_tokens, None)
    if status in (404, 405):
        hint = "" if server.url.endswith("/v1") else " Its address usually ends in /v1."
        return ModelNotFoundError(f"The server at {server.shown} does not chat with this model: {said}{hint}")
    if status in (408, 409, 429) or status >= 500:
        return EngineError(f"The server at {server.shown} goes on failing ({status}): {said}")
    if request.shaped and not _OTHER.search(said):
        return InputError(
            f"The server at {server.shown} refuses response_format ({status}): {said} "
            "If it can't hold replies to a shape, give --no-structured."
        )
    return InputError(f"The server at {server.shown} refuses a request ({status}): {said}")


def broken_off(
    error: openai.APIError | None, request: GenerationRequest, server: Server
) -> MonopolylogueError:
    """The error for a reply that ends before its end: with a word from the server, or without."""
    said = _said(error, server) if error is not None else "No end came."
    if TOO_LONG.search(said):
        return PromptTooLongError(None, request.max_tokens, None)
    return EngineError(f"The server at {server.shown} broke a reply off: {said}")


def _said(error: openai.APIError, server: Server) -> str:
    """The server's own words as one sentence, without the key, should it repeat that."""
    words = one_line(str(_words(error.body) or error.message))
    if server.key != NO_KEY:
        words = words.replace(server.key, "…")
    return words[:SHOWN_CHARS].rstrip(". ") + "."


def _words(body: object) -> object:
    """What the body of an error says in words, however deep they are."""
    if isinstance(body, list) and len(body) == 1:
        return _words(body[0])
    if not isinstance(body, Mapping):
        return body
    said = next((_words(body[name]) for name in WORDS if body.get(name)), body)
    where = body.get("loc")  # of FastAPI: the field that is meant
    return f"{'.'.join(map(str, where))}: {said}" if isinstance(where, list) else said
