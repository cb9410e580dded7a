"""Text of a growing list of tokens, decoded as it grows."""

from __future__ import annotations

from transformers import PreTrainedTokenizerBase

LONGEST_CHARACTER = 8
"""Tokens a character can be spread over, with room to spare: UTF-8 uses at most four bytes for one."""

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def decode(tokenizer: PreTrainedTokenizerBase, tokens: list[int]) -> str:
    """Text of tokens, without special ones and exactly as generated."""
    return str(tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))


class TextStream:
    """Decodes token by token, at a cost that doesn't grow with the text.

    A character split over tokens shows up with its last token.

    Args:
        tokenizer: The model's tokenizer.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Start with an empty text."""
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
