"""Continuous batching on a CPU with OpenVINO GenAI: paged KV cache, prefix cache, constrained decoding.

One thread drives the pipeline. Requests join between two steps and leave as soon as they finish, so a
short choice never waits for somebody else's long answer.
"""

from __future__ import annotations

import asyncio
import itertools
import queue
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from inference.engine import Completion, FinishReason, GenerationRequest
from inference.flight import Flight, settle
from inference.patterns import literal, schema_pattern
from inference.stops import before_stop
from scene.errors import EngineError, ModelLoadError, PromptTooLongError
from scene.nouns import ModelIdentity

KV_CACHE_GIGABYTES = 2
"""Room for paged keys and values, prefix cache included. Qwen2.5-1.5B needs about 28 kB a token in f16."""

MAX_BATCHED_TOKENS = 512
"""Tokens computed in one step. Larger steps delay the rows that are generating; smaller ones waste cores."""

REQUESTS_AT_ONCE = 64
"""Requests under way that fill the cache: about a thousand tokens each."""


def import_openvino() -> Any:
    """The library, without its telemetry.

    Importing it sends an event to Google Analytics and has no variable to switch that off. Where
    `openvino_telemetry` can't be imported whole, it takes a stub of its own that sends nothing.
    """
    sys.modules.setdefault("openvino_telemetry", ModuleType("openvino_telemetry"))
    import openvino_genai

    return openvino_genai


@dataclass(slots=True, eq=False, kw_only=True)
class _Flight(Flight):
    """A request with its prompt in tokens, and the pipeline's handle once it has joined."""

    input_ids: Any
    prompt_tokens: int
    handle: Any = None


class OpenVINOEngine:
    """Runs a GGUF file or an OpenVINO IR folder on the CPU.

    Args:
        path: GGUF file, or folder with `openvino_model.xml` and the tokenizer's models.
        identity: What the record says about the model.
        context_tokens: Size of the model's context window in tokens.

    Raises:
        ModelLoadError: OpenVINO can't read the model, or it has no chat template.
    """

    constrains = True

    def __init__(self, path: Path, identity: ModelIdentity, context_tokens: int) -> None:
        """Load the model and start the thread that drives it."""
        self._ov = ov = import_openvino()
        self._identity = identity
        self._context_tokens = context_tokens
        scheduler = ov.SchedulerConfig()
        scheduler.cache_size = KV_CACHE_GIGABYTES
        scheduler.max_num_batched_tokens = MAX_BATCHED_TOKENS
        scheduler.enable_prefix_caching = True
        try:
            self._pipeline = ov.ContinuousBatchingPipeline(str(path), scheduler, "CPU")
        except RuntimeError as error:
            raise ModelLoadError(f"OpenVINO can't read {path}: {str(error).splitlines()[0]}") from error
        self._tokenizer = self._pipeline.get_tokenizer()
        if not self._tokenizer.chat_template:
            raise ModelLoadError(f"{path} has no chat template; choose an instruction-tuned model.")
        self._ids = itertools.count()
        self._arrivals: queue.SimpleQueue[_Flight | None] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._drive, name="openvino-engine", daemon=True)
        self._thread.start()

    @property
    def identity(self) -> ModelIdentity:
        """Which model this is."""
        return self._identity

    @property
    def requests_at_once(self) -> int:
        """As many as fill the cache."""
        return REQUESTS_AT_ONCE

    async def generate(self, request: GenerationRequest) -> Completion:
        """Answer one request; see `Engine.generate`."""
        loop = asyncio.get_running_loop()
        history = [{"role": m.role, "content": m.content} for m in request.messages]
        prompt = self._tokenizer.apply_chat_template(history, add_generation_prompt=True)
        input_ids = self._tokenizer.encode(prompt, add_special_tokens=False).input_ids
        length = int(input_ids.shape[1])
        if length + request.max_tokens > self._context_tokens:
            raise PromptTooLongError(length, request.max_tokens, self._context_tokens)
        flight = _Flight(request, loop.create_future(), loop, input_ids=input_ids, prompt_tokens=length)
        with self._closing:
            if self._closed.is_set():
                raise EngineError("The engine was closed.")
            self._arrivals.put(flight)
        return await flight.future

    def close(self) -> None:
        """Stop the thread; requests under way fail."""
        with self._closing:
            if not self._closed.is_set():
                self._closed.set()
                self._arrivals.put(None)
        self._thread.join()

    def _drive(self) -> None:
        """Admit, step, deliver, until closed. Runs in the engine's own thread."""
        flying: list[_Flight] = []
        while not self._closed.is_set():
            try:
                self._admit(flying)
                if self._pipeline.has_non_finished_requests():
                    self._pipeline.step()
                flying = [flight for flight in flying if not self._delivered(flight)]
            except RuntimeError as error:
                for flight in flying:
                    flight.handle.cancel()
                    settle(flight, EngineError(f"OpenVINO failed: {str(error).splitlines()[0]}"))
                flying = []
        self._shut_down(flying)

    def _shut_down(self, flying: list[_Flight]) -> None:
        """Fail whoever is under way or still waits."""
        while not self._arrivals.empty():
            late = self._arrivals.get()
            if late is not None:
                flying.append(late)
        for flight in flying:
            if flight.handle is not None:
                flight.handle.cancel()
            settle(flight, EngineError("The engine was closed."))
        if self._pipeline.has_non_finished_requests():
            self._pipeline.step()  # lets go of the cache blocks that the cancelled ones hold

    def _admit(self, flying: list[_Flight]) -> None:
        """Add what has arrived to the pipeline; wait for an arrival when there is nothing else to do."""
        while True:
            try:
                flight = self._arrivals.get(block=not flying)
            except queue.Empty:
                return
            if flight is None:
                return
            try:
                config = self._generation_config(flight.request)
                flight.handle = self._pipeline.add_request(next(self._ids), flight.input_ids, config)
            except RuntimeError as error:
                settle(flight, EngineError(f"OpenVINO refused a request: {str(error).splitlines()[0]}"))
                continue
            flying.append(flight)

    def _delivered(self, flight: _Flight) -> bool:
        """Hand over a finished completion, or withdraw a cancelled request. True when the flight is over."""
        status = self._ov.GenerationStatus
        if flight.future.cancelled():
            flight.handle.cancel()
            return True
        state = flight.handle.get_status()
        if state == status.RUNNING:
            return False
        if state == status.FINISHED:
            (output,) = flight.handle.read_all()
            reason: FinishReason = (
                "length" if output.finish_reason == self._ov.GenerationFinishReason.LENGTH else "stop"
            )
            ids = list(output.generated_ids)
            settle(
                flight,
                Completion(
                    text=before_stop(self._tokenizer.decode(ids), flight.request.stop),
                    finish_reason=reason,
                    prompt_tokens=flight.prompt_tokens,
                    completion_tokens=len(ids),
                ),
            )
        else:
            settle(flight, EngineError(f"OpenVINO ended a request early ({state.name})."))
        return True

    def _generation_config(self, request: GenerationRequest) -> Any:
        """Translate a request's decoding settings."""
        config = self._pipeline.get_config()
        config.max_new_tokens = request.max_tokens
        config.do_sample = request.temperature > 0
        if request.temperature > 0:
            config.temperature = request.temperature
            config.top_p = request.top_p
        config.top_k = 0
        config.repetition_penalty = 1.0
        config.rng_seed = request.seed % 2**31
        if request.stop:
            config.stop_strings = set(request.stop)
        structured = self._ov.StructuredOutputConfig()
        if request.schema is not None:
            structured.regex = schema_pattern(request.schema)
        elif request.choices:
            structured.regex = "|".join(map(literal, request.choices))
        elif request.pattern is not None:
            structured.regex = request.pattern
        else:
            return config
        config.structured_output_config = structured
        return config
