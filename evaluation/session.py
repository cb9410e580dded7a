"""One question put to one method: the calls it makes, and what they cost."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from operator import itemgetter

from finetune.data.split import rank
from graph.thread import Around
from inference.chat_model import EngineChatModel
from inference.engine import Completion, Engine, GenerationRequest
from nodes.asking import Asker
from prompts import OURS, PromptSet
from scene.errors import InputError
from scene.record import SceneRecord
from scene.settings import SceneSettings

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
    """What a method answers.

    Attributes:
        prompt: The message that it replies to where that is not the question: it is learned as such a reply.
        rejected: The answer that it is preferred to, for methods that make pairs.
    """

    text: str
    ended: bool
    prompt: str = ""
    rejected: str = ""


class Scenes:
    """Scenes that were played around the questions of a set; the last one of each question counts."""

    def __init__(self, records: Iterable[SceneRecord]) -> None:
        by_question = {one.question: one.model_copy(update={"calls": None}) for one in records}
        self._ranked = sorted((rank(question, 0), record) for question, record in by_question.items())

    def other_than(self, question: str) -> SceneRecord:
        """The scene of another question: no two questions that have scenes get the same one.

        Raises:
            InputError: There is no other scene.
        """
        place = bisect_right(self._ranked, rank(question, 0), key=itemgetter(0))
        record = self._ranked[place % len(self._ranked)][1] if self._ranked else None
        if record is None or record.question == question:
            raise InputError("There is no scene of another question; export more of the set's questions.")
        return record

    @cached_property
    def tokens(self) -> int:
        """Tokens that a scene generated, on average."""
        costs = [cost for _, record in self._ranked for cost in record.cost.values()]
        return round(sum(cost.completion_tokens for cost in costs) / max(1, len(self._ranked)))


class Meter(Around):
    """An engine that counts what goes through it."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.calls = self.prompt_tokens = self.completion_tokens = 0
        self.ended = True
        """Whether what was said last came to its end."""

    async def generate(self, request: GenerationRequest) -> Completion:
        """Answer one request; see `Engine.generate`."""
        completion = await super().generate(request)
        self.calls += 1
        self.prompt_tokens += completion.prompt_tokens
        self.completion_tokens += completion.completion_tokens
        self.ended = completion.finish_reason != "length"
        return completion


class Session:
    """What a method asks with.

    Every answer, draft and critique is asked for as a scene asks for its answers: again where it repeats its
    prompt or copies an example, and trimmed where it was cut off or goes round in circles.

    The settings of a scene are for the method that plays one; its seed and the room for its answers are those
    of the sampling. The budget is the tokens that best-of-N may generate; 0 is for its usual drafts.
    """

    def __init__(
        self,
        engine: Engine,
        question: str,
        sampling: Sampling,
        scene: SceneSettings | None = None,
        prompt_set: PromptSet = OURS,
        *,
        scenes: Scenes | None = None,
        budget: int = 0,
    ) -> None:
        self.prompts = prompt_set
        self.question = question
        self.meter = Meter(engine)
        self.model = EngineChatModel(engine=self.meter)
        self.scene = replace(scene or SceneSettings(), seed=sampling.seed, answer_tokens=sampling.max_tokens)
        self.scenes = scenes or Scenes(())
        self.budget = budget
        self._sampling = sampling

    async def draft(self, *, temperature: float | None = None, take: int = 0) -> Reply:
        """What the model answers to the bare question; `take` tells several drafts apart.

        Raises:
            ReplyError: No reply could be used.
        """
        return await self._answer("respond", {"message": self.question}, temperature, take)

    async def say(self, prompt: str, take: int = 0, **values: str) -> Reply:
        """What the model replies to a prompt of `prompts/evaluation`, given its fields beside the question.

        Raises:
            ReplyError: No reply could be used.
        """
        return await self._answer(f"evaluation/{prompt}", self._with_question(values), None, take)

    async def weigh(self, prompt: str, choices: Sequence[str], **values: str) -> dict[str, float]:
        """How likely the model finds each of the choices; see `Asker.weigh`.

        Raises:
            ReplyError: None of them, after every retry.
        """
        settings = SceneSettings(temperature=0.0, seed=self._sampling.seed)
        asker = Asker(self.model, settings, "evaluate", prompts=self.prompts)
        return await asker.weigh(f"evaluation/{prompt}", self._with_question(values), choices)

    def _with_question(self, values: Mapping[str, str]) -> dict[str, str]:
        return {"question": self.question, **values}

    async def _answer(
        self, prompt: str, values: Mapping[str, str], temperature: float | None, take: int
    ) -> Reply:
        meter = Meter(self.meter)
        decoding = replace(
            self.scene,
            temperature=self._sampling.temperature if temperature is None else temperature,
            top_p=self._sampling.top_p,
            seed=self._sampling.seed + take,
        )
        asker = Asker(
            EngineChatModel(engine=meter),
            decoding,
            "evaluate",
            material=self.question,
            prompts=self.prompts,
        )
        text = await asker.answer(prompt, values, echo=self.question)
        return Reply(text, meter.ended)
