"""Which requests wait while another computes the beginning that they share.

An engine with a prefix cache still computes a shared beginning once for each request that arrives before
the first of them is through it. Here the first goes ahead, and the crowd behind it waits for its prefill.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Container, Sequence

Beginnings = tuple[int, ...]
"""A prompt as its whole blocks, each told by a hash of all tokens up to its end. Equal beginnings have equal
hashes, so the first that differs says how much two prompts share."""


class PrefixWarming:
    """Keeps book of which beginnings an engine has computed and which it is computing now.

    A request is asked about by `admit` until that lets it go, then accounted for once: by `computed` when its
    prefill is over, or by `withdrawn` when it left before. Nobody waits for a prefill that is not under way,
    and who has waited for one does not pay for what it computed.

    Args:
        block: Tokens in a block of the engine's cache.
        worth: Tokens that waiting must save.
        kept: Blocks to remember, at least 1; less than the engine's cache holds, so that what is remembered
            is still there.
    """

    def __init__(self, *, block: int, worth: int, kept: int) -> None:
        """Start with nothing computed."""
        self._block = block
        self._worth = worth
        self._kept = kept
        self._done: OrderedDict[int, None] = OrderedDict()
        self._under_way: Counter[int] = Counter()

    def beginnings(self, tokens: Sequence[int]) -> Beginnings:
        """What is asked about: the prompt's whole blocks."""
        hashes: list[int] = []
        before = 0
        for start in range(0, len(tokens) - self._block + 1, self._block):
            before = hash((before, *tokens[start : start + self._block]))
            hashes.append(before)
        return tuple(hashes)

    def admit(self, beginnings: Beginnings) -> int | None:
        """Let a request go, or hold it back.

        Returns:
            How many of its tokens need not be computed any more; None if it is to wait.
        """
        known = _leading(beginnings, self._done, 0)
        shared = _leading(beginnings, self._under_way, known)
        if (shared - known) * self._block >= self._worth:
            return None
        self._under_way.update(beginnings)
        self._remember(beginnings[:known])
        return known * self._block

    def computed(self, beginnings: Beginnings) -> None:
        """Note that the prefill of an admitted request is over."""
        self.withdrawn(beginnings)
        self._remember(beginnings)

    def withdrawn(self, beginnings: Beginnings) -> None:
        """Note that an admitted request left before its prefill was over."""
        for beginning in beginnings:
            self._under_way[beginning] -= 1
            if not self._under_way[beginning]:
                del self._under_way[beginning]

    def _remember(self, beginnings: Beginnings) -> None:
        """Make these the last to be forgotten, and of these the first blocks last: all others need them."""
        for beginning in reversed(beginnings):
            self._done[beginning] = None
            self._done.move_to_end(beginning)
        while len(self._done) > self._kept:
            self._done.popitem(last=False)


def _leading(beginnings: Beginnings, known: Container[int], start: int) -> int:
    """How many blocks from the front are known, the first `start` taken for granted."""
    count = start
    while count < len(beginnings) and beginnings[count] in known:
        count += 1
    return count
