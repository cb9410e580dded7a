"""OpenVINO GenAI's continuous batching in the terms of our engines: chats and requests in, replies out."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from inference.control_tokens import SEAM, seamed
from inference.engine import ChatMessage, FinishReason, GenerationRequest
from inference.openvino_engine.adapter import adapter_config
from inference.patterns import literal, schema_pattern
from inference.stops import before_stop
from inference.system_role import fold_system, folds_system
from scene.errors import InputError, ModelLoadError

if TYPE_CHECKING:
    from inference.models.adapter import PlainAdapter

KV_CACHE_GIGABYTES = 2
"""Room for paged keys and values, prefix cache included. Qwen2.5-1.5B needs about 28 kB a token in f16."""

MAX_BATCHED_TOKENS = 512
"""Tokens computed in one step. Larger steps delay the rows that are generating; smaller ones waste cores."""

BLOCK_TOKENS = 32
"""Tokens in a block of OpenVINO's cache on a CPU. Only whole blocks are found again."""


def import_openvino() -> Any:
    """The library, without its telemetry.

    Importing it sends an event to Google Analytics and has no variable to switch that off. Where
    `openvino_telemetry` can't be imported whole, it takes a stub of its own that sends nothing.
    """
    sys.modules.setdefault("openvino_telemetry", ModuleType("openvino_telemetry"))
    import openvino_genai

    return openvino_genai


EXACT = {
    "INFERENCE_PRECISION_HINT": "f32",
    "KV_CACHE_PRECISION": "f16",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
}
"""By default OpenVINO rounds activations, keys and values more, and differently in different company."""


def _properties(threads: int | None, dtype: str) -> dict[str, Any]:
    """What a share of the processor and a number format mean to OpenVINO.

    A share's threads are not pinned: each process would pin its own to the first cores, and leave the others
    idle.
    """
    share = {} if threads is None else {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
    return share | (EXACT if dtype == "float32" else {})


class OpenVINOPipeline:
    """A loaded model. Everything but `token_ids` belongs to one thread.

    Args:
        path: GGUF file, or folder with `openvino_model.xml` and the tokenizer's models.
        adapter: A LoRA adapter to apply; only to a folder.
        threads: Processor threads to compute with; as OpenVINO likes when None.
        dtype: `auto`, or `float32`: slower, and a reply seldom depends on what else is under way.

    Raises:
        ModelLoadError: OpenVINO can't read the model or the adapter, or there is no chat template.

    Attributes:
        blocks: How many blocks of `BLOCK_TOKENS` the cache holds.
    """

    def __init__(
        self,
        path: Path,
        adapter: PlainAdapter | None = None,
        threads: int | None = None,
        dtype: str = "auto",
    ) -> None:
        """Load, and compute one token."""
        self._ov = ov = import_openvino()
        self._ids = itertools.count()
        scheduler = ov.SchedulerConfig()
        scheduler.cache_size = KV_CACHE_GIGABYTES
        scheduler.max_num_batched_tokens = MAX_BATCHED_TOKENS
        scheduler.enable_prefix_caching = True
        try:
            properties = _properties(threads, dtype)
            if adapter is not None:
                properties["adapters"] = adapter_config(adapter, ov)
            self._pipeline = ov.ContinuousBatchingPipeline(str(path), scheduler, "CPU", properties)
            self._tokenizer = self._pipeline.get_tokenizer()
            if adapter is not None and adapter.chat_template is not None:
                self._tokenizer.set_chat_template(adapter.chat_template)
            self.blocks = self._count_blocks()
        except RuntimeError as error:
            what = path if adapter is None else f"{path} with the adapter {adapter.path}"
            raise ModelLoadError(f"OpenVINO can't read {what}: {first_line(error)}") from error
        if not self._tokenizer.chat_template:
            raise ModelLoadError(f"{path} has no chat template; choose an instruction-tuned model.")
        words = self._tokenizer
        self._control_tokens = (words.get_bos_token(), words.get_eos_token(), words.get_pad_token())
        self._folds_system = folds_system(self._render, RuntimeError)

    def token_ids(self, messages: Sequence[ChatMessage]) -> Any:
        """Prompt tokens up to where the reply begins: a tensor, int64, (1, tokens). From any thread.

        Raises:
            InputError: The template refuses the messages.
        """
        try:
            prompt = self._render(fold_system(messages) if self._folds_system else messages)
        except RuntimeError as error:
            raise InputError(
                f"The model's chat template refuses these messages: {first_line(error)}"
            ) from error
        pieces = [self._tokenizer.encode(piece, add_special_tokens=False) for piece in prompt.split(SEAM)]
        return _joined([piece.input_ids for piece in pieces])

    def add(self, input_ids: Any, request: GenerationRequest, pattern: str | None) -> Any:
        """Let a request join the next step; its handle."""
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
            # Left to the library, it takes away every token that has a part of it, if need be all of them.
            config.include_stop_str_in_output = True
        if pattern is not None:
            structured = self._ov.StructuredOutputConfig()
            structured.regex = pattern
            config.structured_output_config = structured
        return self._pipeline.add_request(next(self._ids), input_ids, config)

    @property
    def busy(self) -> bool:
        """Whether a step has anything to compute."""
        return bool(self._pipeline.has_non_finished_requests())

    def step(self) -> None:
        """Compute one step.

        Raises:
            RuntimeError: It failed, and the pipeline will fail again until all requests are cancelled.
        """
        self._pipeline.step()

    def flush(self) -> None:
        """Let go of the cache blocks of requests that were all cancelled."""
        if self.busy:
            self.step()

    def refusal(self, pattern: str) -> str | None:
        """Why the grammar compiler refuses a pattern; None if it takes it. The pipeline must not be busy.

        The compiler runs when the first token of a request is chosen, so a request of one token asks it.
        """
        handle = self._add_shortest(pattern)
        try:
            self.step()
        except RuntimeError as error:
            handle.cancel()
            self.flush()
            return str(error)
        return None

    def state(self, handle: Any) -> str:
        """`RUNNING`, `FINISHED`, or how else a request ended."""
        return str(handle.get_status().name)

    def read(self, handle: Any) -> list[int]:
        """The tokens generated since this was last asked. There must be some."""
        (output,) = handle.read().values()
        return list(output.generated_ids)

    def text(self, ids: Sequence[int]) -> str:
        """Tokens as text, without special ones."""
        return str(self._tokenizer.decode(list(ids)))

    def reply(
        self, handle: Any, stop: tuple[str, ...], before: Sequence[int]
    ) -> tuple[str, FinishReason, int]:
        """Text of a finished request, why it ended and how many tokens it took. To be read once.

        Args:
            handle: The request.
            stop: Its stop strings.
            before: Tokens of it that were read already.
        """
        (output,) = handle.read_all()
        ids = [*before, *output.generated_ids]
        capped = output.finish_reason == self._ov.GenerationFinishReason.LENGTH
        return before_stop(self.text(ids), stop), "length" if capped else "stop", len(ids)

    def _render(self, messages: Sequence[ChatMessage]) -> str:
        history = [
            {"role": message.role, "content": seamed(message.content, self._control_tokens)}
            for message in messages
        ]
        return str(self._tokenizer.apply_chat_template(history, add_generation_prompt=True))

    def _add_shortest(self, pattern: str | None = None) -> Any:
        """Add a request of a few tokens that generates one."""
        request = GenerationRequest(messages=(ChatMessage("user", "."),), max_tokens=1)
        return self.add(self._tokenizer.encode(".", add_special_tokens=False).input_ids, request, pattern)

    def _count_blocks(self) -> int:
        """How many blocks the cache holds, seen from the share of it that one takes."""
        handle = self._add_shortest()
        self.step()
        percent = float(self._pipeline.get_metrics().cache_usage)
        del handle  # not before: a request without a handle is dropped
        return round(100 / percent)


def _joined(pieces: Sequence[Any]) -> Any:
    """Tensors of tokens as one."""
    if len(pieces) == 1:
        return pieces[0]
    import numpy

    return type(pieces[0])(numpy.concatenate([piece.data for piece in pieces], axis=1))


def request_pattern(request: GenerationRequest) -> str | None:
    """The regular expression that a reply must match; None if it is free.

    Raises:
        InputError: The schema can't be written as one.
    """
    if request.schema is not None:
        return schema_pattern(request.schema)
    if request.choices:
        return "|".join(map(literal, request.choices))
    return request.pattern


def first_line(error: Exception) -> str:
    """What an error of the library says, without the places in its source before and after."""
    lines = [line.strip() for line in str(error).splitlines()]
    said = [line for line in lines if line and not line.startswith(("Exception from ", "Check '"))]
    return (said or [line for line in lines if line] or [type(error).__name__])[0]
