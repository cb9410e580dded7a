"""Continuous batching for any causal language model of transformers, on a CPU or a GPU.

One thread drives the model. Requests wait in a queue, join the running batch between two tokens and leave
it with their last one, so a short choice never waits for somebody else's long answer. What prompts have in
common from their beginning is computed once and kept.
"""

from __future__ import annotations

import asyncio
import logging
import queue

import torch
from langchain_huggingface import HuggingFacePipeline
from transformers import PreTrainedModel, PreTrainedTokenizerBase

<<<<<<< HEAD
from inference.engine import Completion, GenerationRequest, OnText
from inference.flight import STEP_ERRORS, Flight, ThreadedEngine, settle
from inference.pieces import Pieces
from inference.transformers_engine.chat_prompt import ChatPrompts
from inference.transformers_engine.constraints import GrammarCache
=======
from inference.batching.chat_prompt import ChatPrompts
from inference.batching.constraints import GrammarCache
from inference.batching.row import Row
from inference.engine import Completion, GenerationRequest
from inference.flight import STEP_ERRORS, Flight, settle
>>>>>>> 0fa6689 (Give what any engine of ours needs around its computing a room of its own)
from inference.transformers_engine.decoding import RunningBatch
from inference.transformers_engine.forward import ForwardPass
from inference.transformers_engine.heap import return_large_blocks
from inference.transformers_engine.limits import ACCELERATOR_LIMITS, CPU_LIMITS, Limits
from scene.errors import EngineError, InputError, ModelLoadError, PromptTooLongError
from scene.nouns import ModelIdentity

_LOG = logging.getLogger(__name__)


class TransformersEngine(ThreadedEngine[Flight]):
    """Runs a model that transformers has loaded.

    Its weights must stay as they are, since the keys and values of prompts are kept.

    Args:
        pipeline: The loaded model and its tokenizer. Its `pipeline_kwargs` play no part: requests carry their
            own settings.
        identity: What the record says about the model.
        context_tokens: Size of the model's context window in tokens.
        limits: How much is computed and kept at once; None picks by device.

    Raises:
        ModelLoadError: The model has no chat template, no end token or can't be batched.
    """

    constrains = True

    def __init__(
        self,
        pipeline: HuggingFacePipeline,
        identity: ModelIdentity,
        context_tokens: int,
        limits: Limits | None = None,
    ) -> None:
        """Probe the model and start the thread that drives it."""
        super().__init__(identity, "transformers-engine")
        model: PreTrainedModel = pipeline.pipeline.model
        self._tokenizer: PreTrainedTokenizerBase = pipeline.pipeline.tokenizer
        self._context_tokens = context_tokens
        self._prompts = ChatPrompts(self._tokenizer, identity.id)
        self._end_ids = end_tokens(model, self._tokenizer)
        if not self._end_ids:
            raise ModelLoadError(f"{identity.id} names no end token; set eos_token_id in its tokenizer.")
        forward = ForwardPass(model, identity.id)
        self._grammars = GrammarCache(self._tokenizer, forward.vocabulary, self._end_ids)
        if limits is None:
            limits = CPU_LIMITS if forward.device.type == "cpu" else ACCELERATOR_LIMITS
        if forward.device.type == "cpu":
            return_large_blocks()
        self._limits = limits
        self._batch: RunningBatch | None = RunningBatch(forward, limits)
        self._flights: dict[Row, Flight] = {}
        self._thread.start()

    @property
    def requests_at_once(self) -> int:
        """The rows of a full batch."""
        return self._limits.rows

    async def generate(self, request: GenerationRequest) -> Completion:
        """Answer one request; see `Engine.generate`."""
        loop = asyncio.get_running_loop()
        return await self._completed(Flight(request, loop.create_future(), loop))

    async def stream(self, request: GenerationRequest, on_text: OnText) -> Completion:
        """Answer one request aloud; see `StreamingEngine.stream`."""
        loop = asyncio.get_running_loop()
        pieces = Pieces(on_text, loop, request.stop)
        return await self._completed(Flight(request, loop.create_future(), loop, pieces))

    @torch.inference_mode()
    def _drive(self) -> None:
        """Receive, step, deliver, until closed. Runs in the engine's own thread."""
        batch = self._batch
        assert batch is not None
        try:
            while self._receive(batch):
                failure: BaseException | None = None
                try:
                    self._withdraw(batch)
                    for row in batch.step():
                        self._deliver(row)
                except STEP_ERRORS as error:
                    failure = error
                if failure is not None:
                    self._recover(batch, failure)
        finally:
            self._fail(self._flights.values())
            self._flights = {}
            self._batch = None

    def _receive(self, batch: RunningBatch) -> bool:
        """Take what has arrived; wait for an arrival when there is nothing else to do. False when closing."""
        while True:
            try:
                flight = self._arrivals.get(block=not batch.busy)
            except queue.Empty:
                return True
            if flight is None:
                return False
            if flight.future.cancelled():
                continue
            try:
                row = self._row(flight)
            except InputError as error:
                settle(flight, error)
                continue
            except STEP_ERRORS as error:
                settle(flight, _failure("The request couldn't be prepared", error))
                continue
            if row.finish_reason:
                settle(flight, row.completion())
                continue
            self._flights[row] = flight
            batch.waiting.append(row)

    def _row(self, flight: Flight) -> Row:
        """Everything about a request that comes before the model."""
        request = flight.request
        prompt = self._prompts.token_ids(request.messages)
        if len(prompt) + request.max_tokens > self._context_tokens:
            raise PromptTooLongError(len(prompt), request.max_tokens, self._context_tokens)
        constraint = self._grammars.constraint(request)
        return Row(request, prompt, constraint, self._tokenizer, self._end_ids, flight.pieces)

    def _withdraw(self, batch: RunningBatch) -> None:
        """Drop the rows whose callers were cancelled."""
        for row in [row for row, flight in self._flights.items() if flight.future.cancelled()]:
            del self._flights[row]
        batch.withdraw(lambda row: row not in self._flights)

    def _deliver(self, row: Row) -> None:
        """Hand over what became of a row, unless it was withdrawn during its prefill."""
        if row in self._flights:
            outcome = row.completion() if row.failure is None else EngineError(row.failure)
            settle(self._flights.pop(row), outcome)

    def _recover(self, batch: RunningBatch, error: BaseException) -> None:
        """After a failed step: fail its rows, or begin again with less when memory ran out."""
        freed = batch.abandon()
        waiting = set(batch.waiting)
        rows = [row for row in self._flights if row not in waiting]
        if not rows:
            # It failed before it was for anybody, and would do so for ever.
            rows = list(self._flights)
            batch.waiting.clear()
        if _out_of_memory(error):
            # The traceback holds on to the tensors of the failed step.
            error = error.with_traceback(None)
            if torch.accelerator.is_available():
                torch.accelerator.empty_cache()
            if len(rows) > 1 or freed:
                batch.take_less(len(rows))
                for row in reversed(rows):
                    row.restart()
                    batch.waiting.appendleft(row)
                _LOG.warning(
                    "Memory ran out with %d rows; going on with at most %d and fewer prompts kept.",
                    len(rows),
                    batch.row_limit,
                )
                return
        for row in rows:
            settle(self._flights.pop(row), _failure("The model failed", error))


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Every token that ends a reply, by the generation config or the tokenizer."""
    configured = model.generation_config.eos_token_id if model.generation_config is not None else None
    listed = configured if isinstance(configured, list) else [configured]
    return frozenset(token for token in (*listed, tokenizer.eos_token_id) if token is not None)


def _out_of_memory(error: BaseException) -> bool:
    """Whether a GPU's or the machine's memory ran out; PyTorch has no type of its own for the latter."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def _failure(what: str, cause: BaseException) -> EngineError:
    """An error of one sentence that keeps its cause."""
    first_line = next(iter(str(cause).splitlines()), "") or type(cause).__name__
    error = EngineError(f"{what}: {first_line.rstrip('.')}.")
    error.__cause__ = cause
    return error
