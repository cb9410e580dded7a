"""How many scenes run side by side: as many as the engine gains from, measured as it goes."""

import time
from collections.abc import Callable

from scene.record import ModelCall, NodeCost

FIRST_SHARE = 8
"""What part of the most that may run side by side is tried first, on a processor."""

GAIN = 1.1
"""What a wider batch has to bring, for its scenes to end later: so many times the tokens a second."""

REMEMBERED = 8
"""After how many measurements one counts no longer, since a machine gets other work."""


class Width:
    """Goes up and down in steps of two, to the narrowest that a wider one does not beat.

    A width is measured over as many scenes as run side by side, so that beginnings and ends of scenes, which
    are other work for an engine, are in it alike. It begins `wide`, with the most, on a GPU, which a few
    scenes leave idle; where it is not `measured` it stays there.
    """

    def __init__(
        self,
        most: int,
        *,
        measured: bool = True,
        wide: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._measured = measured
        self._clock = clock
        self.now = min(most, max(2, most // FIRST_SHARE)) if measured and not wide else most
        self._rates: dict[int, tuple[int, float]] = {}
        self._measurements = 0
        self._begin()

    def spent(self, cost: ModelCall | NodeCost) -> None:
        """Count the tokens that were computed for a call."""
        self._tokens += cost.prompt_tokens - cost.cached_tokens + cost.completion_tokens

    def ended(self, running: int) -> None:
        """A scene has ended, one of so many; decide on the width once enough of them have."""
        if not self._measured or running > self.now:
            self._begin()
            return
        self._scenes += 1
        seconds = self._clock() - self._began
        if self._scenes < self.now or seconds <= 0:
            return
        self._measurements += 1
        self._rates[self.now] = (self._measurements, self._tokens / seconds)
        self.now = self._best()
        self._begin()

    def _begin(self) -> None:
        self._tokens = self._scenes = 0
        self._began = self._clock()

    def _best(self) -> int:
        """The width that is best by what is remembered, or one beside it that nothing is known of."""
        oldest = self._measurements - REMEMBERED
        rates = {width: rate for width, (number, rate) in self._rates.items() if number > oldest}
        best = min(width for width, rate in rates.items() if rate * GAIN >= max(rates.values()))
        for beside in (min(2 * best, self._most), max(best // 2, 1)):
            if beside not in rates:
                return beside
        return best
