"""Prompts cut into blocks of one page, so that it is quickly told what they have in common.

A block is named by its tokens and all tokens before it, so one look-up by name answers whether a whole
beginning is known.
"""

from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from typing import Generic, TypeVar

Kept = TypeVar("Kept")

PAGE = 16
"""Tokens in a page."""


def block_names(tokens: Sequence[int]) -> list[bytes]:
    """A name for each whole block of a prompt, equal only where everything up to the block's end is equal."""
    names = []
    name = b""
    for end in range(PAGE, len(tokens) + 1, PAGE):
        name = blake2b(name + array("q", tokens[end - PAGE : end]).tobytes(), digest_size=16).digest()
        names.append(name)
    return names


class KeptBlocks(Generic[Kept]):
    """What is kept of blocks, by their names; the least recently used make room.

    A block is never kept without those before it: using it uses them too, and they count as used after it.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()

    def known(self, blocks: Sequence[bytes]) -> int:
        """How many of a prompt's blocks are here, from its beginning."""
        return bisect_left(blocks, True, key=lambda name: name not in self._kept)

    def _use(self, blocks: Sequence[bytes]) -> None:
        """Count blocks as just used, the first one last."""
        for name in reversed(blocks):
            self._kept.move_to_end(name)


def common_blocks(one: Sequence[bytes], other: Sequence[bytes]) -> int:
    """How many blocks two prompts have in common from their beginning."""
    return bisect_left(range(min(len(one), len(other))), True, key=lambda at: one[at] != other[at])


def tokens_left(length: int, known_blocks: int) -> int:
    """Tokens of a prompt that are left to compute; the last one always is, since its logits are wanted."""
    return max(1, length - known_blocks * PAGE)
