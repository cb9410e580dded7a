"""A request on its way into an engine's thread, and the way back to the event loop that asked."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from inference.engine import Completion, GenerationRequest
from inference.pieces import Pieces
from scene.errors import EngineError
from scene.nouns import ModelIdentity

_LOG = logging.getLogger(__name__)

STEP_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a model's forward pass, a tokenizer or a native library may raise. The requests it was for fail; the
engine goes on."""


@dataclass(slots=True, eq=False)
class Flight:
    """A request and who waits for it."""

    request: GenerationRequest
    future: asyncio.Future[Completion]
    loop: asyncio.AbstractEventLoop
    pieces: Pieces | None = None


def settle(flight: Flight, outcome: Completion | Exception) -> None:
    """Deliver to the event loop that asked, unless it is gone or no longer interested. From any thread."""
    if flight.pieces is not None and isinstance(outcome, Completion):
        outcome = flight.pieces.finish(outcome)

    def deliver() -> None:
        if not flight.future.done():
            if isinstance(outcome, Exception):
                flight.future.set_exception(outcome)
            else:
                flight.future.set_result(outcome)

    try:
        flight.loop.call_soon_threadsafe(deliver)
    except RuntimeError:
        _LOG.debug("The event loop that asked was closed before its answer came.")


AnyFlight = TypeVar("AnyFlight", bound=Flight)


class ThreadedEngine(Generic[AnyFlight]):
    """What engines share whose model is driven by a thread of their own.

    The thread takes flights from `_arrivals`, where None says that the engine is to close.
    """

    def __init__(self, identity: ModelIdentity, name: str) -> None:
        """Leave it to the engine to start the thread, once there is something to drive."""
        self._identity = identity
        self._arrivals: queue.SimpleQueue[AnyFlight | None] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._drive, name=name, daemon=True)

    @property
    def identity(self) -> ModelIdentity:
        """Which model this is."""
        return self._identity

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

    async def _completed(self, flight: AnyFlight) -> Completion:
        """Hand a flight to the thread, and wait for what becomes of it."""
        with self._closing:
            if self._closed:
                raise EngineError("The engine was closed.")
            self._arrivals.put(flight)
        return await flight.future

    def _drive(self) -> None:
        """Receive, step, deliver, until closed; then `_fail` who is left. Runs in the engine's own thread."""
        raise NotImplementedError

    def _fail(self, under_way: Iterable[AnyFlight]) -> None:
        """Fail whoever is under way or still waits, and refuse whoever comes."""
        with self._closing:
            self._closed = True
        left = list(under_way)
        while not self._arrivals.empty():
            late = self._arrivals.get()
            if late is not None:
                left.append(late)
        for flight in left:
            settle(flight, EngineError("The engine was closed."))
