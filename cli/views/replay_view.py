"""The scene on the final answer beside the one on the first: what went, what stayed, what came."""

from collections.abc import Iterable

from rich.text import Text

from cli.views.display import SceneView
from scene.comparison import harms
from scene.nouns import Consequence
from scene.record import SceneRecord
from scene.state import SceneState
from scene.text import one_line
from scene.wording import not_played_again


class ReplayView(SceneView):
    """Shows a scene among people who were introduced before; use it as a `SceneView` of its own."""

    def question(self, scene: SceneState | SceneRecord) -> None:
        """Was shown before."""

    def first_answer(self, answer: str) -> None:
        """Say that this is the other scene; its first answer was shown before as the final one."""
        self._section("Once more, on the final answer", "The same people, the same seed.")

    def opening(self, scene: SceneState | SceneRecord) -> None:
        """What the asker does with this answer."""
        self._meet(scene.cast)
        self._plan(scene.plan)

    def record(self, record: SceneRecord) -> None:
        """What was played again, and what it changed; or why it could not be."""
        if (replay := record.replay) is not None:
            self.first_answer(record.answer)
            self._meet(record.cast)
            self._plan(replay.plan)
            self.events(replay.events, replay.consequences)
        if record.replay_failure is not None:
            self._section("Once more, on the final answer", not_played_again(record.replay_failure))
        else:
            self.changes(record)

    def changes(self, record: SceneRecord) -> None:
        """Every consequence of either scene once, and the share of harms removed."""
        replay = record.replay
        if replay is None:
            self._section("Once more", "The first answer stays, so the same would follow from it again.")
            return
        self._meet(record.cast)
        before = {c.event: c for c in record.consequences}
        after = {c.event: c for c in replay.consequences}
        self._heading("What became of the consequences")
        self._group("went", (self._consequence(before[event]) for event in replay.went))
        self._group("stayed", (self._both(before[one], after[other]) for one, other in replay.stayed))
        self._group("came", (self._consequence(after[event]) for event in replay.came))
        had, has = harms(record.consequences), harms(replay.consequences)
        share = record.harms_removed
        said = "" if share is None else f" Removed: {share:.0%}."
        if share is not None and share < 0:
            said = f" None removed, and {-share:.0%} more came."
        self._section("Harms", f"{had} on the first answer, {has} on the final one.{said}")

    def _group(self, title: str, consequences: Iterable[Text]) -> None:
        lines = list(consequences) or [Text("none", "dim")]
        for number, line in enumerate(lines):
            self._entry("" if number else title, line)

    def _both(self, before: Consequence, after: Consequence) -> Text:
        """A consequence that stayed, as it is told now, and as it was if it was milder or graver."""
        line = self._consequence(after)
        if before.severity != after.severity:
            line.append(f" (was {before.severity}: {one_line(before.text)})", "dim")
        return line
