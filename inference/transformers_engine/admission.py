"""Who is computed next: which waiting rows share a pass, and what is computed once for many of them.

The row that has waited longest always goes first. For the others it is only asked whether they go with it, so
nobody is overtaken for ever.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from inference.batching.blocks import PAGE, common_blocks, tokens_left
from inference.batching.row import Row
from inference.transformers_engine.limits import Limits
from inference.transformers_engine.prefix_cache import PrefixCache

LOOKAHEAD = 256
"""Waiting rows that are looked at, which takes a few microseconds each."""


@dataclass(frozen=True, slots=True)
class Intake:
    """What to compute next.

    Attributes:
        rows: The rows it is for, at least one.
        ahead: Blocks of the first row's prompt to compute once for all of the rows, which then wait on; 0
            when it is the rows themselves whose turn it is.
    """

    rows: list[Row]
    ahead: int = 0


def choose(
    waiting: Collection[Row], running: Sequence[Row], row_limit: int, limits: Limits, prefixes: PrefixCache
) -> Intake | None:
    """Choose among the waiting rows.

    None when nobody waits or there is no room.
    """
    window = list(islice(waiting, LOOKAHEAD))
    # The padded length of rows that wait for each other is at most the longest room of any.
    room = max((row.room for row in (*running, *window[:1])), default=0)
    count = len(running) + 1
    if not window or count > row_limit or (running and count * room > limits.cached_tokens):
        return None
    known = {row: prefixes.known(row.blocks) for row in window}
    crowds = _crowds(window, known, prefixes.most_blocks, limits.pass_tokens)
    leader, *others = window
    if leader in crowds:
        return Intake(crowds[leader].rows[:row_limit], crowds[leader].ahead)

    left = {row: tokens_left(len(row.prompt), known[row]) for row in window}
    start = slice(max(0, known[leader] - 1), known[leader])
    others = [row for row in others if row not in crowds]
    others.sort(key=lambda row: (row.blocks[start] != leader.blocks[start], abs(left[row] - left[leader])))
    rows, width, total = [leader], left[leader], left[leader]
    for row in others:
        padded = (len(rows) + 1) * max(width, left[row])
        if padded > limits.prefill_tokens or padded - total - left[row] > limits.pass_tokens:
            continue
        if count == row_limit or (count + 1) * max(room, row.room) > limits.cached_tokens:
            continue
        rows.append(row)
        count, room = count + 1, max(room, row.room)
        width, total = max(width, left[row]), total + left[row]
    return Intake(rows)


def _crowds(
    window: Sequence[Row], known: Mapping[Row, int], most_blocks: int, worth: int
) -> dict[Row, Intake]:
    """Rows that had better wait until what they share has been computed once.

    For each such row it says what to compute for it and those like it, if more tokens than `worth` are
    spared.
    """
    groups: defaultdict[bytes, list[Row]] = defaultdict(list)
    for row in window:
        if known[row] < min(len(row.blocks), most_blocks):
            groups[row.blocks[known[row]]].append(row)
    crowds: dict[Row, Intake] = {}
    for group in groups.values():
        first = group[0]
        depths = [min(common_blocks(first.blocks, row.blocks), most_blocks) for row in group]
        spared, ahead = max(
            (others * (depth - known[first]) * PAGE, depth)
            for others, depth in enumerate(sorted(depths, reverse=True))
        )
        if spared > worth:
            sharing = [row for row, depth in zip(group, depths, strict=True) if depth >= ahead]
            crowds |= dict.fromkeys(group, Intake(sharing, ahead))
    return crowds
