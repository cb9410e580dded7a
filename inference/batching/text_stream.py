"""Text of a growing list of tokens, decoded as it grows."""

from itertools import groupby
from weakref import WeakKeyDictionary

from transformers import PreTrainedTokenizerBase

from scene.thought import marks_among

LONGEST_CHARACTER = 8
"""Tokens a character can be spread over, with room to spare: UTF-8 uses at most four bytes for one."""

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


_MARKS: WeakKeyDictionary[PreTrainedTokenizerBase, dict[int, str]] = WeakKeyDictionary()
"""Of each tokenizer the special tokens that part a thought from an answer."""


def decode(tokenizer: PreTrainedTokenizerBase, tokens: list[int]) -> str:
    """Text of tokens exactly as generated, without special ones but those that part thoughts from answers."""
    if tokenizer not in _MARKS:
        special = {i: token.content for i, token in tokenizer.added_tokens_decoder.items() if token.special}
        marks = marks_among(special.values())
        _MARKS[tokenizer] = {i: token for i, token in special.items() if token in marks}
    marked = _MARKS[tokenizer]
    if marked.keys().isdisjoint(tokens):
        return _plain(tokenizer, tokens)
    runs = groupby(tokens, key=marked.get)
    return "".join(
        _plain(tokenizer, list(run)) if mark is None else mark * len(list(run)) for mark, run in runs
    )


def _plain(tokenizer: PreTrainedTokenizerBase, tokens: list[int]) -> str:
    return str(tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))


class TextStream:
    """Decodes token by token, at a cost that doesn't grow with the text.

    A character split over tokens shows up with its last token.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self.text = ""
        self._tail: list[int] = []
        self._shown = 0

    def push(self, token: int) -> None:
        """Append a token, and its text once it is whole."""
        self._tail.append(token)
        # Decoding a few earlier tokens along keeps the spaces that a tokenizer drops at the start.
        before = decode(self._tokenizer, self._tail[: self._shown])
        after = decode(self._tokenizer, self._tail)
        unfinished = after.endswith(_REPLACEMENT) and len(self._tail) - self._shown < LONGEST_CHARACTER
        if not unfinished:
            self.text += after[len(before) :]
            del self._tail[: self._shown]
            self._shown = len(self._tail)
