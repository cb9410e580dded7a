"""A request on its way into an engine's thread, and the way back to the event loop that asked."""

import asyncio
import logging
from dataclasses import dataclass

from inference.engine import Completion, GenerationRequest
from inference.pieces import Pieces

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
