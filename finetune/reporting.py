"""How far a training has come, and how long it took. Heavy: transformers comes with it."""

import time
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback, TrainerState
from transformers.trainer_callback import ExportableState

from finetune.training import Step


class Reporting(TrainerCallback):
    """Tells somebody how far the training has come."""

    def __init__(self, on_step: Callable[[Step], None]) -> None:
        self._on_step = on_step
        self._began = 0.0
        self._from = (0, 0)
        self._loss: float | None = None

    def on_train_begin(self, args: object, state: TrainerState, *rest: object, **kwargs: object) -> None:
        """Start the clock."""
        self._began = time.monotonic()
        self._from = (state.global_step, state.num_input_tokens_seen)

    def on_step_end(self, args: object, state: TrainerState, *rest: object, **kwargs: object) -> None:
        """Report, once a step is done."""
        if not state.is_world_process_zero:
            return
        seconds = max(time.monotonic() - self._began, 1e-9)
        steps, tokens = state.global_step - self._from[0], state.num_input_tokens_seen - self._from[1]
        self._on_step(
            Step(
                step=state.global_step,
                steps=state.max_steps,
                loss=self._loss,
                tokens_per_second=tokens / seconds,
                seconds_left=seconds / steps * (state.max_steps - state.global_step),
            )
        )

    def on_log(self, *args: object, logs: dict[str, float] | None = None, **kwargs: object) -> None:
        """Keep the loss."""
        self._loss = (logs or {}).get("loss", self._loss)


class NoStepLeftError(Exception):
    """A training was gone on with that had done all its steps."""


class LastStep(TrainerCallback):
    """Ends a training that is gone on with after its last step, once the checkpoint is loaded.

    Where the last step is not that of an epoch, the trainer would take one more before it looks.
    """

    def on_epoch_begin(self, args: object, state: TrainerState, *rest: object, **kwargs: object) -> None:
        """Look first."""
        if state.global_step >= state.max_steps:
            raise NoStepLeftError


class Clock(TrainerCallback, ExportableState):
    """Counts the seconds of a training over all the runs that it took.

    They are kept in the checkpoints. Steps that a kill took away are done again, and count once.

    Attributes:
        seconds: So many, up to the last save or, once the training has ended, to its end.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._last: float | None = None

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps; the trainer asks for it when it writes one."""
        self._tick()
        return {"args": {}, "attributes": {"seconds": self.seconds}}

    def on_train_begin(self, args: object, state: TrainerState, *rest: object, **kwargs: object) -> None:
        """Go on from what the checkpoint says; one that older code wrote says nothing."""
        callbacks: Any = state.stateful_callbacks  # a dictionary by now, whatever it is declared as
        kept = callbacks.setdefault(type(self).__name__, self.state())
        self.seconds = kept["attributes"]["seconds"]
        self._last = time.monotonic()

    def on_train_end(self, args: object, state: TrainerState, *rest: object, **kwargs: object) -> None:
        """Stop."""
        self._tick()
        self._last = None

    def _tick(self) -> None:
        if self._last is not None:
            now = time.monotonic()
            self.seconds += now - self._last
            self._last = now
