"""Continuous batching for any causal language model of transformers, on a CPU or a GPU.

What prompts have in common from their beginning is computed once and kept.
"""

import logging
from collections.abc import Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from inference.batching.driver import BatchEngine
from inference.batching.row import Row
from inference.end_tokens import end_tokens
from inference.heap import return_large_blocks
from inference.transformers_engine.decoding import RunningBatch
from inference.transformers_engine.forward import ForwardPass
from inference.transformers_engine.limits import ACCELERATOR_LIMITS, CPU_LIMITS, Limits
from inference.transformers_engine.pretrained import is_out_of_memory
from scene.nouns import ModelIdentity

_LOG = logging.getLogger(__name__)


class TransformersEngine(BatchEngine[RunningBatch]):
    """Runs a model that transformers has loaded.

    Its weights must stay as they are, since the keys and values of prompts are kept. Limits follow from the
    device where None are given.

    Raises:
        ModelLoadError: The model has no chat template, no end token or can't be batched.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        identity: ModelIdentity,
        context_tokens: int,
        limits: Limits | None = None,
    ) -> None:
        forward = ForwardPass(model, identity.id)
        self._interrupted = forward.interrupted
        if limits is None:
            limits = CPU_LIMITS if forward.device.type == "cpu" else ACCELERATOR_LIMITS
        if forward.device.type == "cpu":
            return_large_blocks()
        super().__init__(
            tokenizer=tokenizer,
            vocabulary=forward.vocabulary,
            end_ids=frozenset(end_tokens(tokenizer, model)),
            identity=identity,
            context_tokens=context_tokens,
            batch=RunningBatch(forward, limits),
            rows=limits.rows,
        )

    def _retry(self, batch: RunningBatch, rows: Sequence[Row], error: BaseException, *, freed: bool) -> bool:
        """Begin again with less when memory ran out."""
        if not (isinstance(error, torch.OutOfMemoryError) or is_out_of_memory(error)):
            return False
        # The traceback holds on to the tensors of the failed step.
        error.with_traceback(None)
        if torch.accelerator.is_available():
            torch.accelerator.empty_cache()
        if len(rows) <= 1 and not freed:
            return False
        batch.take_less(len(rows))
        for row in reversed(rows):
            row.restart()
            batch.waiting.appendleft(row)
        _LOG.warning(
            "Memory ran out with %d rows; going on with at most %d and fewer prompts kept.",
            len(rows),
            batch.row_limit,
        )
        return True

    def _interrupt(self) -> None:
        self._interrupted.set()
