"""Continuous batching for a GGUF file on a CPU, computed by llama.cpp's C functions."""

import os

from transformers import PreTrainedTokenizerBase

from inference.batching.blocks import block_names, common_blocks
from inference.batching.driver import BatchEngine
from inference.batching.row import Row
from inference.end_tokens import end_tokens
from inference.engine import ChatMessage
from inference.flight import Flight
from inference.llama_engine.batch import RunningBatch
from inference.llama_engine.beginnings import Beginnings
from inference.llama_engine.limits import Limits
from inference.llama_engine.model import LlamaModel
from scene.nouns import ModelIdentity


class LlamaEngine(BatchEngine[RunningBatch]):
    """Runs a model that the library has loaded, and frees it in the end.

    It computes with as many threads as this process may use where None are given.

    Raises:
        ModelLoadError: The model has no chat template or no end token, or there is not enough memory.
    """

    def __init__(
        self,
        model: LlamaModel,
        tokenizer: PreTrainedTokenizerBase,
        identity: ModelIdentity,
        context_tokens: int,
        *,
        adapter: tuple[int, float] | None = None,
        threads: int | None = None,
        limits: Limits | None = None,
        beginnings: Beginnings | None = None,
    ) -> None:
        self._model = model
        limits = limits or Limits()
        self._computing = RunningBatch(model, limits, threads or usable_cores(), adapter, beginnings)
        super().__init__(
            tokenizer=tokenizer,
            vocabulary=model.vocabulary,
            end_ids=frozenset(end_tokens(tokenizer, None)),
            identity=identity,
            context_tokens=context_tokens,
            batch=self._computing,
            rows=limits.rows,
        )

    def _row(self, flight: Flight) -> Row:
        """See which blocks of the prompt are the fixed messages': the same whatever the others say."""
        row = super()._row(flight)
        fixed, messages = flight.request.fixed, flight.request.messages
        if fixed:
            others = (ChatMessage(message.role, ".") for message in messages[fixed:])
            other_prompt = self._prompts.token_ids((*messages[:fixed], *others))
            row.fixed_blocks = common_blocks(row.blocks, block_names(other_prompt))
        return row

    def _interrupt(self) -> None:
        self._computing.abort()

    def _let_go(self) -> None:
        self._computing.close()
        self._model.close()


def usable_cores() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
