"""One request while it is being answered: its tokens so far, and how it ends."""

from collections.abc import Callable, Collection, Iterator, Sequence

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from inference.batching.blocks import block_names
from inference.batching.constraints import Constraint, mask_logits
from inference.batching.sampling import AGAINST, Runs, Sampler, pick_tokens
from inference.batching.text_stream import TextStream, decode
from inference.batching.weighing import Weighing
from inference.engine import CLOSING_TOKENS, Completion, FinishReason, GenerationRequest
from inference.pieces import Pieces, before_stop, first_stop
from scene.thought import Said, heard


class Row:
    """A row of the running batch.

    Where there are `phrases`, the tokens of the request's choices, these are weighed and nothing is
    generated. `begun` is what of a thought stands at the end of the prompt, and `close` gives the tokens
    that end a thought at its cap.
    """

    def __init__(
        self,
        request: GenerationRequest,
        prompt: list[int],
        constraint: Constraint | None,
        tokenizer: PreTrainedTokenizerBase,
        end_ids: Collection[int],
        pieces: Pieces | None = None,
        phrases: Sequence[list[int]] = (),
        runs: Runs | None = None,
        begun: str = "",
        close: Callable[[str], list[int]] | None = None,
    ) -> None:
        self.request = request
        self.prompt = prompt
        self.blocks = block_names(prompt)
        self.fixed_blocks = 0
        self.cached_tokens = 0
        self.constraint = constraint
        self.sampler = Sampler(request.temperature, request.top_p, request.seed)
        self._tokenizer = tokenizer
        self._end_ids = end_ids
        self._pieces = pieces
        self._runs = runs
        self._phrases = phrases
        self._thought_begun = begun
        self._close = close if request.think_tokens else None
        self.weighing: Weighing | None = None
        self.generated: list[int] = []
        self.finish_reason: FinishReason | None = None
        self.failure: str | None = None
        self._known_text: str | None = None
        self._stream: TextStream | None = None
        self._begin()

    @property
    def room(self) -> int:
        """Tokens the row can grow to, prompt included."""
        return len(self.prompt) + max(map(len, self._phrases), default=self.request.room)

    @property
    def cached(self) -> int:
        """Tokens whose keys and values are computed, once the prompt's are: all but the last one."""
        return len(self.prompt) + len(self.generated) - 1

    @property
    def over(self) -> bool:
        """Whether there is nothing left to generate, be it for success or failure."""
        return self.finish_reason is not None or self.failure is not None

    def restart(self) -> None:
        """Forget the reply so far. Generating it again gives the same."""
        self.sampler.restart()
        if self.constraint is not None:
            self.constraint.restart()
        self._begin()

    def accept(self, token: int) -> None:
        """Append a generated token, and find out whether the reply ends with it.

        Raises:
            RuntimeError: The token breaks the row's constraint, which means that it was not masked.
        """
        self.generated.append(token)
        if token in self._end_ids:
            self.finish_reason = "stop"
            return
        if self.constraint is not None:
            self.constraint.accept(token)
        if self._stream is not None:
            self._stream.push(token)
            if self._pieces is not None:
                self._pieces.grow(self._thought_begun + self._stream.text)
            if self._close is not None:
                self._mind_thought(self._thought_begun + self._stream.text, self._close)
        self._look_for_end()
        if self.finish_reason is None:
            if len(self.generated) >= self.request.max_tokens + self._thought_tokens:
                self.finish_reason = "length"

    def next(self, picked: int) -> int:
        """The token to go on with: the one that was picked, unless a thought is being ended."""
        return self._forced.pop(0) if self._forced else picked

    def fits(self, token: int) -> bool:
        """Whether a token may follow."""
        return self.constraint is None or self.constraint.takes(token)

    def give_up(self) -> bool:
        """Whether no token at all may follow; then that is the row's failure."""
        if self.constraint is not None and self.constraint.stuck:
            self.failure = "The model's vocabulary can't spell what the constraint asks for."
        return self.failure is not None

    @property
    def unwanted(self) -> list[int]:
        """Tokens that would say again what should not come again."""
        return [] if self._runs is None else self._runs.ends(self.generated)

    def weigh(self, phrase: int, logits: Tensor) -> None:
        """Learn how likely the next tokens of a phrase are; see `Weighing.take`.

        Raises:
            ArithmeticError: The logits are no numbers.
        """
        assert self.weighing is not None
        self.weighing.take(phrase, logits)
        if self.weighing.done:
            found = self.weighing.likelihoods
            self._known_text = self.request.choices[found.index(max(found))]
            self.finish_reason = "stop"

    def completion(self) -> Completion:
        """What was generated. The row must have finished."""
        assert self.finish_reason is not None
        text = self._known_text
        if text is None:
            ended = bool(self.generated) and self.generated[-1] in self._end_ids
            kept = self.generated[:-1] if ended else self.generated
            text = decode(self._tokenizer, kept)
        said = self._said(text)
        return Completion(
            text=text if self.weighing else before_stop(said.text, self.request.stop),
            thought=said.thought,
            finish_reason=self.finish_reason,
            prompt_tokens=len(self.prompt),
            completion_tokens=self.weighing.computed if self.weighing else len(self.generated),
            cached_tokens=self.cached_tokens,
            likelihoods=self.weighing.likelihoods if self.weighing else (),
        )

    def _begin(self) -> None:
        self.generated = []
        self.weighing = Weighing(self._phrases) if self._phrases else None
        self.finish_reason = self.failure = self._known_text = None
        self._thought_tokens = 0
        self._forced: list[int] = []
        request = self.request
        watched = request.stop or request.choices or request.think_tokens or self._pieces is not None
        self._stream = TextStream(self._tokenizer) if watched else None
        self._look_for_end()

    def _said(self, text: str) -> Said:
        """What a reply says and what it thinks; one of a shape says all of it."""
        return Said("", text) if self.request.shaped else heard(self._thought_begun + text)

    def _mind_thought(self, text: str, close: Callable[[str], list[int]]) -> None:
        """Count the tokens of a thought, and end it where it has reached its cap."""
        if not heard(text).open:
            return
        cap = self.request.think_tokens
        if self._thought_tokens < cap <= len(self.generated):
            self._forced = close(text)
        self._thought_tokens = min(len(self.generated), cap + CLOSING_TOKENS)

    def _look_for_end(self) -> None:
        """Whether the text says that the reply is complete, without waiting for an end token."""
        text = self._stream.text if self._stream is not None else ""
        if self.constraint is not None:
            if self.request.choices:
                self._known_text = self.constraint.only_choice(text)
            if self._known_text is not None or self.constraint.finished:
                self.finish_reason = "stop"
                return
        if self.request.stop and first_stop(self._said(text).text, self.request.stop) is not None:
            self.finish_reason = "stop"


def extend(rows: Sequence[Row], logits: Tensor) -> None:
    """Give each row its next token, or let it weigh the first tokens of its phrases.

    The logits, float32, (rows, vocabulary), are changed in place.
    """
    for row, each in zip(rows, logits, strict=True):
        for phrase in range(len(row.request.choices) if row.weighing else 0):
            row.weigh(phrase, each[None])
    places = [place for place, row in enumerate(rows) if not row.weighing]
    if len(places) < len(rows):
        rows, logits = [rows[place] for place in places], logits[places]
    for own, row in zip(logits, rows, strict=True):
        if unwanted := row.unwanted:
            own[unwanted] -= AGAINST
    for row, token in _picked(rows, logits):
        row.accept(row.next(token))


def _picked(rows: Sequence[Row], logits: Tensor) -> Iterator[tuple[Row, int]]:
    """A token for each row that can go on.

    It is drawn from all tokens first, and where a row may not take it again from those that it may: together
    that is a draw from these alone, and it spares most of the masks.
    """
    if not rows:
        return
    masked = []
    for place, token in enumerate(pick_tokens(logits.clone(), [row.sampler for row in rows])):
        if rows[place].fits(token):
            yield rows[place], token
        elif not rows[place].give_up():
            masked.append(place)
    if masked:
        again = [rows[place] for place in masked]
        left = logits[masked]
        mask_logits(left, [row.constraint for row in again])
        yield from zip(again, pick_tokens(left, [row.sampler for row in again]), strict=True)
