"""Two answers compared: sentence by sentence first, then word by word where sentences are alike."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby

from rapidfuzz.distance import LCSseq, Opcode

_SENTENCE = re.compile(r"\S.*?(?:(?<!\d)[.!?…][\"'”’)\]*_`]*(?=\s)|(?=\n)|\Z)\s*|\s+", re.DOTALL)
_WORD = re.compile(r"\S+\s*|\s+")

ALIKE = 0.5
"""Share of common words from which on two passages are compared word by word."""

SHORT_RUN = 2
"""Runs of fewer common words between two changes count as changed too: they are chance."""


@dataclass(frozen=True)
class Piece:
    """A stretch of an answer that is either in both or in one of them."""

    text: str
    changed: bool


@dataclass(frozen=True)
class Sentence:
    """A sentence of an answer in pieces, and the white space after it, which is never a difference."""

    pieces: tuple[Piece, ...]
    space: str

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(piece.text for piece in self.pieces) + self.space

    @property
    def changed(self) -> bool:
        """Whether the other answer lacks any of it."""
        return any(piece.changed for piece in self.pieces)


@dataclass(frozen=True)
class Block:
    """A stretch of both sequences, as ranges: the same in both, or not."""

    same: bool
    first: slice
    final: slice


def compare(first: str, final: str) -> tuple[list[Sentence], list[Sentence]]:
    """The sentences of two answers, with what is in one of them alone marked.

    White space does not count: a line broken elsewhere is no change.
    """
    ours, theirs = _SENTENCE.findall(first), _SENTENCE.findall(final)
    left: list[Sentence] = []
    right: list[Sentence] = []
    for block in _blocks(ours, theirs):
        if block.same:
            left += [_whole(text, changed=False) for text in ours[block.first]]
            right += [_whole(text, changed=False) for text in theirs[block.final]]
        else:
            one, other = _word_by_word(ours[block.first], theirs[block.final])
            left += one
            right += other
    return left, right


def _whole(text: str, *, changed: bool) -> Sentence:
    return _sentence([Piece(text, changed)])


def _sentence(pieces: Sequence[Piece]) -> Sentence:
    *before, last = pieces
    said = last.text.rstrip()
    return Sentence((*before, Piece(said, last.changed and bool(said))), last.text[len(said) :])


def _word_by_word(ours: list[str], theirs: list[str]) -> tuple[list[Sentence], list[Sentence]]:
    """Two runs of sentences that differ; marked as a whole where they have little in common."""
    left = [_WORD.findall(text) for text in ours]
    right = [_WORD.findall(text) for text in theirs]
    one, other = list(chain.from_iterable(left)), list(chain.from_iterable(right))
    blocks = list(_blocks(one, other, SHORT_RUN))
    common = sum(block.first.stop - block.first.start for block in blocks if block.same)
    if common < ALIKE * max(len(one), len(other)):
        return [_whole(text, changed=True) for text in ours], [_whole(text, changed=True) for text in theirs]
    marks: tuple[set[int], set[int]] = (set(), set())
    for block in blocks:
        if not block.same:
            marks[0].update(range(block.first.start, block.first.stop))
            marks[1].update(range(block.final.start, block.final.stop))
    return list(_sentences(left, marks[0])), list(_sentences(right, marks[1]))


def _sentences(sentences: Sequence[Sequence[str]], marked: set[int]) -> Iterator[Sentence]:
    """Sentences of words, with the words at some places of their joined sequence marked."""
    place = 0
    for words in sentences:
        pieces: list[Piece] = []
        for word in words:
            changed = place in marked
            if pieces and pieces[-1].changed == changed:
                pieces[-1] = Piece(pieces[-1].text + word, changed)
            else:
                pieces.append(Piece(word, changed))
            place += 1
        yield _sentence(pieces)


def _blocks(one: Sequence[str], other: Sequence[str], short: int = 0) -> Iterator[Block]:
    """Stretches of two sequences in their order; common ones shorter than `short` count as different."""
    codes = list(LCSseq.opcodes([part.strip() for part in one], [part.strip() for part in other]))

    def is_same(code: Opcode) -> bool:
        inside = code not in (codes[0], codes[-1])
        return code.tag == "equal" and not (inside and code.src_end - code.src_start < short)

    for same, group in groupby(codes, is_same):
        run = list(group)
        first = slice(run[0].src_start, run[-1].src_end)
        yield Block(same, first, slice(run[0].dest_start, run[-1].dest_end))
