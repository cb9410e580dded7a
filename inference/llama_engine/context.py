"""Computing with a model: tokens at positions of sequences in, logits out.

A context has so many cells, each of which holds one token's keys and values and belongs to one or more
sequences. The library believes whatever it is told, and ends the process or computes nonsense where that was
wrong, so everything is checked here before it goes down.
"""

import ctypes
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.llama_engine.library import load_library
from inference.llama_engine.model import LlamaModel
from scene.errors import ModelLoadError

_MOVES = 200
"""Times that cells are moved at most until they lie together; some dozens of pieces are moved at a time."""


class NoRoomError(RuntimeError):
    """The free cells don't suffice. Nothing has changed."""


class AbortedError(RuntimeError):
    """A computation was cut short by `abort`. What it was to add to its sequences is gone."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens that continue a sequence.

    The logits of its last `wanted` tokens are wanted.
    """

    sequence: int
    tokens: Sequence[int]
    wanted: int = 0


class LlamaContext:
    """Keys and values of some sequences, and the means to continue them.

    Its cells hold the tokens of all sequences, shared beginnings counted once. An adapter is a pointer to
    it, and its scale.

    Raises:
        ModelLoadError: There is not enough memory.
    """

    def __init__(
        self,
        model: LlamaModel,
        *,
        cells: int,
        sequences: int,
        batch_tokens: int,
        threads: int,
        adapter: tuple[int, float] | None = None,
    ) -> None:
        self._library = load_library()
        self._model = model
        params = self._library.llama_context_default_params()
        params.n_ctx = cells
        # One batch is one pass. The library aborts on more than n_batch and splits more than n_ubatch.
        params.n_batch = params.n_ubatch = batch_tokens
        params.n_seq_max = sequences
        params.n_threads = params.n_threads_batch = threads
        # With several sequences in a batch it computes something else.
        params.flash_attn = False
        # It leaves out what a LoRA adapter adds to these matrices.
        params.fused_up_gate = adapter is None
        self._pointer: int | None = self._library.llama_init_from_model(model.pointer, params)
        if not self._pointer:
            raise ModelLoadError(f"{model.name} does not fit into memory with {cells} tokens; use less.")
        # The library rounds up what it is asked for.
        self.cells = int(self._library.llama_n_ctx(self._pointer))
        self.batch_tokens = min(
            int(self._library.llama_n_batch(self._pointer)), int(self._library.llama_n_ubatch(self._pointer))
        )
        self._view = self._library.llama_kv_cache_view_init(self._pointer, 1)
        self._lengths = [0] * sequences
        self._arrays = _BatchArrays(self.batch_tokens)
        if adapter is not None:
            pointer, scale = adapter
            if self._library.llama_lora_adapter_set(self._pointer, pointer, scale):
                raise ModelLoadError(f"The adapter can't be put on {model.name}; use another engine.")
        self._abort = ctypes.create_string_buffer(2)
        # Asked between any two operations, so it must not be Python, which would wait for other threads:
        # the length of an empty text is 0, which reads as "go on", and that of any other is not.
        c_library = ctypes.CDLL("msvcrt" if sys.platform == "win32" else None)
        strlen = ctypes.cast(c_library.strlen, ctypes.c_void_p)
        self._library.llama_set_abort_callback(self._pointer, strlen, ctypes.addressof(self._abort))

    @property
    def used(self) -> int:
        """Cells that hold something."""
        return int(self._library.llama_get_kv_cache_used_cells(self._pointer))

    @property
    def free(self) -> int:
        """Cells that hold nothing."""
        return self.cells - self.used

    def length(self, sequence: int) -> int:
        """Tokens that a sequence has."""
        return self._lengths[sequence]

    def compute(self, pieces: Sequence[Piece]) -> NDArray[np.float32]:
        """Continue some sequences in one pass, each with one piece.

        Returns:
            Logits, (tokens wanted, vocabulary), in the order of the pieces. They lie in the library's own
            memory until the next pass, and may be changed.

        Raises:
            NoRoomError: The cells don't suffice.
            AbortedError: `abort` was called.
            RuntimeError: The library failed.
            ValueError: There is no such sequence or token, or more than a batch holds.
        """
        self._check(pieces)
        total = sum(len(piece.tokens) for piece in pieces)
        if total > self.free:
            raise NoRoomError(f"{total} more tokens don't fit into {self.cells} cells")
        self._close_up()
        rows = self._arrays.fill([(piece, self._lengths[piece.sequence]) for piece in pieces])
        if code := self._decode(pieces):
            raise RuntimeError(f"llama.cpp failed with code {code}")
        for piece in pieces:
            self._lengths[piece.sequence] += len(piece.tokens)
        if not rows:
            return np.empty((0, self._model.vocabulary), dtype=np.float32)
        first = self._library.llama_get_logits_ith(self._pointer, rows[0])
        if not first:
            raise RuntimeError("llama.cpp gave no logits")
        return np.ctypeslib.as_array(first, (len(rows), self._model.vocabulary))

    def share(self, source: int, target: int, length: int) -> None:
        """Let an empty sequence, or one that was loaded from `length` on, begin with another's tokens.

        They take no more cells than before.
        """
        self._check_sequence(source)
        self._check_sequence(target)
        if source == target or not 0 <= length <= self._lengths[source]:
            raise ValueError(f"no {length} tokens of sequence {source} for {target}")
        if length:
            self._library.llama_kv_cache_seq_cp(self._pointer, source, target, 0, length)
        self._lengths[target] = max(self._lengths[target], length)

    def cut(self, sequence: int, length: int) -> None:
        """Let a sequence end after so many tokens."""
        self._check_sequence(sequence)
        if not 0 <= length <= self._lengths[sequence]:
            raise ValueError(f"sequence {sequence} has no {length} tokens")
        self._library.llama_kv_cache_seq_rm(self._pointer, sequence, length, -1)
        self._lengths[sequence] = length

    def clear(self) -> None:
        """Let all sequences be empty."""
        self._library.llama_kv_cache_clear(self._pointer)
        self._lengths = [0] * len(self._lengths)

    def save(self, sequence: int) -> NDArray[np.uint8]:
        """A sequence's keys and values as bytes."""
        self._check_sequence(sequence)
        size = int(self._library.llama_state_seq_get_size(self._pointer, sequence, 0))
        data = np.empty(size, dtype=np.uint8)
        written = self._library.llama_state_seq_get_data(
            self._pointer, data.ctypes.data_as(ctypes.c_void_p), size, sequence, 0
        )
        if written != size:
            raise RuntimeError(f"llama.cpp wrote {written} bytes of a sequence that has {size}")
        return data

    def load(self, sequence: int, data: NDArray[np.uint8], end: int) -> None:
        """Give an empty sequence what another one had: what `save` gave, its positions all below `end`.

        Raises:
            NoRoomError: The cells don't suffice.
        """
        self._check_sequence(sequence)
        if self._lengths[sequence]:
            raise ValueError(f"sequence {sequence} is not empty")
        tokens = int(data[:4].view(np.int32)[0])
        if tokens > self.free:
            raise NoRoomError(f"{tokens} more tokens don't fit into {self.cells} cells")
        self._close_up()
        if not self._set(sequence, data, end):
            raise RuntimeError("llama.cpp can't load a sequence that it has saved")
        self._lengths[sequence] = end

    def abort(self) -> None:
        """Cut short what is being computed, and whatever is computed from now on. From any thread."""
        self._abort[0] = b"x"

    def close(self) -> None:
        """Free the cells."""
        if self._pointer:
            self._library.llama_kv_cache_view_free(self._view)
            self._library.llama_free(self._pointer)
            self._pointer = None

    def _decode(self, pieces: Sequence[Piece]) -> int:
        """Compute what the arrays say. Where that fails, what it has left of the pieces is taken away."""
        code = int(self._library.llama_decode(self._pointer, self._arrays.batch))
        # A pass that was cut short says that all went well.
        aborted = self._abort.value != b""
        if code or aborted:
            for piece in pieces:
                self.cut(piece.sequence, self._lengths[piece.sequence])
        if aborted:
            raise AbortedError("the computation was cut short")
        return code

    def _set(self, sequence: int, data: NDArray[np.uint8], end: int) -> bool:
        read = self._library.llama_state_seq_set_data(
            self._pointer, data.ctypes.data_as(ctypes.c_void_p), data.nbytes, sequence, 0
        )
        last = self._library.llama_kv_cache_seq_pos_max(self._pointer, sequence)
        if read == data.nbytes and last == end - 1:
            return True
        self._library.llama_kv_cache_seq_rm(self._pointer, sequence, -1, -1)
        return False

    def _close_up(self) -> None:
        """Move what cells hold together, so that all the free ones come after them.

        The library wants cells in one piece for what it computes. Worse, it takes for granted that nothing a
        token attends to lies behind that token's own cell, and leaves it out where it does.
        """
        for _ in range(_MOVES):
            self._library.llama_kv_cache_view_update(self._pointer, self._view)
            if self._view.max_contiguous == self.free and self._view.max_contiguous_idx in (self.used, -1):
                return
            self._library.llama_kv_cache_defrag(self._pointer)
            if self._library.llama_kv_cache_update(self._pointer):
                break
        raise RuntimeError("llama.cpp can't move its cells together")

    def _check(self, pieces: Sequence[Piece]) -> None:
        if not pieces or sum(len(piece.tokens) for piece in pieces) > self.batch_tokens:
            raise ValueError(f"a batch has 1 to {self.batch_tokens} tokens")
        if len({piece.sequence for piece in pieces}) < len(pieces):
            raise ValueError("a sequence is in the batch twice")
        for piece in pieces:
            self._check_sequence(piece.sequence)
            if not piece.tokens or not 0 <= piece.wanted <= len(piece.tokens):
                raise ValueError(f"{piece.wanted} logits of {len(piece.tokens)} tokens")
            if min(piece.tokens) < 0 or max(piece.tokens) >= self._model.vocabulary:
                raise ValueError(f"the model has tokens 0 to {self._model.vocabulary - 1}")

    def _check_sequence(self, sequence: int) -> None:
        if not 0 <= sequence < len(self._lengths):
            raise ValueError(f"there is no sequence {sequence}")


class _BatchArrays:
    """Memory for one batch, used again for each."""

    def __init__(self, size: int) -> None:
        from ik_llama_cpp._ctypes_api import llama_batch

        self._tokens = np.zeros(size, dtype=np.int32)
        self._positions = np.zeros(size, dtype=np.int32)
        self._sequences = np.zeros(size, dtype=np.int32)
        self._ones = np.ones(size, dtype=np.int32)
        self._wanted = np.zeros(size, dtype=np.int8)
        pointer = ctypes.POINTER(ctypes.c_int32)
        step = self._sequences.itemsize
        start = self._sequences.ctypes.data
        self._lists = (pointer * size)(*(ctypes.cast(start + step * index, pointer) for index in range(size)))
        self.batch = llama_batch(
            n_tokens=0,
            token=self._tokens.ctypes.data_as(pointer),
            pos=self._positions.ctypes.data_as(pointer),
            n_seq_id=self._ones.ctypes.data_as(pointer),
            seq_id=self._lists,
            logits=self._wanted.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )

    def fill(self, pieces: Sequence[tuple[Piece, int]]) -> list[int]:
        """Write pieces and the positions at which they begin; gives the places whose logits are wanted."""
        rows: list[int] = []
        start = 0
        for piece, position in pieces:
            count = len(piece.tokens)
            end = start + count
            self._tokens[start:end] = piece.tokens
            self._positions[start:end] = np.arange(position, position + count)
            self._sequences[start:end] = piece.sequence
            self._wanted[start:end] = 0
            self._wanted[end - piece.wanted : end] = 1
            rows += range(end - piece.wanted, end)
            start = end
        self.batch.n_tokens = start
        return rows
