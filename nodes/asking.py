"""Asking the model: one prompt in, one checked value out, with a bounded number of retries."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.runtime import Runtime
from langgraph.types import StreamWriter
from pydantic import BaseModel, ValidationError

import prompts
from inference.chat_model import EngineChatModel
from inference.control_tokens import parted
from nodes.prose import Prose
from scene.errors import InputError, PromptTooLongError, ReplyError
from scene.settings import SceneSettings, settings_in
from scene.state import MAX_ANSWER_CHARS, SceneState
from scene.text import before_loop, clean, ends_whole, loops, one_line, trim_to_sentence
from scene.thought import spoken
from scene.turn import Cue

Value = TypeVar("Value")
Reply = TypeVar("Reply", bound=BaseModel)
Values = Mapping[str, str]
Check = Callable[[str], str | None]
"""Says what is wrong with a text, or None when nothing is."""

RETRY_TEMPERATURE = 0.2
"""Added to the temperature with every retry: the same words would fail the same way."""

MOST_ROOM = 4
"""A reply that was cut off gets twice the room, up to so many times its cap."""

GIST_CHARS = 1200
"""How much of an answer is read to imagine what comes of it, and to compare it with another."""

CHOICE_TOKENS = 16
JSON_TOKENS = 2
"""A reply of several fields may take so many times the cap of a plain text."""

TOKEN_CHARS = 8
"""Characters that a token has at most, for models that have no cap on tokens from us."""

_UNSEEN = re.compile(r"\b(?:the|this|that) critique\b", re.IGNORECASE)
"""What a prompt for an answer calls the material that the asker doesn't see."""

_OF_ITSELF = re.compile(
    r"\b(?:as|I am|I'm|I’m) (?:just |only )?an? "
    r"(?:AI(?: language)? (?:model|assistant)|(?:large )?language model|virtual assistant|AI(?=[,.;]| I))",
    re.IGNORECASE,
)
"""How a model speaks of itself where it should speak for somebody else."""

_BRACE = re.compile(r"\{")
MOST_BRACES = 64
"""Places where a JSON object is looked for in a reply."""


class UnusableReplyError(Exception):
    """A reply can't be used; the text says why. Caught here, and asked for again."""


class LoopingReplyError(UnusableReplyError):
    """A reply goes round in circles. More room would only make it longer."""


class EchoedReplyError(UnusableReplyError):
    """A reply repeats what it was asked for, or speaks of what the asker never saw."""


class CopiedReplyError(UnusableReplyError):
    """A reply was copied from an example of its prompt."""


@dataclass(frozen=True, slots=True)
class Try:
    """One of the times a prompt is asked: its number, counted from 0, and how many examples it gave."""

    attempt: int
    examples: int


class Node(Protocol):
    """What a node's factory returns: an async function from the state to the channels it changes."""

    async def __call__(self, state: SceneState, *, runtime: Runtime[SceneSettings]) -> dict[str, Any]:
        """Play the node's part of the scene."""
        ...


def settings_of(scene: SceneState | Cue, runtime: Runtime[SceneSettings]) -> SceneSettings:
    """The scene's settings. Those that it was begun with hold, whoever goes on with it.

    Raises:
        InputError: It was begun with others than the run is given, or these can't be used.
    """
    given = settings_in(runtime.context)
    if scene.settings is None:
        return given or SceneSettings()
    context: object = runtime.context
    untouched = isinstance(context, SceneSettings) and context == type(context)()
    if given is not None and not untouched and given != scene.settings:
        raise InputError(
            f"This scene was begun with {scene.settings.differing(given)} and can't go on with "
            f"{given.differing(scene.settings)}; leave the context out, or edit `settings` in its state."
        )
    return scene.settings


@dataclass(frozen=True)
class Asker:
    """Asks one model on behalf of one node.

    Attributes:
        model: Any LangChain chat model. An `EngineChatModel` gets each call's decoding settings, and
            constrains decoding to the shape asked for if its engine can; any other decodes with its own
            settings. Whatever does not constrain decoding is told the shape in words.
        settings: The run's settings.
        node: Node that asks, for errors and records.
        turn: Turn of the scene, or None outside the turns.
        role: Id of the role the call is about, or None.
    """

    model: BaseChatModel
    settings: SceneSettings
    node: str
    turn: int | None = None
    role: str | None = None
    asked: int = 0
    """How often the same was asked before, in other words."""

    material: str = ""
    """What the scene is about, in words that may come up in a reply though its prompt does not have them."""

    report: StreamWriter | None = None
    """Told of every reply: those who stream custom events of the graph see them come."""

    def about(self, role: str) -> Asker:
        """The same asker, for calls about one role."""
        return replace(self, role=role)

    def tell(self, progress: str) -> None:
        """Tell those who stream custom events how far the scene is."""
        if self.report is not None:
            self.report({"node": self.node, "role": self.role, "turn": self.turn, "progress": progress})

    def again(self, asked: int) -> Asker:
        """The same asker, warmer, for what it has asked so many times before."""
        return replace(self, asked=asked)

    async def text(self, prompt: str, values: Values, prose: Prose, *, prefer: Check | None = None) -> str:
        """One paragraph of plain sentences, cut to its shape where decoding can't be constrained.

        A reply that the cap cut off is shortened to its last whole sentence.

        Args:
            prompt: Name of the prompt file.
            values: Its fields.
            prose: Shape of the reply.
            prefer: Says what speaks against a reply, or None. Such a reply is asked for again once, and then
                returned all the same: whoever called decides on it.

        Raises:
            ReplyError: No reply could be used.
        """

        def parse(message: AIMessage, tried: Try) -> str:
            text = one_line(prompts.unquoted(message.text))
            if not self._constrains and not (text := prose.held(text)):
                raise UnusableReplyError(f"no sentence begins with {prose.start.strip()!r}")
            if _cut_off(message) or not ends_whole(text):
                text = trim_to_sentence(text)
            self._refuse_copy(prompt, values, [_whole(text)], tried)
            if _OF_ITSELF.search(text):
                raise UnusableReplyError("the model speaks of itself")
            if (
                prefer is not None
                and tried.attempt < min(1, self.settings.retries)
                and (against := prefer(text)) is not None
            ):
                raise UnusableReplyError(against)
            return text

        cap = self.settings.text_tokens
        return await self._ask(prompt, values, cap, {"pattern": prose.pattern}, parse, prose.words)

    async def answer(self, prompt: str, values: Values, *, echo: str = "") -> str:
        """An answer to the asker: several paragraphs, lists and code allowed.

        Where it was cut off or begins to go round in circles, it ends with the last whole sentence before.
        One that repeats its prompt is asked for again; the last one ends where it begins to.

        Args:
            prompt: Name of the prompt file.
            values: Its fields.
            echo: Left out where the answer begins with it; small models like to repeat the question.

        Raises:
            ReplyError: No reply could be used.
        """

        def parse(message: AIMessage, tried: Try) -> str:
            said = message.text[:MAX_ANSWER_CHARS]
            text = clean(prompts.unquoted(said)).removeprefix(echo).strip()
            self._refuse_copy(prompt, values, [text], tried)
            told = prompts.load(prompt).before_echo(text, values)
            if tried.attempt < self.settings.retries and (told != text or _speaks_of_unseen(text, values)):
                raise EchoedReplyError("the reply repeats its prompt")
            text = told
            begun = before_loop(text)
            cut_off = _cut_off(message) or said != message.text
            return _whole(trim_to_sentence(begun) if cut_off or begun != text else text)

        return await self._ask(prompt, values, self.settings.answer_tokens, {}, parse)

    async def choice(self, prompt: str, values: Values, choices: Sequence[str]) -> str:
        """Exactly one of the choices.

        Raises:
            ReplyError: No reply was one of them.
        """

        def parse(message: AIMessage, tried: Try) -> str:
            said = one_line(message.text).strip(" .\"'").casefold()
            for choice in choices:
                if said == choice.casefold():
                    return choice
            raise UnusableReplyError(f"{said[:60]!r} is none of {', '.join(choices)}")

        shape = f"Reply with exactly one of these, and nothing else: {', '.join(choices)}."
        return await self._ask(prompt, values, CHOICE_TOKENS, {"choices": tuple(choices)}, parse, shape)

    async def reply(self, prompt: str, values: Values, schema: type[Reply]) -> Reply:
        """An instance of a Pydantic class.

        Raises:
            ReplyError: No reply followed the class's schema.
        """
        json_schema = schema.model_json_schema()

        def parse(message: AIMessage, tried: Try) -> Reply:
            try:
                reply = schema.model_validate_json(_json_part(message.text))
            except ValidationError as error:
                if loops(message.text):
                    raise LoopingReplyError("the reply repeats itself") from error
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"])) or "the reply"
                raise UnusableReplyError(f"{where}: {first['msg']}") from error
            texts = _free_texts(reply.model_dump(by_alias=True), json_schema)
            if any(loops(text) for text in texts):
                raise LoopingReplyError("the reply repeats itself")
            self._refuse_copy(prompt, values, texts, tried)
            if not self._constrains and any(len(text) > TOKEN_CHARS * cap for text in texts):
                raise UnusableReplyError("the reply is too long")
            return reply

        cap = JSON_TOKENS * self.settings.text_tokens
        shape = f"Reply with one JSON object of this schema, and nothing else:\n{json.dumps(json_schema)}"
        return await self._ask(prompt, values, cap, {"schema": json_schema}, parse, shape)

    async def _ask(
        self,
        name: str,
        values: Values,
        max_tokens: int,
        constraint: dict[str, Any],
        parse: Callable[[AIMessage, Try], Value],
        shape: str = "",
    ) -> Value:
        """Ask until the reply can be used, a bounded number of times, with fewer examples once it copies one.

        Raises:
            ReplyError: No reply could be used.
        """
        prompt = prompts.load(name)
        examples = len(prompt.examples)
        reason, room = "", 1
        for attempt in range(self.settings.retries + 1):
            messages = prompt.render(values, examples=examples)
            try:
                message = await self._invoke(messages, name, attempt, room * max_tokens, constraint, shape)
                return parse(self._capped(message, room * max_tokens), Try(attempt, examples))
            except CopiedReplyError as error:
                examples //= 2
                reason = str(error)
            except (LoopingReplyError, EchoedReplyError) as error:
                reason = str(error)
            except UnusableReplyError as error:
                room = min(2 * room, MOST_ROOM)
                reason = str(error)
        raise ReplyError(self.node, self.role, self.turn, f"{name}: {reason}")

    async def _invoke(
        self,
        messages: list[BaseMessage],
        prompt: str,
        attempt: int,
        max_tokens: int,
        constraint: dict[str, Any],
        shape: str,
    ) -> AIMessage:
        """One model call, labelled for the recorder.

        Raises:
            PromptTooLongError: The prompt and its reply do not fit the model's context window.
        """
        label = {
            "scene_node": self.node,
            "scene_role": self.role,
            "scene_turn": self.turn,
            "scene_prompt": prompt,
            "scene_attempt": self.asked + attempt,
        }
        decoding: dict[str, Any] = {}
        if isinstance(self.model, EngineChatModel):
            decoding = self._decoding(messages[-1].text, attempt, max_tokens) | {"fixed": len(messages) - 1}
        if self._constrains:
            decoding |= constraint
        elif shape:
            messages = [*messages[:-1], HumanMessage(f"{messages[-1].text}\n\n{shape}")]
        if not isinstance(self.model, EngineChatModel):  # engines see to it themselves
            messages = [said.model_copy(update={"content": parted(said.text)}) for said in messages]
        try:
            message = await self.model.ainvoke(messages, {"metadata": label}, **decoding)
        except PromptTooLongError as error:
            raise error.asked_by(self.node, self.role, self.turn) from error
        if self.report is not None:
            self.report({key.removeprefix("scene_"): value for key, value in label.items()})
        return message

    def _decoding(self, message: str, attempt: int, max_tokens: int) -> dict[str, Any]:
        """Decoding settings of one call.

        Its seed follows from the scene's and from what is asked, never from the order in which calls happen
        to run.
        """
        # The retry of one look is no other look: they would be one draw with two votes.
        tried = f"{self.asked}.{attempt}" if attempt else self.asked
        label = f"{self.settings.seed}|{self.node}|{self.role}|{self.turn}|{tried}|{message}"
        warmer = (self.asked + attempt) * RETRY_TEMPERATURE
        return {
            "max_tokens": max_tokens,
            "temperature": min(self.settings.temperature + warmer, 2.0),
            "top_p": self.settings.top_p,
            "seed": int.from_bytes(hashlib.sha256(label.encode()).digest()[:4], "big"),
        }

    @property
    def _constrains(self) -> bool:
        """Whether the model holds replies to the shape that is asked for."""
        return isinstance(self.model, EngineChatModel) and self.model.constrains

    def _capped(self, message: AIMessage, max_tokens: int) -> AIMessage:
        """What was said, without a thought before it, and no more of it than so many tokens can hold."""
        text = spoken(message.text)
        limit = TOKEN_CHARS * max_tokens
        if isinstance(self.model, EngineChatModel) or len(text) <= limit:
            return message if text == message.text else message.model_copy(update={"content": text})
        cut = {"response_metadata": message.response_metadata | {"finish_reason": "length"}}
        return message.model_copy(update={"content": text[:limit]} | cut)

    def _refuse_copy(self, prompt: str, values: Values, texts: Sequence[str], tried: Try) -> None:
        """Refuse what was copied from an example, as long as any was given."""
        own = {**values, "": self.material}
        if tried.examples and (copied := prompts.load(prompt).copied(texts, own)):
            raise CopiedReplyError(f"the reply copies an example: {copied!r}")


def asker_of(
    model: BaseChatModel,
    scene: SceneState | Cue,
    runtime: Runtime[SceneSettings],
    node: str,
    turn: int | None = None,
) -> Asker:
    """The asker of a node that runs in the graph.

    Raises:
        InputError: The scene was begun with other settings than the run is given.
    """
    settings = settings_of(scene, runtime)
    return Asker(model, settings, node, turn, material=scene.material, report=runtime.stream_writer)


def _cut_off(message: AIMessage) -> bool:
    return message.response_metadata.get("finish_reason") == "length"


def _whole(text: str) -> str:
    if not text:
        raise UnusableReplyError("the reply holds no whole sentence")
    if loops(text):
        raise LoopingReplyError("the reply repeats itself")
    return text


def _speaks_of_unseen(text: str, values: Values) -> bool:
    """Whether an answer names what its prompt alone calls so."""
    return bool(_UNSEEN.search(text)) and not any(map(_UNSEEN.search, values.values()))


def _free_texts(reply: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    """Those texts of a reply that the model worded itself: strings, and items of lists, with a pattern."""
    texts: list[str] = []
    for key, form in schema["properties"].items():
        if "pattern" in form:
            texts.append(reply[key])
        elif "pattern" in form.get("items", {}):
            texts += reply[key]
    return texts


def _json_part(text: str) -> str:
    """The first JSON object of a text; models that aren't constrained like to wrap it in a code fence."""
    for start in list(_BRACE.finditer(text))[:MOST_BRACES]:
        try:
            _, end = json.JSONDecoder().raw_decode(text, start.start())
        except (ValueError, RecursionError):  # no JSON, or nested a thousand times
            continue
        return text[start.start() : end]
    return text
