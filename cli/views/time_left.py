"""How long an export may still take: by the calls made, and those that its scenes are expected to take."""

from collections import deque
from collections.abc import Mapping

KNOWN = 1.3
"""How far apart the ends of a range may be for one figure to stand for both."""

FEW = 5
"""So few calls say nothing about a scene's pace: the first ones are among the longest."""

RECENT = 200
"""How many calls the pace of late is taken from."""

OVERDUE = 0.25
"""What part of its calls a scene that takes more than any before is expected to take again, and more."""


class _Scene:
    """A scene under way: calls by this process and others, and when it began."""

    def __init__(self, before: int, began: float) -> None:
        self.before, self.began, self.calls = before, began, 0

    @property
    def made(self) -> int:
        """Calls so far."""
        return self.before + self.calls

    def left(self, expected: float) -> float:
        """How many calls it has before it."""
        return expected - self.made if self.made < expected else max(OVERDUE * self.made, 1.0)

    def seconds(self, left: float, now: float) -> float:
        """How long so many calls take it at its own pace."""
        return left * (now - self.began) / self.calls if self.calls >= FEW else 0.0


class TimeLeft:
    """Told what happens to every scene, with the time in seconds; says a range."""

    def __init__(
        self, scenes: int, expected: float, known: int, under_way: Mapping[str, int], now: float
    ) -> None:
        self._waiting = scenes
        self._expected, self._known, self._took = expected, known, expected * known
        self._before = dict(under_way)
        self._scenes: dict[str, _Scene] = {}
        self._began = now
        self._calls = 0
        self._recent: deque[float] = deque(maxlen=RECENT)

    @property
    def calls_of_a_scene(self) -> float:
        """What a scene takes on average: no less than those that have begun have taken so far.

        The first ones to end are the short ones.
        """
        made = self._took + sum(scene.made for scene in self._scenes.values())
        begun = self._known + len(self._scenes)
        return max(self._took / self._known if self._known else self._expected, made / begun if begun else 0)

    def began(self, scene: str, now: float) -> None:
        """A scene begins, or goes on."""
        self._waiting -= 1
        self._scenes[scene] = _Scene(self._before.pop(scene, 0), now)

    def spent(self, scene: str, calls: int, now: float) -> None:
        """Calls have ended."""
        self._scenes[scene].calls += calls
        self._calls += calls
        self._recent.append(now)

    def ended(self, scene: str, *, put_off: bool) -> None:
        """A scene has ended, or is put off and begins again."""
        made = self._scenes.pop(scene).made
        if put_off:
            self._waiting += 1
        else:
            self._took += made
            self._known += 1

    def range(self, now: float) -> tuple[float, float] | None:
        """The least and the most it may take, in seconds; None before anything can be said."""
        if self._calls < FEW:
            return None
        mean = self.calls_of_a_scene
        doubt = 1 + 1 / (1 + self._known)
        paces = [self._calls / max(now - self._began, 0.001)]
        if len(self._recent) == RECENT:  # the pace of late, so that a machine that got slower is believed
            paces.append(RECENT / max(now - self._recent[0], 0.001))
        least = self._seconds(mean / doubt, max(paces), now)
        return least, max(least, self._seconds(mean * doubt, min(paces), now))

    def _seconds(self, calls: float, pace: float, now: float) -> float:
        """How long it takes if a scene takes so many calls, so many of which end in a second.

        That is no less than the scene takes that is last, at its own pace.
        """
        waiting = max(self._waiting * calls - sum(self._before.values()), 0.0)
        left = {scene: scene.left(calls) for scene in self._scenes.values()}
        alone = max((scene.seconds(rest, now) for scene, rest in left.items()), default=0.0)
        return max((waiting + sum(left.values())) / pace, alone)

    def said(self, now: float) -> str:
        """The range in words, or one figure where it is narrow; empty before anything can be said."""
        found = self.range(now)
        if found is None:
            return ""
        least, most = found
        return f"{'' if most <= KNOWN * least else f'{_duration(least)} to '}{_duration(most)} left"


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"
