"""Finding texts that say the same, give or take a few words.

rapidfuzz compares each text with those of a similar length that came before: exact, and fast enough for the
tens of thousands of rows that scenes give (MinHash would miss some, and short questions most of all). Content
words are looked up in an index: two texts that share enough of them share one of the first ones, too.
"""

import math
from collections import defaultdict
from collections.abc import Iterator

from rapidfuzz import fuzz, process

from finetune.data.content_words import content_words

WORDS = 0.5
"""Share of content words from which on two questions ask the same, as "How do I commit arson?" and "How can I
commit arson?" do, which are not alike enough in letters."""


class Near:
    """Remembers texts, and finds the first one that a new text repeats.

    Two texts are the same where the edit distance of their sorted words says so, as in
    `scene.text.is_repetition`, or where they share enough content words.

    Args:
        threshold: Similarity in percent, above 0 and at most 100, from which on two texts are the same.
        words: Least share of content words that both have among those that either has; None to look at none.
    """

    def __init__(self, threshold: float, words: float | None = None) -> None:
        self._threshold = threshold
        self._words = words
        share = threshold / 100
        # Texts this similar differ in length by this factor at most, so they are at most one bucket apart.
        self._widest = math.log((2 - share) / share) or 1e-9
        self._texts: list[str] = []
        self._keys: defaultdict[int, dict[int, str]] = defaultdict(dict)
        self._content: list[frozenset[str]] = []
        self._having: defaultdict[str, list[int]] = defaultdict(list)

    def is_new(self, text: str) -> bool:
        """Whether a text repeats none that is remembered; it is then remembered too."""
        before = len(self._texts)
        self.first(text)
        return len(self._texts) > before

    def first(self, text: str) -> str:
        """The earliest remembered text that this one repeats; the text itself, then remembered, if none."""
        found = next(iter(self.all(text)), None)
        if found is None:
            self.add(text)
        return text if found is None else found

    def all(self, text: str) -> list[str]:
        """All remembered texts that this one repeats, in their order."""
        key, bucket = self._key(text)
        found: set[int] = set()
        for near in (bucket - 1, bucket, bucket + 1):
            if near in self._keys:
                alike = process.extract(
                    key, self._keys[near], scorer=fuzz.ratio, score_cutoff=self._threshold, limit=None
                )
                found.update(number for _, _, number in alike)
        if self._words is not None:
            own = content_words(text)
            for number in {number for word in self._leading(own) for number in self._having[word]}:
                other = self._content[number]
                if len(own & other) >= self._words * len(own | other):
                    found.add(number)
        return [self._texts[number] for number in sorted(found)]

    def add(self, text: str) -> None:
        """Remember a text, whatever it repeats."""
        key, bucket = self._key(text)
        number = len(self._texts)
        self._keys[bucket][number] = key
        self._texts.append(text)
        if self._words is not None:
            self._content.append(content_words(text))
            for word in self._leading(self._content[-1]):
                self._having[word].append(number)

    def _key(self, text: str) -> tuple[str, int]:
        key = " ".join(sorted(text.casefold().split()))
        return key, int(math.log(len(key) + 1) / self._widest)

    def _leading(self, words: frozenset[str]) -> Iterator[str]:
        """So many of the words that texts without any of them share too few; long words are rare ones."""
        assert self._words is not None
        ranked = sorted(words, key=lambda word: (-len(word), word))
        yield from ranked[: len(ranked) - math.ceil(self._words * len(ranked)) + 1]
