"""One measurement: a way of answering, a workload, and what it took. Each runs in a process of its own."""

import asyncio
import os
import resource
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import cycle, islice
from typing import Literal

from benchmarks.replay import RecordedScene, load, rehearse
from graph.thread import Around
from inference.engine import ChatMessage, Completion, Engine, GenerationRequest
from inference.loading import load_engine
from scene.nouns import ModelIdentity

Way = Literal["one at a time", "padded batch", "transformers", "llama"]
Workload = Literal["short", "prefix", "scenes", "calls"]

SHORT_TOKENS = 64
SHARED_TOKENS = 32

_THINGS = (
    "a bridge", "a lantern", "rye bread", "a chess clock", "low tide", "a bicycle bell", "wool",
    "a night train", "copper", "a garden wall", "the moon", "a ferry", "honey", "a letterbox", "snow",
    "a violin",
)  # fmt: skip
_ASKS = (
    "Describe", "Praise", "Explain", "Tell a story about", "Sell me", "Warn me of", "Compare the sea with",
    "Dream of",
)  # fmt: skip

_RULES = "\n".join(
    f"Rule {number}: whoever comes by on the day of {thing} brings {other} along, tells the others in plain "
    "words what it is good for, and leaves before the lamps are lit."
    for number, (thing, other) in enumerate(zip(_THINGS[:12], _THINGS[4:], strict=True), start=1)
)
"""With the chat template about 465 tokens for the tiny model; the table says how many it really were."""


@dataclass(slots=True)
class Measurement:
    """What a workload took.

    Seconds are wall time from the first request to the last reply, without loading; `asked_seconds` those
    with at least one request under way, which is not how long the engine computed. `loop_seconds` are
    processor time of the event loop's thread (graph, parsing, recording), `processor_seconds` of all
    threads; `peak_bytes` is resident memory.
    """

    seconds: float = 0.0
    units: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    asked_seconds: float = 0.0
    loop_seconds: float = 0.0
    processor_seconds: float = 0.0
    cores: int = 0
    peak_bytes: int = 0
    unit_seconds: list[float] = field(default_factory=list)

    @property
    def tokens_per_second(self) -> float:
        """Generated tokens a second."""
        return self.completion_tokens / self.seconds

    @property
    def units_per_hour(self) -> float:
        """Scenes an hour."""
        return 3600 * self.units / self.seconds

    @property
    def engine_share(self) -> float:
        """Part of the machine's processor time that other threads than the event loop's had: the engine's."""
        return (self.processor_seconds - self.loop_seconds) / (self.cores * self.seconds)


class Metered(Around):
    """An engine that keeps account of what another one does."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.total = Measurement()
        self._flying = 0
        self._since = 0.0

    async def generate(self, request: GenerationRequest) -> Completion:
        """Have the other engine answer."""
        if self._flying == 0:
            self._since = time.perf_counter()
        self._flying += 1
        try:
            completion = await super().generate(request)
        finally:
            self._flying -= 1
            if self._flying == 0:
                self.total.asked_seconds += time.perf_counter() - self._since
        self.count([completion])
        return completion

    def count(self, completions: Sequence[Completion]) -> None:
        """Add replies to the account."""
        self.total.prompt_tokens += sum(one.prompt_tokens for one in completions)
        self.total.cached_tokens += sum(one.cached_tokens for one in completions)
        self.total.completion_tokens += sum(one.completion_tokens for one in completions)


def measure(model: str, way: Way, workload: Workload, units: int, dtype: str = "auto") -> dict[str, object]:
    """Answer a workload in one way.

    The workloads `short` and `prefix` are single requests, `scenes` are recorded scenes, `calls` the
    requests of these all at once, without the graph. All units are under way at once unless the way is one
    at a time.
    """
    if way in ("one at a time", "padded batch"):
        from benchmarks.plain import PlainGenerate

        engine: Engine = PlainGenerate(model, dtype)
    else:
        engine = load_engine(model, engine=way, dtype=dtype)
    with closing(engine):
        return asdict(asyncio.run(_run(engine, way, workload, units)))


async def _run(engine: Engine, way: Way, workload: Workload, units: int) -> Measurement:
    await engine.generate(short(64)[-1])  # whatever happens only once
    requests: list[GenerationRequest] = []
    if workload == "calls":
        kept = Silent(engine.identity)
        await rehearse(kept, _scenes(units), units)
        requests = kept.requests
    elif workload in ("short", "prefix"):
        requests = short(units) if workload == "short" else shared_prefix(units)
    metered = Metered(engine)
    total = metered.total
    started, worked, used = time.perf_counter(), time.thread_time(), time.process_time()
    if workload == "scenes":
        records = await rehearse(metered, _scenes(units), 1 if way == "one at a time" else units)
        total.unit_seconds = [record.seconds for record in records]
    elif way == "padded batch":
        from benchmarks.plain import PlainGenerate

        assert isinstance(engine, PlainGenerate)
        metered.count(engine.batch(requests))
    else:
        await asyncio.gather(*map(metered.generate, requests))
    total.seconds = time.perf_counter() - started
    total.loop_seconds = time.thread_time() - worked
    total.processor_seconds = time.process_time() - used
    total.cores = os.cpu_count() or 1
    total.units = units
    total.peak_bytes = peak_bytes()
    return total


class Silent:
    """An engine that answers nothing and keeps what it was asked: recorded scenes go on all the same."""

    constrains = True
    requests_at_once = 64

    def __init__(self, identity: ModelIdentity) -> None:
        self.identity = identity
        self.requests: list[GenerationRequest] = []

    async def generate(self, request: GenerationRequest) -> Completion:
        """Answer nothing."""
        self.requests.append(request)
        return Completion(text="", finish_reason="stop", prompt_tokens=0, completion_tokens=0)

    def close(self) -> None:
        """Nothing is open."""


def _scenes(count: int) -> list[RecordedScene]:
    """So many recorded scenes, from the first one again when there are no more."""
    return list(islice(cycle(load()), count))


def peak_bytes() -> int:
    """Largest resident memory of this process so far; macOS counts in bytes, Linux in kilobytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def short(count: int) -> list[GenerationRequest]:
    """Requests with short prompts that share next to nothing, at most `SHORT_TOKENS` new tokens each."""
    return [_request(f"{ask} in a few sentences.", SHORT_TOKENS) for ask in _asks(count)]


def shared_prefix(count: int) -> list[GenerationRequest]:
    """Requests that share a long beginning, at most `SHARED_TOKENS` new tokens each."""
    return [_request(f"{_RULES}\n\nAs for today: {ask}.", SHARED_TOKENS) for ask in _asks(count)]


def _asks(count: int) -> list[str]:
    most = len(_ASKS) * len(_THINGS)
    if count > most:
        raise ValueError(f"there are {most} different requests, not {count}")
    return [f"{ask} {thing}" for thing in _THINGS for ask in _ASKS][:count]


def _request(text: str, max_tokens: int) -> GenerationRequest:
    return GenerationRequest(messages=(ChatMessage("user", text),), max_tokens=max_tokens)
