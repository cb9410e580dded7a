"""Continuous batching on a CPU with OpenVINO GenAI: paged KV cache, prefix cache, constrained decoding.

One thread drives the pipeline. Requests join between two steps and leave as soon as they finish, so a
short choice never waits for somebody else's long answer. Of requests that arrive together with a long
beginning in common, one goes ahead, so that it is computed once.
"""

from __future__ import annotations

import asyncio
import queue
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inference.engine import Completion, FinishReason, GenerationRequest, OnText
from inference.flight import STEP_ERRORS, Flight, ThreadedEngine, settle
from inference.models.adapter import PlainAdapter
from inference.openvino_engine.pipeline import (
    BLOCK_TOKENS,
    OpenVINOPipeline,
    first_line,
    request_pattern,
)
from inference.openvino_engine.prefix_warming import Beginnings, PrefixWarming
from inference.patterns import unenforceable
from inference.pieces import Pieces
from scene.errors import EngineError, PromptTooLongError
from scene.nouns import ModelIdentity
from scene.thought import Said, heard

WORTH_WAITING = 64
"""Tokens. A step takes a few hundred, so a shorter beginning is computed by everybody at once."""

REQUESTS_AT_ONCE = 64
"""Requests under way that fill the cache: about a thousand tokens each."""

REFUSED_KEPT = 256
"""Patterns remembered as refused. Each one that is not disturbs the requests it meets for a moment."""


@dataclass(slots=True, eq=False, kw_only=True)
class _Flight(Flight):
    """A request with its prompt in tokens, and what becomes of it once it has joined.

    Attributes:
        input_ids: The prompt as the pipeline takes it.
        prompt_tokens: Its length.
        beginnings: Its whole blocks.
        pattern: What the reply must match.
        handle: The pipeline's handle.
        cached_tokens: Prompt tokens that were computed before it joined.
        begun: Whether its prefill is over and its pattern, if any, compiled.
        generated: Tokens that were looked at so far, of a choice or of a text that is told while it grows.
    """

    input_ids: Any
    prompt_tokens: int
    beginnings: Beginnings
    pattern: str | None
    handle: Any = None
    cached_tokens: int = 0
    begun: bool = False
    generated: list[int] = field(default_factory=list)


class OpenVINOEngine(ThreadedEngine[_Flight]):
    """Runs a GGUF file or an OpenVINO IR folder on the CPU.

    Args:
        path: GGUF file, or folder with `openvino_model.xml` and the tokenizer's models.
        identity: What the record says about the model.
        context_tokens: Size of the model's context window in tokens.
        adapter: A LoRA adapter to apply; only to a folder.
        threads: Processor threads to compute with; as OpenVINO likes when None.
        dtype: `auto`, or `float32`: slower, and a reply seldom depends on what else is under way.

    Raises:
        ModelLoadError: OpenVINO can't read the model or the adapter, or there is no chat template.
    """

    constrains = True

    def __init__(
        self,
        path: Path,
        identity: ModelIdentity,
        context_tokens: int,
        adapter: PlainAdapter | None = None,
        threads: int | None = None,
        dtype: str = "auto",
    ) -> None:
        """Load the model and start the thread that drives it."""
        super().__init__(identity, "openvino-engine")
        self._context_tokens = context_tokens
        self._pipeline = OpenVINOPipeline(path, adapter, threads, dtype)
        # The library forgets what was used longest ago, but not strictly, so half of its room is relied on.
        self._warming = PrefixWarming(
            block=BLOCK_TOKENS, worth=WORTH_WAITING, kept=max(1, self._pipeline.blocks // 2)
        )
        self._waiting: deque[_Flight] = deque()
        self._flying: list[_Flight] = []
        self._refused: dict[str, str] = {}
        self._thread.start()

    @property
    def requests_at_once(self) -> int:
        """As many as fill the cache."""
        return REQUESTS_AT_ONCE

    async def generate(self, request: GenerationRequest) -> Completion:
        """Answer one request; see `Engine.generate`.

        `cached_tokens` is counted here, in whole blocks, from what was computed before; the library does not
        say what it found in its cache. Nor does it take words to avoid.

        Raises:
            InputError: The chat template or the grammar compiler refuses the request.
        """
        return await self._answer(request, None)

    async def stream(self, request: GenerationRequest, on_text: OnText) -> Completion:
        """Answer one request aloud; see `StreamingEngine.stream` and `generate`.

        Raises:
            InputError: The chat template refuses the request.
        """
        return await self._answer(request, Pieces(on_text, asyncio.get_running_loop(), request.stop))

    async def _answer(self, request: GenerationRequest, pieces: Pieces | None) -> Completion:
        loop = asyncio.get_running_loop()
        pattern = request_pattern(request)
        input_ids = self._pipeline.token_ids(request.messages)
        tokens = input_ids.data[0].tolist()
        if len(tokens) + request.max_tokens > self._context_tokens:
            raise PromptTooLongError(len(tokens), request.max_tokens, self._context_tokens)
        flight = _Flight(
            request,
            loop.create_future(),
            loop,
            pieces,
            input_ids=input_ids,
            prompt_tokens=len(tokens),
            beginnings=self._warming.beginnings(tokens),
            pattern=pattern,
        )
        return await self._completed(flight)

    def _drive(self) -> None:
        """Receive, admit, step, deliver, until closed. Runs in the engine's own thread."""
        try:
            while self._receive():
                try:
                    self._admit()
                    if self._pipeline.busy:
                        self._pipeline.step()
                    self._flying = [flight for flight in self._flying if not self._landed(flight)]
                except STEP_ERRORS as error:
                    self._recover(error)
        finally:
            self._fail((*self._flying, *self._waiting))
            for flight in self._flying:
                flight.handle.cancel()
            self._pipeline.flush()

    def _receive(self) -> bool:
        """Take what has arrived; wait for an arrival when there is nothing else to do. False when closing."""
        while not self._closed:
            try:
                flight = self._arrivals.get(block=not self._flying and not self._waiting)
            except queue.Empty:
                return True
            if flight is not None:
                self._waiting.append(flight)
        return False

    def _admit(self) -> None:
        """Let everybody join who need not wait for another's prefill."""
        held: deque[_Flight] = deque()
        while self._waiting:
            flight = self._waiting.popleft()
            if flight.future.cancelled():
                continue
            if flight.pattern is not None and flight.pattern in self._refused:
                settle(flight, unenforceable(self._refused[flight.pattern]))
                continue
            cached = self._warming.admit(flight.beginnings)
            if cached is None:
                held.append(flight)
                continue
            flight.cached_tokens = min(cached, flight.prompt_tokens - 1)
            try:
                flight.handle = self._pipeline.add(flight.input_ids, flight.request, flight.pattern)
            except STEP_ERRORS as error:
                self._warming.withdrawn(flight.beginnings)
                settle(flight, EngineError(f"OpenVINO refused a request: {first_line(error)}"))
                continue
            self._flying.append(flight)
        self._waiting = held

    def _landed(self, flight: _Flight) -> bool:
        """Hand over a finished completion, or withdraw a cancelled request. True when the flight is over."""
        state = self._pipeline.state(flight.handle)
        # With stop strings the first token shows some tokens late.
        if not flight.begun and (state == "FINISHED" or flight.handle.can_read()):
            flight.begun = True
            self._warming.computed(flight.beginnings)
        if flight.future.cancelled():
            self._withdraw(flight)
        elif state == "RUNNING":
            return self._look(flight)
        elif state == "FINISHED":
            text, reason, tokens = self._pipeline.reply(flight.handle, flight.request.stop, flight.generated)
            settle(flight, _completion(flight, text, reason, tokens))
        else:
            self._withdraw(flight)
            settle(flight, EngineError(f"OpenVINO ended a request early ({state})."))
        return True

    def _look(self, flight: _Flight) -> bool:
        """Tell what was generated, and deliver a choice as soon as it leaves only one. True when it does."""
        watched = flight.pieces is not None or flight.request.choices
        if not watched or not flight.handle.can_read():
            return False
        flight.generated += self._pipeline.read(flight.handle)
        said = self._pipeline.text(flight.generated)
        if flight.pieces is not None:
            flight.pieces.grow(said)
        fitting = {choice for choice in flight.request.choices if choice.startswith(said)}
        if len(fitting) != 1:
            return False
        flight.handle.cancel()
        settle(flight, _completion(flight, fitting.pop(), "stop", len(flight.generated)))
        return True

    def _withdraw(self, flight: _Flight) -> None:
        """Take a flight out of the pipeline."""
        flight.handle.cancel()
        if not flight.begun:
            self._warming.withdrawn(flight.beginnings)

    def _recover(self, error: Exception) -> None:
        """After a failed step: fail who brought a pattern that does not compile, and start the others again.

        The pattern of one request fails the step of all. Where no pattern is to blame, all fail.
        """
        flying = self._flying
        for flight in flying:
            self._withdraw(flight)
        doubtful = {flight.pattern for flight in flying if flight.pattern is not None and not flight.begun}
        try:
            self._pipeline.flush()
            refused = {
                pattern: reason
                for pattern in doubtful
                if (reason := self._pipeline.refusal(pattern)) is not None
            }
        except STEP_ERRORS as another:
            refused, error = {}, another
        self._flying = []
        for flight in reversed(flying):
            if flight.pattern is not None and flight.pattern in refused:
                settle(flight, unenforceable(refused[flight.pattern]))
            elif refused:
                flight.handle, flight.begun, flight.generated = None, False, []
                self._waiting.appendleft(flight)
            else:
                settle(flight, EngineError(f"OpenVINO failed: {first_line(error)}"))
        if len(self._refused) + len(refused) > REFUSED_KEPT:
            self._refused.clear()
        self._refused.update(refused)


def _completion(flight: _Flight, text: str, reason: FinishReason, tokens: int) -> Completion:
    said = Said("", text) if flight.request.shaped else heard(text)
    return Completion(
        text=said.text,
        thought=said.thought,
        finish_reason=reason,
        prompt_tokens=flight.prompt_tokens,
        completion_tokens=tokens,
        cached_tokens=flight.cached_tokens,
    )
