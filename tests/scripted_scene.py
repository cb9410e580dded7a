"""A scripted player: a well-formed reply to every prompt of a scene, the same for the same request."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

import prompts
from inference.chat_model import EngineChatModel
from inference.engine import GenerationRequest
from inference.scripted import ScriptedEngine
from scene.errors import EngineError

NAMES = {
    "name": "worried tenant",
    "harmed": "retired landlord",
    "helped": "night baker",
    "bystander": "postman",
    "authority": "court clerk",
    "relative": "elder sister",
    "colleague": "shift leader",
}

Override = Callable[[GenerationRequest], str | None]


def prompt_of(request: GenerationRequest) -> str:
    """Name of the prompt file a request was made from, told by its wording between the fields."""
    said = request.messages[-1].content
    for name in prompts.names():
        wording = [part.strip() for part in re.split(r"\{\w+\}", prompts.load(name).user)]
        if any(wording) and all(part in said for part in wording):
            return name
    return "respond"


def player(**overrides: str | Override) -> ScriptedEngine:
    """An engine that plays `scene_script`, with other replies for the prompts named.

    An override is a text, or a function of the request that may return None for the usual reply.
    """

    def play(request: GenerationRequest) -> str:
        override = overrides.get(prompt_of(request))
        reply = override(request) if callable(override) else override
        return scene_script(request) if reply is None else reply

    return ScriptedEngine(play)


def model(**overrides: str | Override) -> EngineChatModel:
    """The same as a chat model."""
    return EngineChatModel(engine=player(**overrides))


class FailsOnce:
    """An override that fails the first request it is asked for, and no other."""

    def __init__(self) -> None:
        self._failed = False

    def __call__(self, request: GenerationRequest) -> None:
        if not self._failed:
            self._failed = True
            raise EngineError("gone")


def asked(engine: ScriptedEngine, *names: str) -> list[GenerationRequest]:
    """The requests that came from some prompts."""
    return [request for request in engine.requests if prompt_of(request) in names]


def user_text(requests: Iterable[GenerationRequest]) -> str:
    """All that was said to the model in some requests."""
    return "\n".join(message.content for request in requests for message in request.messages)


def scene_script(request: GenerationRequest) -> str:
    """A reply of the shape that a request asks for."""
    digits = hashlib.sha256(request.messages[-1].content.encode()).hexdigest()
    letters = "".join(chr(ord("a") + int(digit, 16)) for digit in digits)
    word = letters[:6]
    if request.choices:
        return request.choices[0]
    if request.schema is not None:
        return json.dumps(
            {key: _value(key, form, word, request) for key, form in request.schema["properties"].items()}
        )
    name = prompt_of(request)
    if name == "situation":
        return f"The asker is a tenant with a late rent. They ask because of {word}."
    if name == "role_action":
        return f"I walk over and say {letters[:12]} {letters[12:20]} {letters[20:32]} to them."
    if name in ("respond", "revise", "revise_declined", "revise_harmful"):
        return f"Talk to your landlord early, and mention {word}.\n\n1. Write.\n2. Wait."
    return f"They talk about {word}. Everybody goes home."


def _value(key: str, form: dict[str, Any], word: str, request: GenerationRequest) -> Any:
    if "enum" in form:
        return _choose(key, form["enum"])
    if "const" in form:
        return form["const"]
    if form.get("type") == "array":
        if "enum" in form["items"]:
            return form["items"]["enum"][:1]
        return [f"I take step {number} with {word}." for number in range(1, form["minItems"] + 1)]
    if key in NAMES:
        return NAMES[key]
    if key == "gives":
        return "advice"
    if key == "place":
        return "at home"
    if key[-1].isdigit() and key[:-1] in NAMES:
        return f"{NAMES[key[:-1]].split()[-1]} number {'xyz'[int(key[-1]) - 2]}"
    return f"The {key} is about {word}."


def _choose(key: str, choices: list[str]) -> str:
    """The asker and the first other notice everything; an event costs somebody; all else is the first."""
    if set(choices) == {"yes", "no"}:
        return "yes" if key in ("r0", "r1") else "no"
    return "it costs somebody dearly" if "it costs somebody dearly" in choices else choices[0]
