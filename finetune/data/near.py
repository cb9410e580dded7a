"""Finding texts that say the same, give or take a few words.

rapidfuzz compares each text with those of a similar length that came before: exact, and fast enough for the
tens of thousands of rows that scenes give (MinHash would miss some, and short questions most of all).
"""

from __future__ import annotations

import math
from collections import defaultdict

from rapidfuzz import fuzz, process


class Near:
    """Remembers texts, and finds the first one that a new text repeats.

    Two texts are the same where the edit distance of their sorted words says so, as in
    `scene.text.is_repetition`.

    Args:
        threshold: Similarity in percent, above 0 and at most 100, from which on two texts are the same.
    """

    def __init__(self, threshold: float) -> None:
        """Remember nothing yet."""
        self._threshold = threshold
        share = threshold / 100
        # Texts this similar differ in length by this factor at most, so they are at most one bucket apart.
        self._widest = math.log((2 - share) / share) or 1e-9
        self._texts: list[str] = []
        self._keys: defaultdict[int, dict[int, str]] = defaultdict(dict)

    def is_new(self, text: str) -> bool:
        """Whether a text repeats none that is remembered; it is then remembered too."""
        before = len(self._texts)
        self.first(text)
        return len(self._texts) > before

    def first(self, text: str) -> str:
        """The earliest remembered text that this one repeats; the text itself, then remembered, if none."""
        key = " ".join(sorted(text.casefold().split()))
        bucket = int(math.log(len(key) + 1) / self._widest)
        found: list[int] = []
        for near in (bucket - 1, bucket, bucket + 1):
            if near in self._keys:
                alike = process.extract(
                    key, self._keys[near], scorer=fuzz.ratio, score_cutoff=self._threshold, limit=None
                )
                found += [number for _, _, number in alike]
        if found:
            return self._texts[min(found)]
        self._keys[bucket][len(self._texts)] = key
        self._texts.append(text)
        return text
