"""What OpenAI's protocol says of a chat completion: reading a request, and wording answers and errors."""

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scene.conversation import Conversation, read_messages
from scene.errors import InputError
from scene.record import NodeCost
from scene.settings import MAX_ANSWER_TOKENS, SHOWN_CHARS, SceneSettings
from scene.state import check_question

MAX_BODY_BYTES = 4_000_000
"""Longest body of a request that is read: one with a picture is still told that pictures are not seen."""

MAX_STOPS = 4
"""Stop sequences of a request, as with OpenAI."""

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
"""Who may speak in a conversation, with what each is here."""

REASONING = ("reasoning_content", "reasoning")
"""Where clients send back what they were told while a scene ran; it is no reply, so it is dropped."""

UNHEARD = ("tool_calls", "function_call", "audio", "images")
"""Fields of a message that say more than its text."""

NEUTRAL: dict[str, tuple[object, ...]] = {
    **dict.fromkeys(("tools", "functions", "audio", "logit_bias", "web_search_options"), ()),
    **dict.fromkeys(("structured_outputs", "guided_json", "guided_choice", "guided_regex"), ()),
    **dict.fromkeys(("tool_choice", "function_call"), ("none", "auto")),
    **dict.fromkeys(("logprobs", "echo", "continue_final_message", "ignore_eos"), (False,)),
    **dict.fromkeys(("top_logprobs", "presence_penalty", "frequency_penalty", "min_p", "min_tokens"), (0,)),
    **dict.fromkeys(("n", "best_of", "repetition_penalty"), (1,)),
    "top_k": (0, -1),
    "modalities": (["text"],),
    "response_format": ({"type": "text"},),
}
"""Fields that would change what an answer is, with the values at which they don't; others are passed over."""

SETTINGS = (
    ("answer_tokens", ("max_completion_tokens", "max_tokens")),
    ("temperature", ("temperature",)),
    ("top_p", ("top_p",)),
    ("seed", ("seed",)),
)
"""Settings of a scene that a request may choose, and the fields that do, the first that is given."""


class RefusalError(Exception):
    """A request is not answered; holds what the protocol says instead, and the field that it is about."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status, self.param, self._code = status, param, code
        self.headers = dict(headers or {})
        super().__init__(message)

    @property
    def body(self) -> dict[str, Any]:
        """The error as clients read it."""
        of = {429: "rate_limit_error"}.get(
            self.status, "invalid_request_error" if self.status < 500 else "server_error"
        )
        return {"error": {"message": str(self), "type": of, "param": self.param, "code": self._code}}


class _StreamOptions(BaseModel):
    """What a client wants to be told in a stream."""

    include_usage: bool | None = None


class _Body(BaseModel):
    """The fields that are heard. Whatever else there is, is looked up in `NEUTRAL`."""

    model_config = ConfigDict(extra="allow", strict=True)

    model: str
    messages: list[dict[str, Any]] = Field(min_length=1)
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    stop: Any = None
    include_reasoning: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that can be answered, made at a time in seconds; the answer ends before the first stop.

    A stream may be told what it took, and any client the scene as what was thought before the answer.
    """

    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))
    model: str
    conversation: Conversation
    settings: SceneSettings
    stop: tuple[str, ...] = ()
    stream: bool = False
    told_usage: bool = False
    told_scene: bool = False

    @classmethod
    def read(cls, body: bytes, model: str, settings: SceneSettings) -> Self:
        """Read the body of a request; the settings hold where it doesn't say.

        Raises:
            RefusalError: It asks for something else.
        """
        try:
            asked = _Body.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            if first["type"] == "json_invalid":
                raise RefusalError(400, f"The body of the request is not JSON: {first['msg']}.") from None
            param = _place(first["loc"])
            raise RefusalError(400, f"{param or 'The body'}: {first['msg']}.", param=param) from None
        if asked.model != model:
            raise RefusalError(
                404,
                f"There is no model {asked.model[:SHOWN_CHARS]!r} here; the one there is is {model!r}.",
                param="model",
                code="model_not_found",
            )
        for name, value in (asked.model_extra or {}).items():
            neutral = NEUTRAL.get(name)
            if neutral is not None and value not in (None, [], {}, *neutral):
                raise RefusalError(
                    400,
                    f"{name} is not supported here; leave it out.",
                    param=name,
                    code="unsupported_parameter",
                )
        return cls(
            model=model,
            conversation=_conversation(asked.messages),
            settings=_settings(asked, settings),
            stop=_stops(asked.stop),
            stream=bool(asked.stream),
            told_usage=bool(asked.stream_options and asked.stream_options.include_usage),
            told_scene=bool(asked.include_reasoning),
        )


def _settings(asked: _Body, settings: SceneSettings) -> SceneSettings:
    """The settings with those that a request chooses."""
    for name, fields in SETTINGS:
        param, value = next(
            ((one, got) for one in fields if (got := getattr(asked, one)) is not None), ("", None)
        )
        if value is None:
            continue
        if name == "answer_tokens":  # a client that gives any room that a model might need is right too
            value = min(value, MAX_ANSWER_TOKENS)
        try:
            settings = replace(settings, **{name: value})
        except InputError as error:
            raise RefusalError(400, str(error).replace(name, param), param=param) from None
    return settings


def _stops(stop: object) -> tuple[str, ...]:
    stops = [stop] if isinstance(stop, str) else [] if stop is None else stop
    if (
        not isinstance(stops, list)
        or len(stops) > MAX_STOPS
        or not all(isinstance(s, str) and s for s in stops)
    ):
        raise RefusalError(400, f"stop takes up to {MAX_STOPS} texts with something in them.", param="stop")
    return tuple(stops)


def _conversation(messages: Sequence[Mapping[str, Any]]) -> Conversation:
    """What is asked, and what was said before."""
    turns = [_turn(message, f"messages[{place}]") for place, message in enumerate(messages)]
    last = f"messages[{len(turns) - 1}]"
    if turns[-1][0] != "user":
        raise RefusalError(400, "The last message must be from the user.", param=f"{last}.role")
    param = f"{last}.content"
    try:
        check_question(turns[-1][1])
        param = "messages"
        return read_messages({"role": role, "content": text} for role, text in turns)
    except InputError as error:
        raise RefusalError(400, str(error), param=param) from None


def _turn(message: Mapping[str, Any], place: str) -> tuple[str, str]:
    """Who says what in a message; fields that say nothing are there in many."""
    role = message.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise RefusalError(
            400,
            f"{place}.role must be {', '.join(ROLES)}, not {repr(role)[:SHOWN_CHARS]}.",
            param=f"{place}.role",
        )
    for name in (*UNHEARD, *(() if role == "assistant" else REASONING)):
        if message.get(name):
            raise RefusalError(
                400, f"A message can hold text alone here, and {place} has {name}.", param=f"{place}.{name}"
            )
    content = message.get("content")
    if role == "assistant" and content is None:
        content = message.get("refusal")
    return ROLES[role], _text(content, f"{place}.content")


def _text(content: object, place: str) -> str:
    """The text of a message, which may come in parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not content:
        raise RefusalError(400, f"{place} must be text, or parts of text.", param=place)
    texts = []
    for number, part in enumerate(content):
        of = part.get("type") if isinstance(part, dict) else None
        text = part.get("text") if of == "text" else None
        if not isinstance(text, str):
            param = f"{place}[{number}]" + (".type" if of != "text" else ".text")
            raise RefusalError(400, f"{param} must be text: nothing else is seen or heard here.", param=param)
        texts.append(text)
    return "\n".join(texts)


def _place(path: Sequence[int | str]) -> str | None:
    """A field's name as OpenAI writes it."""
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return place.removeprefix(".") or None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is answered; it is cut off where it reached its cap, and `scene` is told only where asked for."""

    text: str
    cut_off: bool
    cost: NodeCost
    record_id: str | None = None
    scene: str = ""

    @property
    def finish_reason(self) -> str:
        """Why it ended."""
        return "length" if self.cut_off else "stop"

    @property
    def usage(self) -> dict[str, Any]:
        """What it took, as the protocol counts."""
        read, written = self.cost.prompt_tokens, self.cost.completion_tokens
        return {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
            "prompt_tokens_details": {"cached_tokens": self.cost.cached_tokens},
        }


def ended_at(text: str, stop: Sequence[str]) -> str:
    """A text up to the first of some others."""
    return text[: min((at for one in stop if (at := text.find(one)) >= 0), default=None)]


def completion(asked: Asked, answer: Answer) -> dict[str, Any]:
    """The whole answer at once."""
    message = {"role": "assistant", "content": answer.text, "refusal": None}
    if answer.scene:
        message["reasoning_content"] = answer.scene
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish_reason}
    return {**_head(asked, "chat.completion"), "choices": [choice], "usage": answer.usage}


def chunk(asked: Asked, delta: Mapping[str, str], finish_reason: str | None = None) -> str:
    """An event of a stream with some more of the answer."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    usage = {"usage": None} if asked.told_usage else {}
    return event({**_head(asked, "chat.completion.chunk"), "choices": [choice], **usage})


def usage_chunk(asked: Asked, answer: Answer) -> str:
    """The event that says what an answer took; it holds none of it."""
    return event({**_head(asked, "chat.completion.chunk"), "choices": [], "usage": answer.usage})


def event(body: object) -> str:
    """An event of a stream, in ASCII: some clients end a line at characters that JSON leaves as they are."""
    return f"data: {json.dumps(body)}\n\n"


DONE = "data: [DONE]\n\n"
"""The end of every stream."""

KEEP_ALIVE = ": keep-alive\n\n"
"""What says nothing, so that nobody between client and server takes the connection for dead."""


def _head(asked: Asked, of: str) -> dict[str, Any]:
    return {"id": asked.id, "object": of, "created": asked.created, "model": asked.model}
