"""How far a training has come, told after every step. Heavy: transformers comes with it."""

from __future__ import annotations

import time
from collections.abc import Callable

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from finetune.training import Step


class Reporting(TrainerCallback):
    """Tells somebody how far the training has come.

    Args:
        on_step: Called after every step, in the main process.
    """

    def __init__(self, on_step: Callable[[Step], None]) -> None:
        """Nothing is known yet."""
        self._on_step = on_step
        self._began = 0.0
        self._from = (0, 0)
        self._loss: float | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Start the clock."""
        self._began = time.monotonic()
        self._from = (state.global_step, state.num_input_tokens_seen)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
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

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        """Keep the loss."""
        self._loss = (logs or {}).get("loss", self._loss)
