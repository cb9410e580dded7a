"""The running batch: who is computed next, and how rows share cells.

Rows come in one after the other. The prompt of the one that came last is computed in pieces beside the tokens
of those that are answering; then the next one comes in, and begins with what it has in common with any of
them. Everything here runs in the engine's one thread.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from inference.batching.blocks import PAGE, common_blocks
from inference.batching.row import Row, extend
from inference.llama_engine.beginnings import Beginnings
from inference.llama_engine.context import LlamaContext, Piece
from inference.llama_engine.limits import Limits
from inference.llama_engine.model import LlamaModel
from inference.llama_engine.states import PrefixStore, join, split
from scene.errors import ModelLoadError

_CELL_UNIT = 256


@dataclass(slots=True, eq=False)
class _Seat:
    """A row, the sequence that holds its tokens, and those that hold the phrases that it weighs."""

    row: Row
    sequence: int
    forks: dict[int, int] = field(default_factory=dict)


class RunningBatch:
    """Decides who is computed next, and computes it."""

    def __init__(
        self,
        model: LlamaModel,
        limits: Limits,
        threads: int,
        adapter: tuple[int, float] | None = None,
        beginnings: Beginnings | None = None,
    ) -> None:
        self._model = model
        self._limits = limits
        self._threads = threads
        self._adapter = adapter
        self._context = self._with_cells(limits.cells)
        self._prefixes = PrefixStore(limits.prefix_bytes)
        self._beginnings = beginnings if limits.prefix_bytes else None
        self.waiting: deque[Row] = deque()
        self._seats: list[_Seat] = []
        self._free, self._spare = self._all_free()

    @property
    def busy(self) -> bool:
        """Whether a step would do anything."""
        return bool(self.waiting or self._seats)

    def step(self) -> list[Row]:
        """Generate one token for every row that has its prompt, and compute some more of another's prompt."""
        failed: list[Row] = []
        weighed = self._compose_phrases()
        phrases = [piece for _, _, piece in weighed]
        pieces, answering = self._compose(failed, sum(piece.wanted for piece in phrases))
        if pieces or phrases:
            # Cells of phrases are soon free again: they had better come last.
            logits = torch.from_numpy(self._context.compute(pieces + phrases))
            extend(answering, logits[: len(answering)])
            self._weigh(weighed, logits[len(answering) :])
        answering += [seat.row for seat, _, _ in weighed]
        for seat in [seat for seat in self._seats if seat.row.over]:
            self._leave(seat)
        return failed + [row for row in dict.fromkeys(answering) if row.over]

    def withdraw(self, unwanted: Callable[[Row], bool]) -> None:
        """Drop rows that nobody waits for any more, wherever they are."""
        self.waiting = deque(row for row in self.waiting if not unwanted(row))
        for seat in [seat for seat in self._seats if unwanted(seat.row)]:
            self._leave(seat)

    def abandon(self) -> bool:
        """Drop everything computed, and who it was computed for. Other waiting rows stay."""
        self._seats = []
        self._free, self._spare = self._all_free()
        self._context.clear()
        # What a failed pass has left there is not to be trusted.
        return self._prefixes.clear()

    def abort(self) -> None:
        """Cut short what is being computed, and whatever is from now on. From any thread."""
        self._context.abort()

    def close(self) -> None:
        """Free the cells."""
        self._context.close()

    def _all_free(self) -> tuple[list[int], list[int]]:
        """Sequences for rows, and for phrases: one that each row has begun, and what else a pass begins."""
        rows = self._limits.rows
        return list(range(rows)), list(range(rows, 2 * rows + self._limits.step_tokens))

    def _compose_phrases(self) -> list[tuple[_Seat, int, Piece]]:
        """What to compute of the phrases that rows weigh: for whom, of which phrase, and the tokens."""
        weighing = [seat for seat in self._seats if seat.row.weighing and not self._to_compute(seat)]
        room = self._limits.step_tokens - len(self._seats) + len(weighing)
        composed: list[tuple[_Seat, int, Piece]] = []
        for seat in weighing:
            assert seat.row.weighing is not None
            for phrase in seat.row.weighing.unfinished():
                tokens = seat.row.weighing.left(phrase)[:room]
                if not tokens:
                    break
                if phrase not in seat.forks:
                    seat.forks[phrase] = self._spare.pop()
                    self._context.share(seat.sequence, seat.forks[phrase], len(seat.row.prompt))
                composed.append((seat, phrase, Piece(seat.forks[phrase], tokens, len(tokens))))
                room -= len(tokens)
        return composed

    def _weigh(self, composed: list[tuple[_Seat, int, Piece]], logits: torch.Tensor) -> None:
        """Tell rows how likely their phrases are, and free the cells of those that are complete."""
        wanted = [piece.wanted for _, _, piece in composed]
        for (seat, phrase, _), each in zip(composed, logits.split(wanted), strict=True):
            seat.row.weigh(phrase, each)
            assert seat.row.weighing is not None
            if not seat.row.weighing.left(phrase):
                self._drop(seat, phrase)

    def _drop(self, seat: _Seat, phrase: int) -> None:
        sequence = seat.forks.pop(phrase)
        self._context.cut(sequence, 0)
        self._spare.append(sequence)

    def _compose(self, failed: list[Row], taken: int) -> tuple[list[Piece], list[Row]]:
        """What to compute in one pass beside phrases, and which rows get a token from it."""
        pieces: list[Piece] = []
        answering: list[Row] = []
        beginning: _Seat | None = None
        for seat in self._seats:
            if self._to_compute(seat):
                beginning = seat
            elif not seat.row.weighing:
                pieces.append(Piece(seat.sequence, seat.row.generated[-1:], 1))
                answering.append(seat.row)
        room = self._limits.step_tokens - len(pieces) - taken
        while room > 0:
            if beginning is None:
                beginning = self._admit(failed)
                if beginning is None:
                    break
            row, done = beginning.row, self._context.length(beginning.sequence)
            tokens = row.prompt[done : done + room]
            whole = done + len(tokens) == len(row.prompt)
            pieces.append(Piece(beginning.sequence, tokens, int(whole)))
            room -= len(tokens)
            if not whole:
                break
            answering.append(row)
            if self.waiting and PAGE * common_blocks(self.waiting[0].blocks, row.blocks) > done:
                # It had better wait until what they share has been computed.
                break
            beginning = None
        return pieces, answering

    def _to_compute(self, seat: _Seat) -> int:
        """Tokens of a row's prompt that are not computed yet."""
        return max(0, len(seat.row.prompt) - self._context.length(seat.sequence))

    def _admit(self, failed: list[Row]) -> _Seat | None:
        """Give the row that has waited longest a sequence, if there is room for it."""
        if not self.waiting or not self._free:
            return None
        row = self.waiting[0]
        if not self._seats and self._room(row) > self._context.cells and not self._enlarge(row):
            failed.append(self.waiting.popleft())
            return None
        neighbour = max(self._seats, key=lambda seat: self._common(row, seat), default=None)
        shared = 0 if neighbour is None else self._common(row, neighbour)
        if self._seats:
            growth = sum(self._room(seat.row) - self._context.length(seat.sequence) for seat in self._seats)
            if self._context.used + growth + self._room(row) - shared > self._context.cells:
                return None
            if self._context.used + len(row.prompt) - shared > self._limits.crowded:
                return None
        self.waiting.popleft()
        seat = _Seat(row, self._free.pop())
        self._begin(seat, neighbour, shared)
        self._seats.append(seat)
        return seat

    def _room(self, row: Row) -> int:
        """Cells that a row can come to need: of several phrases, one may have been begun before a pass."""
        return row.room + (self._limits.step_tokens if row.weighing else 0)

    def _common(self, row: Row, seat: _Seat) -> int:
        """Tokens with which a row's prompt begins that a running row has computed."""
        same = PAGE * common_blocks(row.blocks, seat.row.blocks)
        return min(same, self._context.length(seat.sequence), len(row.prompt) - 1)

    def _begin(self, seat: _Seat, neighbour: _Seat | None, shared: int) -> None:
        """Let a row begin with what a running row has of its prompt, and with what waits in memory."""
        row, sequence = seat.row, seat.sequence
        self._fetch_beginning(row, shared)
        known = self._prefixes.known(row.blocks)
        if known * PAGE > shared:
            first = shared // PAGE
            shared = first * PAGE
            pages = self._prefixes.pages(row.blocks[:known], first)
            self._context.load(sequence, join(pages, shared), known * PAGE)
        if neighbour is not None:
            self._context.share(neighbour.sequence, sequence, shared)
        # The last token is always computed, since its logits are wanted.
        self._context.cut(sequence, min(self._context.length(sequence), len(row.prompt) - 1))
        row.cached_tokens = self._context.length(sequence)

    def _leave(self, seat: _Seat) -> None:
        """Free a row's cells, and keep what others may begin with."""
        row, sequence = seat.row, seat.sequence
        for phrase in list(seat.forks):
            self._drop(seat, phrase)
        whole = row.blocks[: self._context.length(sequence) // PAGE]
        known = self._prefixes.known(whole)
        if known < len(whole) and self._limits.prefix_bytes:
            end = len(whole) * PAGE
            self._context.cut(sequence, end)
            pages = split(self._context.save(sequence), self._model.layers, PAGE)
            self._prefixes.keep(whole, pages[known:])
        self._keep_beginning(row)
        self._context.cut(sequence, 0)
        self._seats.remove(seat)
        self._free.append(sequence)

    def _fetch_beginning(self, row: Row, shared: int) -> None:
        """Get the beginning of a row's prompt from disk if neither memory nor another row has it."""
        fixed = row.blocks[: row.fixed_blocks]
        known = self._prefixes.known(fixed)
        if self._beginnings is None or max(known * PAGE, shared) >= len(fixed) * PAGE:
            return
        if (pages := self._beginnings.read(fixed)) is not None:
            self._prefixes.keep(fixed, pages[known:])

    def _keep_beginning(self, row: Row) -> None:
        """Put the beginning of a row's prompt on disk if it is only in memory."""
        fixed = row.blocks[: row.fixed_blocks]
        if self._beginnings is None or not fixed or self._prefixes.known(fixed) < len(fixed):
            return
        if not self._beginnings.has(fixed):
            self._beginnings.write(fixed, self._prefixes.pages(fixed, 0))

    def _enlarge(self, row: Row) -> bool:
        """Make room for a row that is longer than all cells; it fails where memory does not suffice."""
        self._context.close()
        cells = -(-self._room(row) // _CELL_UNIT) * _CELL_UNIT
        try:
            self._context = self._with_cells(cells)
        except ModelLoadError:
            row.failure = f"There is not enough memory for a request of {row.room} tokens; ask for less."
            self._context = self._with_cells(self._limits.cells)
        return row.failure is None

    def _with_cells(self, cells: int) -> LlamaContext:
        return LlamaContext(
            self._model,
            cells=cells,
            sequences=2 * self._limits.rows + self._limits.step_tokens,
            batch_tokens=self._limits.step_tokens,
            threads=self._threads,
            adapter=self._adapter,
        )
