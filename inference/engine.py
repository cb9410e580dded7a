"""The contract every engine meets: one request in, one completion out, any number at once.

An engine owns one model. Callers send requests concurrently and never wait for each other's; the
engine decides what shares a forward pass. Greedy and seeded results depend on the request alone, as far as
the arithmetic does: rounding can depend on what shares a pass, though seldom in float32.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from scene.nouns import ModelIdentity

ChatRole = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length"]
OnText = Callable[[str], None]

ENGINES = ("auto", "transformers", "llama", "openai")
CLOSING_TOKENS = 16
"""Room for what ends a thought that has reached its cap."""

DTYPES = ("auto", "bfloat16", "float16", "float32")
DEVICES = ("auto", "cpu", "cuda", "mps", "xpu")
"""What a user can ask for: engines, number formats, devices; `cuda:1` names the second of its kind."""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a chat prompt."""

    role: ChatRole
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """What to generate.

    At most one of `schema`, `choices` and `pattern` is given; it constrains decoding, so that the text is
    always of that shape unless the cap cuts it off (`finish_reason == "length"`).

    Attributes:
        messages: The chat prompt, at least one message, ending with a user message.
        max_tokens: Cap on generated tokens, at least 1; where a thought is wanted, on those after it.
        think_tokens: Cap on a thought that comes before a reply without a shape; 0 wants none. Where it is
            reached the thought is ended and the answer begins; a server has so much more room in all.
        temperature: 0 is greedy.
        top_p: Nucleus size in (0, 1]; 1 switches it off.
        seed: Sampling seed; the same request with the same seed gives the same text, but for rounding.
        stop: Generation ends at the first of these strings, which is not part of the text.
        schema: JSON schema the text must follow.
        choices: The text is exactly one of these.
        weigh: Compare the choices as whole phrases: the text is the one that the model finds likeliest, and
            the completion says how likely it finds each. Neither cap nor temperature nor stop strings play a
            part. An engine that can't do so generates one of the choices token by token.
        pattern: Regular expression the whole text must match.
        avoid: Texts of which no long run of words should come again, nor one of the reply itself where there
            are such texts. A shape comes first, and an engine that doesn't choose tokens itself (`openai`)
            passes over it.
        fixed: How many of the first messages are the same in every scene. An engine may keep what it computes
            of them for the next process.
    """

    messages: tuple[ChatMessage, ...]
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None
    choices: tuple[str, ...] = ()
    weigh: bool = False
    pattern: str | None = None
    avoid: tuple[str, ...] = ()
    fixed: int = 0
    think_tokens: int = 0

    def __post_init__(self) -> None:
        if not self.messages or self.messages[-1].role != "user":
            raise ValueError("a request needs messages that end with a user message")
        if not 0 <= self.fixed < len(self.messages):
            raise ValueError("the last message is never fixed")
        if self.max_tokens < 1:
            raise ValueError("max_tokens must be at least 1")
        if self.think_tokens < 0 or (self.think_tokens and self.shaped):
            raise ValueError("only a reply without a shape can have a thought before it")
        if self.temperature < 0 or not 0 < self.top_p <= 1:
            raise ValueError("temperature must be at least 0 and top_p in (0, 1]")
        if sum((self.schema is not None, bool(self.choices), self.pattern is not None)) > 1:
            raise ValueError("give at most one of schema, choices and pattern")
        if self.weigh and not self.choices:
            raise ValueError("only choices can be weighed")

    @property
    def room(self) -> int:
        """Most tokens that may be generated."""
        return self.max_tokens + (self.think_tokens + CLOSING_TOKENS if self.think_tokens else 0)

    @property
    def shaped(self) -> bool:
        """Whether the text must have a shape."""
        return self.schema is not None or bool(self.choices) or self.pattern is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What was generated, and what it cost in tokens.

    Attributes:
        text: The reply, without special tokens, stop strings and what was thought.
        thought: What was thought before it, also where that was not wanted.
        finish_reason: "length" when the cap cut the reply off.
        prompt_tokens: Length of the prompt, template included.
        completion_tokens: Generated tokens, end token included; of weighed choices the tokens that were
            computed, which are all but the last one of each.
        cached_tokens: Prompt tokens served from a prefix cache instead of being computed, where the engine
            knows.
        likelihoods: Log-likelihood of each weighed choice in nats, over all its tokens but no end token, in
            the order of the request; empty where none was asked for or the engine can't tell.
    """

    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    likelihoods: tuple[float, ...] = ()
    thought: str = ""


class Engine(Protocol):
    """One local or served model that answers requests concurrently."""

    @property
    def constrains(self) -> bool:
        """Whether replies have the shape asked for; else whoever asks says it in words and checks it."""

    @property
    def identity(self) -> ModelIdentity:
        """Which model this is."""

    @property
    def requests_at_once(self) -> int:
        """How many requests under way keep it busy; more of them only wait."""

    async def generate(self, request: GenerationRequest) -> Completion:
        """Answer one request.

        Cancelling the returned coroutine withdraws the request.

        Raises:
            PromptTooLongError: The prompt and cap don't fit the context window.
            EngineError: The engine failed or was closed.
        """

    def close(self) -> None:
        """Free the model and stop every thread. Requests under way fail with `EngineError`."""


@runtime_checkable
class StreamingEngine(Engine, Protocol):
    """An engine that can say a reply while it is generated. All that run or reach a model are."""

    async def stream(self, request: GenerationRequest, on_text: OnText) -> Completion:
        """Answer one request without a shape as `generate` does, and say its text as it comes.

        `on_text` is called in the running event loop with one piece after the other, each as soon as nothing
        can take it back. Joined they are the completion's text.
        """


def weighs(engine: Engine) -> bool:
    """Whether an engine weighs choices where a request asks for it. One that does has `weighs`."""
    return bool(getattr(engine, "weighs", False))


async def stream(engine: Engine, request: GenerationRequest, on_text: OnText) -> Completion:
    """Answer one request and say its text as it comes, or in one piece where the engine can do no better.

    What has a shape comes in one piece too: half of an object or of a choice is of no use to a reader.
    """
    if isinstance(engine, StreamingEngine) and not request.shaped:
        return await engine.stream(request, on_text)
    completion = await engine.generate(request)
    on_text(completion.text)
    return completion
