"""The thread that serves requests with a model of this process, whatever computes with it.

One thread drives the model. Requests wait in a queue, join the running batch between two tokens and leave
it with their last one, so a short choice never waits for somebody else's long answer.
"""

import asyncio
import queue
import re
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Generic, Protocol, TypeVar

import torch
from transformers import PreTrainedTokenizerBase

from inference.batching.chat_prompt import ChatPrompts
from inference.batching.constraints import GrammarCache
from inference.batching.row import Row
from inference.batching.sampling import Runs
from inference.engine import Completion, GenerationRequest, OnText
from inference.flight import STEP_ERRORS, Flight, settle
from inference.pieces import Pieces
from scene.errors import EngineError, InputError, ModelLoadError, PromptTooLongError, reason
from scene.nouns import ModelIdentity
from scene.thought import closing


class Batch(Protocol):
    """Rows that are computed together. It decides who is next; only the engine's thread calls it."""

    waiting: deque[Row]

    @property
    def busy(self) -> bool:
        """Whether a step would do anything."""

    def step(self) -> list[Row]:
        """Compute something for somebody; the rows that are over."""

    def withdraw(self, unwanted: Callable[[Row], bool]) -> None:
        """Drop rows that nobody waits for any more, wherever they are."""

    def abandon(self) -> bool:
        """Drop everything computed, and who it was for; waiting rows stay. Says whether prompts were kept."""


B = TypeVar("B", bound=Batch)


class BatchEngine(Generic[B]):
    """Everything of an engine but the computing.

    Raises:
        ModelLoadError: The model has no chat template or no end token.
    """

    constrains = True
    weighs = True

    def __init__(
        self,
        *,
        tokenizer: PreTrainedTokenizerBase,
        vocabulary: int,
        end_ids: Collection[int],
        identity: ModelIdentity,
        context_tokens: int,
        batch: B,
        rows: int,
    ) -> None:
        if not end_ids:
            raise ModelLoadError(f"{identity.id} names no end token; set eos_token_id in its tokenizer.")
        self.identity, self.requests_at_once = identity, rows
        self._tokenizer = tokenizer
        self._context_tokens = context_tokens
        self._prompts = ChatPrompts(tokenizer, identity.id)
        self._end_ids = end_ids
        self._grammars = GrammarCache(tokenizer, vocabulary, end_ids)
        self._batch: B | None = batch
        self._flights: dict[Row, Flight] = {}
        # None says that the engine is to close.
        self._arrivals: queue.SimpleQueue[Flight | None] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._drive, name=f"{identity.engine}-engine", daemon=True)
        self._thread.start()

    async def generate(self, request: GenerationRequest) -> Completion:
        """Answer one request; see `Engine.generate`."""
        return await self._completed(Flight(request))

    async def stream(self, request: GenerationRequest, on_text: OnText) -> Completion:
        """Answer one request aloud; see `StreamingEngine.stream`."""
        return await self._completed(
            Flight(request, Pieces(on_text, asyncio.get_running_loop(), request.stop))
        )

    def close(self) -> None:
        """Stop the thread; requests under way fail."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._arrivals.put(None)
        self._interrupt()
        self._thread.join()

    def _interrupt(self) -> None:
        """Cut short what is being computed, where that can be done. Called when closing, from any thread."""

    async def _completed(self, flight: Flight) -> Completion:
        with self._closing:
            if self._closed:
                raise EngineError("The engine was closed.")
            self._arrivals.put(flight)
        return await asyncio.wrap_future(flight.future)

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
            self._fail_all()
            self._batch = None
            self._let_go()

    def _fail_all(self) -> None:
        """Fail whoever is under way or still waits, and refuse whoever comes."""
        with self._closing:
            self._closed = True
        left: list[Flight | None] = list(self._flights.values())
        self._flights = {}
        while not self._arrivals.empty():
            left.append(self._arrivals.get())
        for flight in filter(None, left):
            settle(flight, EngineError("The engine was closed."))

    def _receive(self, batch: B) -> bool:
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
        begun = ""
        if request.think_tokens:
            prompt, begun = self._prompts.thinking(request.messages)
        else:
            prompt = self._prompts.token_ids(request.messages)
        weighed = request.choices if request.weigh else ()
        phrases = [self._prompts.ids(self._prompts.seamed(choice)) for choice in weighed]
        if not all(phrases):
            raise InputError("A choice to be weighed is empty; give every one a text.")
        room = max(map(len, phrases), default=request.room)
        if len(prompt) + room > self._context_tokens:
            raise PromptTooLongError(len(prompt), room, self._context_tokens)
        constraint = None if phrases else self._grammars.constraint(request)
        runs = None
        if request.avoid:
            # Said in the middle of a reply it begins with a blank.
            texts = (self._prompts.seamed(f"{start}{text}") for text in request.avoid for start in ("", " "))
            runs = Runs(map(self._prompts.ids, texts), self._inside_a_word)
        return Row(
            request,
            prompt,
            constraint,
            self._tokenizer,
            self._end_ids,
            flight.pieces,
            phrases,
            runs,
            begun,
            lambda text: self._prompts.ids(closing(text)),
        )

    def _inside_a_word(self, token: int) -> bool:
        """Whether a token goes on with a word; one that begins a word has a mark of the blank before it."""
        return bool(re.match(r"[a-zA-Z0-9']", str(self._tokenizer.convert_ids_to_tokens(token))))

    def _withdraw(self, batch: B) -> None:
        for row in [row for row, flight in self._flights.items() if flight.future.cancelled()]:
            del self._flights[row]
        batch.withdraw(lambda row: row not in self._flights)

    def _deliver(self, row: Row) -> None:
        """Hand over what became of a row, unless it was withdrawn during its prefill."""
        if row in self._flights:
            outcome = row.completion() if row.failure is None else EngineError(row.failure)
            settle(self._flights.pop(row), outcome)

    def _recover(self, batch: B, error: BaseException) -> None:
        """After a failed step: fail its rows, unless they can begin again."""
        freed = batch.abandon()
        waiting = set(batch.waiting)
        rows = [row for row in self._flights if row not in waiting]
        if not rows:
            # It failed before it was for anybody, and would do so for ever.
            rows = list(self._flights)
            batch.waiting.clear()
        if self._closed or self._retry(batch, rows, error, freed=freed):  # the closing sees to the rows
            return
        for row in rows:
            settle(self._flights.pop(row), _failure("The model failed", error))

    def _retry(self, batch: B, rows: Sequence[Row], error: BaseException, *, freed: bool) -> bool:
        """Let rows of a failed step begin again, if there is a way in which they may get through.

        Says whether they wait again.
        """
        return False

    def _let_go(self) -> None:
        """Free what does not free itself. Called last, in the engine's thread."""


def _failure(what: str, cause: BaseException) -> EngineError:
    """An error of one sentence that keeps its cause."""
    error = EngineError(f"{what}: {reason(cause)}.")
    error.__cause__ = cause
    return error
