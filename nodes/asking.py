"""Asking the model: one prompt in, one checked value out, with a bounded number of retries."""

import hashlib
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Self, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, convert_to_messages
from langgraph.runtime import Runtime
from langgraph.types import StreamWriter

from inference.chat_model import EngineChatModel
from inference.control_tokens import parted
from nodes.prose import Shape
from nodes.replies import (
    CopiedReplyError,
    EchoedReplyError,
    LoopingReplyError,
    UnusableReplyError,
    fits,
    is_cut_off,
    said_in,
    speaks_of_unseen,
    whole,
)
from nodes.shapes import Shapes
from prompts import CONVERSATION, OURS, PromptSet, Words
from scene.conversation import InContext, said_before, script
from scene.errors import InputError, PromptTooLongError, ReplyError
from scene.origin import SHOWN_DIGITS
from scene.settings import SceneSettings, settings_in
from scene.state import MAX_ANSWER_CHARS, SceneState
from scene.text import before_loop, clean, one_line, trim_to_sentence
from scene.turn import Cue

Value = TypeVar("Value")
Values = Mapping[str, str]
Exchange = tuple[str, str]
"""A message that was sent before in the same conversation, and the reply to it."""

Parse = Callable[[AIMessage, int, bool], Value]
"""Reads a reply, given which attempt it is, counted from 0, and whether the examples were shown."""

Check = Callable[[str], str | None]
"""Says what is wrong with a text, or None when nothing is."""

Node = Callable[..., Awaitable[dict[str, Any]]]
"""What a node's factory returns: an async function from the state, or a cue, to the channels it changes."""

RETRY_TEMPERATURE = 0.2
"""Added to the temperature with every retry: the same words would fail the same way."""

MOST_COPIES = 2
"""Replies that may be copied from an example before none is given any more."""

MOST_ROOM = 4
"""A reply that was cut off gets twice the room, up to so many times its cap."""

GIST_CHARS = 2400
"""How much of an answer is read to imagine what comes of it, and to compare it with another: all of it where
it was given under the default cap."""

CHOICE_TOKENS = 16

MARKS = '"“”„‟«»‹›‘’‚「」『』'  # noqa: RUF001
"""Quotation marks, which a model may put around its choice."""

TOKEN_CHARS = 8
"""Characters that a token has at most, for models that have no cap on tokens from us."""

_FORM = ("answer", "question", "consequences")
"""Tags at whose end an answer ends that goes on with its prompt's form, unless the asker brought them up."""


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
        turn: Turn of the scene, or None outside the turns.
        role: Id of the role the call is about, or None.
        asked: How often the same was asked before, in other words.
        material: What the scene is about, in words that may come up in a reply though its prompt does not
            have them.
        context: What has the turns and the system prompt that the question came with. A prompt that shows the
            question shows them quoted before it; one that is nothing but the question comes after them, in
            the same chat.
        report: Told of every reply: those who stream custom events of the graph see them come.
    """

    model: BaseChatModel
    settings: SceneSettings
    node: str
    turn: int | None = None
    role: str | None = None
    prompts: PromptSet = OURS
    asked: int = 0
    material: str = ""
    context: InContext | None = None
    report: StreamWriter | None = None

    @property
    def words(self) -> Words:
        """What is said in prompts by the code."""
        return self.prompts.words

    @property
    def shapes(self) -> Shapes:
        """The shapes of replies."""
        return Shapes(self.words)

    def about(self, role: str) -> Self:
        """The same asker, for calls about one role."""
        return replace(self, role=role)

    def tell(self, progress: str) -> None:
        """Tell those who stream custom events how far the scene is."""
        if self.report is not None:
            self.report({"node": self.node, "role": self.role, "turn": self.turn, "progress": progress})

    def again(self, asked: int) -> Self:
        """The same asker, warmer, for what it has asked so many times before."""
        return replace(self, asked=asked)

    def in_context(self, values: Values, most: int | None = GIST_CHARS) -> Values:
        """The values of a prompt, with so many characters of what was said before a question among them."""
        if self.context is None or "question" not in values:
            return values
        said = script(self.context, most, self.words.speakers.model_dump())
        return {CONVERSATION: said, **values} if said else values

    async def text(
        self,
        prompt: str,
        values: Values,
        shape: Shape,
        *,
        history: Sequence[Exchange] = (),
        avoid: Sequence[str] = (),
        own_words: bool = True,
        room: int = 1,
        prefer: Check | None = None,
    ) -> str:
        """A short text of some shape, cut to it where decoding can't be constrained.

        The words of what is to `avoid` should not come again, nor those of the examples unless `own_words`
        says otherwise. It may take `room` times the cap. A reply against which `prefer` has something to say
        is asked for again once, and then returned all the same: whoever called decides on it.

        Raises:
            ReplyError: No reply could be used.
        """

        def parse(message: AIMessage, attempt: int, examples: bool) -> str:
            text = whole(shape.read(self.prompts.tags.unquoted(message.text), cut_off=is_cut_off(message)))
            if own_words and not self.weighs:
                self._refuse_copy(prompt, values, shape.own(text), examples, history)
            if fits(text, self.words.itself):
                raise UnusableReplyError("the model speaks of itself")
            may_retry = attempt < min(1, self.settings.retries)
            if prefer is not None and may_retry and (against := prefer(text)) is not None:
                raise UnusableReplyError(against)
            return text

        copyable = self.prompts.load(prompt).examples if own_words else ()
        shown = [part for example in copyable for part in shape.own(example.reply)]
        constraint = {"pattern": shape.pattern, "avoid": (*shown, *avoid)}
        cap = room * self.settings.text_tokens
        return await self._ask(prompt, values, cap, constraint, parse, shape.words, history)

    async def answer(self, prompt: str, values: Values, *, echo: str = "", own_words: bool = False) -> str:
        """An answer to the asker: several paragraphs, lists and code allowed.

        Where it was cut off or begins to go round in circles, it ends with the last whole sentence before.
        One that repeats its prompt is asked for again; the last one ends where it begins to. All
        that was said before the question is read. An `echo` that it begins with is left out; small models
        like to repeat the question. With `own_words` the words of the examples are kept out while it is
        written, and no run of its own words comes again, which is nothing for lists and code.

        Raises:
            ReplyError: No reply could be used.
        """

        def parse(message: AIMessage, attempt: int, examples: bool) -> str:
            said = message.text[:MAX_ANSWER_CHARS]
            text = clean(self.prompts.tags.unquoted(said)).removeprefix(echo).strip()
            if not (own_words and self.weighs):
                self._refuse_copy(prompt, values, [text], examples, ())
            seen = {**values, "": self.material}
            told = given.before_echo(text, seen)
            if attempt < self.settings.retries and (
                told != text or speaks_of_unseen(text, seen.values(), self.words.unseen)
            ):
                raise EchoedReplyError("the reply repeats its prompt")
            begun = before_loop(told)
            cut_off = is_cut_off(message) or said != message.text
            return whole(trim_to_sentence(begun) if cut_off or begun != told else told)

        values, given = self.in_context(values, None), self.prompts.load(prompt)
        own = " ".join((*values.values(), self.material))
        form = (f"</{self.prompts.tags.names[tag]}>" for tag in _FORM)
        shown = tuple(example.reply for example in given.examples) if own_words else ()
        held = {"stop": [tag for tag in form if tag not in own], "avoid": shown} if given.system else {}
        cap, think = self.settings.answer_tokens, self.settings.think_tokens
        return await self._ask(prompt, values, cap, held, parse, think=think)

    async def choice(self, prompt: str, values: Values, choices: Sequence[str]) -> str:
        """Exactly one of the choices.

        Raises:
            ReplyError: No reply was one of them.
        """
        return (await self._choose(prompt, values, choices))[0]

    async def weigh(
        self, prompt: str, values: Values, choices: Sequence[str], *, history: Sequence[Exchange] = ()
    ) -> dict[str, float]:
        """How likely each of the choices is; they come to 1.

        Read off the model's likelihoods of the whole phrases. Where it doesn't give any, what it chooses is
        certain.

        Raises:
            ReplyError: No reply was one of them.
        """
        chosen, likelihoods = await self._choose(prompt, values, choices, history, weigh=True)
        if not likelihoods:
            return {choice: float(choice == chosen) for choice in choices}
        best = max(likelihoods)
        weights = [math.exp(likelihood - best) for likelihood in likelihoods]
        return {choice: weight / sum(weights) for choice, weight in zip(choices, weights, strict=True)}

    async def likelihood(self, prompt: str, values: Values, reply: str) -> float | None:
        """The log-likelihood of a reply in nats; None where the model doesn't give any."""
        if not self.weighs:
            return None
        _, likelihoods = await self._choose(prompt, values, (reply,), weigh=True)
        return likelihoods[0] if likelihoods else None

    async def _choose(
        self,
        prompt: str,
        values: Values,
        choices: Sequence[str],
        history: Sequence[Exchange] = (),
        *,
        weigh: bool = False,
    ) -> tuple[str, list[float]]:
        """The choice made, and the log-likelihood of each where that was asked for and the model tells."""
        around = f" '{MARKS}{self.words.stops}"

        def parse(message: AIMessage, attempt: int, examples: bool) -> tuple[str, list[float]]:
            said = one_line(message.text).strip(around).casefold()
            for choice in choices:
                if said == one_line(choice).strip(around).casefold():
                    return choice, message.response_metadata.get("likelihoods", [])
            raise UnusableReplyError(f"{said[:60]!r} is none of {', '.join(choices)}")

        shape = self.words.shapes.choice.format(choices=", ".join(choices))
        constraint = {"choices": tuple(choices), **({"weigh": True} if weigh else {})}
        return await self._ask(prompt, values, CHOICE_TOKENS, constraint, parse, shape, history)

    async def _ask(
        self,
        name: str,
        values: Values,
        max_tokens: int,
        constraint: dict[str, Any],
        parse: Parse[Value],
        shape: str = "",
        history: Sequence[Exchange] = (),
        think: int | None = None,
    ) -> Value:
        """Ask until the reply can be used, a bounded number of times, without examples once it copied two."""
        prompt = self.prompts.load(name)
        values, bare = self.in_context(values), self.context if "message" in values else None
        chat = convert_to_messages(said_before(bare)) if bare is not None else []
        said = (one.text for one in chat)
        asked = "|".join((*said, *chain.from_iterable(history), prompt.filled(values)))
        copies, room, reason = 0, 1, ""
        for attempt in range(self.settings.retries + 1):
            examples = copies < MOST_COPIES
            messages = [*chat, *prompt.render(values, history=history, examples=examples)]
            cap = room * max_tokens
            decoding = self._decoding(name, asked, attempt, cap, think or 0)
            held = constraint | {"fixed": prompt.fixed(examples=examples)}
            try:
                message = await self._invoke(messages, name, attempt, decoding, held, shape)
                return parse(self._capped(message, cap, think), attempt, examples)
            except UnusableReplyError as error:
                reason = str(error)
                copies += isinstance(error, CopiedReplyError)
                if not isinstance(error, CopiedReplyError | EchoedReplyError | LoopingReplyError):
                    room = min(2 * room, MOST_ROOM)
        raise ReplyError(self.node, self.role, self.turn, f"{name}: {reason}")

    async def _invoke(
        self,
        messages: list[BaseMessage],
        prompt: str,
        attempt: int,
        decoding: dict[str, Any],
        constraint: dict[str, Any],
        shape: str,
    ) -> AIMessage:
        label = {
            "scene_node": self.node,
            "scene_role": self.role,
            "scene_turn": self.turn,
            "scene_prompt": prompt,
            "scene_attempt": self.asked + attempt,
        }
        engine = self.model if isinstance(self.model, EngineChatModel) else None
        if engine is not None and engine.constrains:
            decoding |= constraint
        elif shape:
            messages = [*messages[:-1], HumanMessage(f"{messages[-1].text}\n\n{shape}")]
        if engine is None:  # engines see to it themselves
            messages = [said.model_copy(update={"content": parted(said.text)}) for said in messages]
        try:
            message = await self.model.ainvoke(messages, {"metadata": label}, **decoding)
        except PromptTooLongError as error:
            raise error.asked_by(self.node, self.role, self.turn) from error
        if self.report is not None:
            self.report({key.removeprefix("scene_"): value for key, value in label.items()})
        return message

    def _decoding(self, prompt: str, asked: str, attempt: int, max_tokens: int, think: int) -> dict[str, Any]:
        """Decoding settings of one call; none for models that have their own.

        Its seed follows from the scene's and from what is asked, the conversation before included, never from
        the order in which calls happen to run.
        """
        if not isinstance(self.model, EngineChatModel):
            return {}
        # The retry of one look is no other look: they would be one draw with two votes.
        tried = f"{self.asked}.{attempt}" if attempt else self.asked
        label = f"{self.settings.seed}|{prompt}|{self.role}|{self.turn}|{tried}|{asked}"
        warmer = (self.asked + attempt) * RETRY_TEMPERATURE
        return {
            "max_tokens": max_tokens,
            "temperature": min(self.settings.temperature + warmer, 2.0),
            "top_p": self.settings.top_p,
            "seed": int.from_bytes(hashlib.sha256(label.encode()).digest()[:4], "big"),
            **({"think_tokens": think} if think else {}),
        }

    @property
    def weighs(self) -> bool:
        """Whether the model gives likelihoods, and keeps out words that it is told to avoid."""
        return isinstance(self.model, EngineChatModel) and self.model.weighs

    def _capped(self, message: AIMessage, max_tokens: int, think: int | None) -> AIMessage:
        """What was said, without a thought before it, and no more of it than so many tokens can hold."""
        said = said_in(message)
        own = isinstance(self.model, EngineChatModel)
        if (said.thought or said.open) and not said.text.strip():
            cap = f"{max_tokens + (think or 0)} tokens" if own else "tokens that the model may generate"
            raise UnusableReplyError(
                f"the model was still thinking when all {cap} were used up; switch its thoughts off"
                + ("" if think is None else ", or give them room with --think")
                if is_cut_off(message)
                else "the model thought, and then gave no answer"
            )
        limit = TOKEN_CHARS * max_tokens
        if own or len(said.text) <= limit:
            return message.model_copy(update={"content": said.text}) if said.thought else message
        cut = {"response_metadata": message.response_metadata | {"finish_reason": "length"}}
        return message.model_copy(update={"content": said.text[:limit]} | cut)

    def _refuse_copy(
        self, prompt: str, values: Values, texts: Sequence[str], examples: bool, history: Sequence[Exchange]
    ) -> None:
        """Refuse what was copied from an example, as long as any was given."""
        own = {**values, "": " ".join((self.material, *(part for said in history for part in said)))}
        if examples and (copied := self.prompts.load(prompt).copied(texts, own)):
            raise CopiedReplyError(f"the reply copies an example: {copied!r}")


def asker_of(
    model: BaseChatModel,
    scene: SceneState | Cue,
    runtime: Runtime[SceneSettings],
    node: str,
    turn: int | None = None,
    *,
    prompt_set: PromptSet = OURS,
) -> Asker:
    """The asker of a node that runs in the graph.

    Raises:
        InputError: The scene was begun with other settings than the run is given, or with other prompts.
    """
    settings = settings_of(scene, runtime)
    if scene.settings is not None and scene.prompts != prompt_set.mark:
        before, now = (mark[:SHOWN_DIGITS] or "ours" for mark in (scene.prompts, prompt_set.mark))
        raise InputError(f"This scene was begun with other prompts ({before}) and can't go on with {now}.")
    return Asker(
        model,
        settings,
        node,
        turn,
        prompts=prompt_set,
        material=scene.material,
        context=scene if isinstance(scene, SceneState) else None,
        report=runtime.stream_writer,
    )
