"""A request on its way into an engine's thread, and the way back to whoever asked."""

from concurrent.futures import Future
from dataclasses import dataclass, field

from inference.engine import Completion, GenerationRequest
from inference.pieces import Pieces

STEP_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, OSError, RuntimeError,
    TypeError, ValueError,
)  # fmt: skip
"""What a model's forward pass, a tokenizer or a native library may raise. The requests it was for fail; the
engine goes on."""


@dataclass(slots=True, eq=False)
class Flight:
    """A request and who waits for it."""

    request: GenerationRequest
    pieces: Pieces | None = None
    future: Future[Completion] = field(default_factory=Future)


def settle(flight: Flight, outcome: Completion | Exception) -> None:
    """Deliver to whoever asked, unless that was cancelled. From any thread."""
    if flight.pieces is not None and isinstance(outcome, Completion):
        outcome = flight.pieces.finish(outcome)
    if not flight.future.set_running_or_notify_cancel():
        return
    if isinstance(outcome, Exception):
        flight.future.set_exception(outcome)
    else:
        flight.future.set_result(outcome)
