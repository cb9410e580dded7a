"""Examples to tokens: which of them the loss counts is decided here, and nowhere else.

It counts the answer and the first token that ends it. The prompt is made of the very tokens that the model is
given when it answers; what a template writes after that token is left out: ChatML's line break, or the second
end token of Phi. A control token that is spelled in a row is learned as the letters it is spelled with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from finetune.examples import Example
from inference.batching.chat_prompt import ChatPrompts
from inference.end_tokens import end_tokens
from inference.engine import ChatMessage
from scene.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

IGNORED = -100
"""Label of a token that the loss does not count."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Tokens of a prompt and of the answer with its end token."""

    prompt: list[int]
    answer: list[int]

    def cut(self, most: int) -> Encoded:
        """The same with no more than so many tokens; what is over is cut from the answer's end."""
        return Encoded(self.prompt, self.answer[: max(0, most - len(self.prompt))])


@dataclass(slots=True)
class Lengths:
    """What became of the rows of a split.

    For KTO each answer is a row. `counted` are the tokens that the loss counts; `truncated` rows had their
    answer cut, so that they don't teach to end; `dropped` ones are left out, since their prompt alone fills
    the length, and `parts` says of which parts they are, where that is known. `unlearned` answers are to be
    avoided.
    """

    rows: int = 0
    tokens: int = 0
    counted: int = 0
    truncated: int = 0
    dropped: int = 0
    parts: Counter[str] = field(default_factory=Counter)
    unlearned: int = 0

    def too_long(self) -> str:
        """How many rows were left out for their length and, where that is known, of which parts."""
        named = ", ".join(f"{count:,} {part}" for part, count in sorted(self.parts.items()))
        return f"{self.dropped:,}" + (f" ({named})" if named else "")


class Encoder:
    """Encodes for one model.

    Raises:
        ModelLoadError: There is no chat template.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel | None, name: str) -> None:
        self._tokenizer = tokenizer
        self._prompts = ChatPrompts(tokenizer, name)
        self._name = name
        self.ends = frozenset(end_tokens(tokenizer, model))

    def encode(self, messages: Sequence[ChatMessage], answer: str) -> Encoded:
        """Tokens of an exchange.

        Raises:
            InputError: The chat template can't be masked.
        """
        prompt, tail = self._prompts.exchange(messages, answer)
        prompt_ids = self._prompts.ids(prompt)
        ids = self._prompts.ids(prompt + tail)
        if ids[: len(prompt_ids)] != prompt_ids:
            raise self._unmaskable("tokens of prompt and answer run into each other")
        rest = ids[len(prompt_ids) :]
        ends = [place for place, token in enumerate(rest) if token in self.ends]
        if not ends:
            raise self._unmaskable("it does not end an answer with an end token")
        if not self._is_blank(rest[ends[-1] + 1 :]):
            raise self._unmaskable("it goes on after the end token")
        end = ends.pop()
        # Some templates write two end tokens; the model stops at the first, and never writes the other.
        while ends and self._is_blank(rest[ends[-1] + 1 : end]):
            end = ends.pop()
        return Encoded(prompt_ids, rest[: end + 1])

    def _is_blank(self, ids: list[int]) -> bool:
        return not str(self._tokenizer.decode(ids)).strip()

    def _unmaskable(self, why: str) -> InputError:
        return InputError(
            f"The chat template of {self._name} can't be trained on: {why}; give the model another template."
        )


@dataclass
class EncodedSplit:
    """Rows as the trainers take them, and an account of them."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    lengths: Lengths = field(default_factory=Lengths)


def encode_split(
    encoder: Encoder, examples: Iterable[Example], max_length: int, *, apart: bool = False
) -> EncodedSplit:
    """Encode examples for `SFTTrainer` (`input_ids`, `labels`) or, where they hold two answers, `DPOTrainer`.

    Taken `apart`, each answer is a row of its own, for `KTOTrainer`.

    Raises:
        InputError: The chat template can't be masked.
    """
    split = EncodedSplit()
    for example in examples:
        said = {True: example.answer, False: example.rejected}
        answers = {learned: answer for learned, answer in said.items() if answer is not None}
        encoded = [encoder.encode(example.prompt, answer) for answer in answers.values()]
        cut = [one.cut(max_length) for one in encoded]
        lengths, rows = split.lengths, len(cut) if apart else 1
        if not all(one.answer for one in cut):
            lengths.dropped += rows
            lengths.parts.update([example.part] * rows if example.part else [])
            continue
        lengths.rows += rows
        lengths.truncated += sum(map(Encoded.__ne__, cut, encoded)) if apart else cut != encoded
        lengths.tokens += sum(len(one.prompt) + len(one.answer) for one in cut)
        lengths.counted += sum(len(one.answer) for one in cut)
        if apart:
            lengths.unlearned += False in answers
            split.rows += map(_judged, cut, answers)
        else:
            split.rows.append(_preference(*cut) if len(cut) > 1 else _completion(cut[0]))
    return split


def encode_splits(
    encoder: Encoder, examples: Mapping[str, Iterable[Example]], max_length: int, *, apart: bool
) -> dict[str, EncodedSplit]:
    """Encode all splits, `train` among them; see `encode_split`.

    Raises:
        InputError: The chat template can't be masked, or rows to be taken apart all ask the same.
    """
    splits = {name: encode_split(encoder, own, max_length, apart=apart) for name, own in examples.items()}
    if apart and splits["train"].rows:
        _mismatch(splits, max_length)
    return splits


def _mismatch(splits: Mapping[str, EncodedSplit], max_length: int) -> None:
    """Give each row for `KTOTrainer` the answer to another prompt (`KL_completion_ids`).

    How likely those are tells how far the model has moved from its base. TRL takes the answers of the same
    batch, so that its batches can't be shuffled, and an answer may come to its own prompt. Here they are of
    the next rows to train on that ask something else.
    """
    pool = splits["train"].rows
    for split in splits.values():
        for place, row in enumerate(split.rows):
            ahead = (pool[(place + step) % len(pool)] for step in range(1, len(pool)))
            other = next((one for one in ahead if one["prompt_ids"] != row["prompt_ids"]), None)
            if other is None:
                raise InputError("kto compares answers to different prompts; all rows here have the same.")
            row["KL_completion_ids"] = other["completion_ids"][: max_length - len(row["prompt_ids"])]


def _completion(one: Encoded) -> dict[str, list[int]]:
    return {"input_ids": one.prompt + one.answer, "labels": [IGNORED] * len(one.prompt) + one.answer}


def _judged(one: Encoded, learned: bool) -> dict[str, Any]:
    return {"prompt_ids": one.prompt, "completion_ids": one.answer, "label": learned}


def _preference(chosen: Encoded, rejected: Encoded) -> dict[str, list[int]]:
    return {"prompt_ids": chosen.prompt, "chosen_ids": chosen.answer, "rejected_ids": rejected.answer}
