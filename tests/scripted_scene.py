"""A scripted player: a well-formed reply to every prompt of a scene, the same for the same request."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache

from inference.chat_model import EngineChatModel
from inference.engine import GenerationRequest
from inference.scripted import Likelihoods, ScriptedEngine
from prompts import OURS, PromptSet
from prompts.loader import CONVERSATION, TAGS
from scene.errors import EngineError

NAMES = (
    "Worried tenant",
    "Retired landlord",
    "Night baker",
    "Postman",
    "Court clerk",
    "Elder sister",
    "Shift leader",
    "Tall plumber",
    "Choir singer",
)
"""Who is cast, in this order, the asker first."""

REST = "respond"
"""Name of the prompt that any message fits."""

CHOSEN = {
    "safe": "yes",
    "refusal": OURS.words.helps,
    "effect": "it costs somebody dearly",
    "stance": "helps",
    "compare": "the first",
}
"""What is chosen of what the prompts of a scene give to choose from."""

LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")

Override = Callable[[GenerationRequest], str | None]


def prompt_of(request: GenerationRequest, prompt_set: PromptSet = OURS) -> str:
    """Name of the prompt file a request was made from, told by its system message and its last one."""
    first, last = request.messages[0], request.messages[-1].content
    system = first.content if first.role == "system" else ""
    if request.choices == (prompt_set.words.helps, prompt_set.words.declines):
        return "refusal"
    for name in prompt_set.names():
        if (
            name not in (REST, "refusal")
            and prompt_set.load(name).system == system
            and _wording(name, prompt_set).match(last)
        ):
            return name
    return REST


@cache
def _wording(name: str, prompt_set: PromptSet) -> re.Pattern[str]:
    """What a prompt's last message looks like, whatever its fields hold."""
    parts = re.split(r"\{(\w+)\}", prompt_set.load(name).user)
    for place, part in enumerate(parts):
        name = prompt_set.tags.names.get(part, part)
        quoted = rf"<{name}>\n.*\n</{name}>" if part in TAGS else ".*"
        if part == "question":  # what was said before it may be quoted too
            before = prompt_set.tags.names.get(CONVERSATION, CONVERSATION)
            quoted = rf"(?:<{before}>\n.*\n</{before}>\n\n)?{quoted}"
        parts[place] = quoted if place % 2 else re.escape(part)
    return re.compile("".join(parts), re.DOTALL)


def player(likelihoods: Likelihoods | None = None, /, **overrides: str | Override) -> ScriptedEngine:
    """An engine that plays `scene_script`, with other replies for the prompts named.

    An override is a text, or a function of the request that may return None for the usual reply. Where its
    first word alone is to be chosen, as of a ruling, that is said.
    """

    def play(request: GenerationRequest) -> str:
        override = overrides.get(prompt_of(request))
        reply = override(request) if callable(override) else override
        if reply is None:
            return scene_script(request)
        return next((choice for choice in request.choices if reply.startswith(f"{choice}, ")), reply)

    return ScriptedEngine(play, likelihoods=likelihoods)


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


def rulings(engine: ScriptedEngine) -> list[GenerationRequest]:
    """The requests for whole rulings, not those that weighed them before."""
    return [request for request in asked(engine, "routing") if not request.choices]


def user_text(requests: Iterable[GenerationRequest]) -> str:
    """All that was said to the model in some requests."""
    return "\n".join(message.content for request in requests for message in request.messages)


def scene_script(request: GenerationRequest) -> str:
    """The usual reply to a request of a scene. The asker and the first other notice everything."""
    name, last = prompt_of(request), request.messages[-1].content
    said = "\n".join(message.content for message in request.messages)
    digits = hashlib.sha256(said.encode()).hexdigest()
    letters = digits.translate(LETTERS)
    word = letters[:6]
    if name in CHOSEN:
        return CHOSEN[name]
    if request.choices:
        return request.choices[0]
    answer = f"Talk to your landlord early, and mention {word}.\n\n1. Write.\n2. Wait."
    act = f"I walk over and say {letters[:12]} {letters[12:20]} {letters[20:32]} to them."
    replies = {
        "situation": f"The asker is a tenant with a late rent. They ask because of {word}.",
        "cast": "\n".join(_people(last.rpartition("\n")[2].split(", "), letters)),
        "plan": "\n".join(_steps(last, word)),
        "role_action": act,
        "role_again": act,
        "routing": "yes, at home: r0, r1",
        "consequence": f"r0, r1 (time): The tenant loses a day over {word}.",
        "critique": f"What helps the asker and hurts nobody is a later {word}.",
    }
    answers = dict.fromkeys(("respond", "revise", "revise_declined", "revise_harmful"), answer)
    return (replies | answers).get(name, f"They talk about {word}. Everybody goes home.")


def all_notice(request: GenerationRequest) -> str:
    """A ruling by which everybody in the cast notices."""
    people = re.findall(r"\b(r\d) [A-Z]", request.messages[-1].content.partition("People: ")[2])
    return f"yes, at home: {', '.join(dict.fromkeys(people))}"


def all_befallen(request: GenerationRequest) -> str:
    """A consequence that falls on the first three of the cast."""
    word = hashlib.sha256(user_text([request]).encode()).hexdigest().translate(LETTERS)[:9]
    return f"r1, r2, r3 (time): They lose a day over {word}."


def _people(slots: list[str], letters: str) -> Iterator[str]:
    for number, (slot, name) in enumerate(zip(slots, NAMES, strict=False)):
        word = letters[5 * number :][:5]
        yield f"{slot}: {name}. They care about {word} a lot. They want {word} to last."


def _steps(asked_for: str, word: str) -> Iterator[str]:
    *_, number = "0", *re.findall(r"(\d+) steps\.", asked_for)
    for step in range(1, 1 + int(number)):
        yield f"I take step {step} with {word}."
