"""One question put to one method: the calls it makes, and what they cost."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from langchain_core.messages import BaseMessage

from inference.chat_model import EngineChatModel
from inference.engine import Completion, Engine, GenerationRequest, weighs
from nodes.asking import Asker
from nodes.revise import Place, in_both_orders
from prompts import OURS, PromptSet
from scene.errors import InputError
from scene.nouns import ModelIdentity
from scene.settings import SceneSettings
from scene.text import clean

COMPARED_CHARS = 2400
"""How much of an answer is read where two are compared."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How every system of an evaluation decodes its answers.

    Attributes:
        max_tokens: Room for an answer, and for every draft and critique on the way to it.
        temperature: 0 is greedy, which is what benchmarks of refusals use.
        top_p: Nucleus size in (0, 1].
        seed: Seed that every call's own seed is derived from.
    """

    max_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what nothing can be decoded with.

        Raises:
            InputError: A value is out of its range.
        """
        if not 16 <= self.max_tokens <= 8192:
            raise InputError(f"max_tokens must be between 16 and 8192, not {self.max_tokens}.")
        if not 0 <= self.temperature <= 2:
            raise InputError(f"temperature must be between 0 and 2, not {self.temperature}.")
        if not 0 < self.top_p <= 1:
            raise InputError(f"top_p must be above 0 and at most 1, not {self.top_p}.")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a method answers, and whether that came to its end."""

    text: str
    ended: bool


class Meter:
    """An engine that counts what goes through it.

    Args:
        engine: The engine that answers.
    """

    def __init__(self, engine: Engine) -> None:
        """Count from nothing."""
        self._engine = engine
        self.calls = self.prompt_tokens = self.completion_tokens = 0
        self.cut: set[str] = set()
        """Texts that the cap cut off."""

    @property
    def constrains(self) -> bool:
        """As the engine."""
        return self._engine.constrains

    @property
    def weighs(self) -> bool:
        """As the engine."""
        return weighs(self._engine)

    @property
    def identity(self) -> ModelIdentity:
        """As the engine."""
        return self._engine.identity

    @property
    def requests_at_once(self) -> int:
        """As the engine."""
        return self._engine.requests_at_once

    async def generate(self, request: GenerationRequest) -> Completion:
        """Answer one request; see `Engine.generate`."""
        completion = await self._engine.generate(request)
        self.calls += 1
        self.prompt_tokens += completion.prompt_tokens
        self.completion_tokens += completion.completion_tokens
        if completion.finish_reason == "length":
            self.cut.add(completion.text)
        return completion

    def close(self) -> None:
        """Do nothing: whoever made the engine closes it."""


class Session:
    """What a method asks with.

    Args:
        engine: The model.
        question: The question to answer.
        sampling: Settings of every answer.
        scene: Settings of a scene, for the method that plays one; its seed and the room for its answers
            are those of `sampling`.
        prompt_set: What is asked with.
    """

    def __init__(
        self,
        engine: Engine,
        question: str,
        sampling: Sampling,
        scene: SceneSettings | None = None,
        prompt_set: PromptSet = OURS,
    ) -> None:
        """Ask nothing yet."""
        self.prompts = prompt_set
        self.question = question
        self.meter = Meter(engine)
        self.model = EngineChatModel(engine=self.meter)
        self.scene = replace(scene or SceneSettings(), seed=sampling.seed, answer_tokens=sampling.max_tokens)
        self._sampling = sampling

    async def draft(self, *, temperature: float | None = None, take: int = 0) -> Reply:
        """What the model answers to the bare question.

        Args:
            temperature: Another one than that of the evaluation.
            take: Tells several drafts of one question apart.
        """
        messages = self.prompts.load("respond").render({"message": self.question})
        return await self._reply(messages, temperature, take)

    async def say(self, prompt: str, take: int = 0, **values: str) -> Reply:
        """What the model replies to a prompt of `prompts/evaluation`.

        Args:
            prompt: Its name.
            take: Tells several replies to one prompt apart.
            **values: Its fields beside the question.
        """
        values = {"question": self.question, **values}
        return await self._reply(self.prompts.load(f"evaluation/{prompt}").render(values), None, take)

    async def choose(self, prompt: str, choices: Sequence[str], **values: str) -> str:
        """Which of the choices the model takes, greedily.

        Raises:
            ReplyError: None of them, after every retry.
        """
        values = {"question": self.question, **values}
        return await self._asker().choice(f"evaluation/{prompt}", values, choices)

    async def compare(self, first: str, second: str) -> tuple[Place, Place]:
        """Which of two answers the model prefers, greedily, in this order and with them turned.

        Raises:
            ReplyError: No choice between the two, after every retry.
        """
        return await in_both_orders(
            self._asker(), "evaluation/judge", self.question, first, second, COMPARED_CHARS
        )

    def _asker(self) -> Asker:
        settings = SceneSettings(temperature=0.0, seed=self._sampling.seed)
        return Asker(self.model, settings, "evaluate", prompts=self.prompts)

    async def _reply(self, messages: list[BaseMessage], temperature: float | None, take: int) -> Reply:
        label = f"{self._sampling.seed}|{take}|{messages[-1].text}"
        message = await self.model.ainvoke(
            messages,
            max_tokens=self._sampling.max_tokens,
            temperature=self._sampling.temperature if temperature is None else temperature,
            top_p=self._sampling.top_p,
            seed=int.from_bytes(hashlib.sha256(label.encode()).digest()[:4], "big"),
        )
        ended = message.response_metadata.get("finish_reason") != "length"
        return Reply(clean(self.prompts.tags.unquoted(message.text)), ended)
