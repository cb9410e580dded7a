"""Recorded scenes as an export plays them, with its store and without: what the store costs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.replay import RecordedScene, ReplayModel
from graph import build_graph
from graph.batch import run_batch
from graph.plan import Job, new_manifest, plan
from graph.play import play
from graph.player import Spend
from graph.store import ExportStore, Outcome
from inference.engine import Engine
from scene.export import Contents, Manifest
from scene.nouns import ModelIdentity
from scene.record import ModelCall, NodeCost, SceneRecord
from scene.settings import SceneSettings
from scene.tables.questions import Question, QuestionSet

AT_ONCE = 16
"""Scenes at once."""


class ReplayPlayer:
    """Plays recorded scenes, told apart by their questions, as `graph.player.Player` plays others."""

    scenes_at_once = AT_ONCE

    def __init__(self, engine: Engine, scenes: Sequence[RecordedScene]) -> None:
        """Keep the scenes."""
        self._engine = engine
        self._scenes = {scene.question: scene for scene in scenes}

    @property
    def identity(self) -> ModelIdentity:
        """The engine's model."""
        return self._engine.identity

    async def play(self, job: Job, on_spent: Spend | None = None) -> SceneRecord:
        """Play one scene.

        Raises:
            ReplayError: The recorded scene does not fit the graph.
        """
        model = ReplayModel(engine=self._engine, scene=self._scenes[job.question.text])
        return await play(
            build_graph(model),
            job.question.text,
            model=self.identity,
            settings=job.settings,
            record_id=job.id,
            question_id=job.question.id,
            on_call=on_spent,
        )

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()


class Unwatched:
    """A watcher that looks away."""

    def began(self, job: Job) -> None:
        """A scene begins."""

    def spent(self, job: Job, cost: ModelCall | NodeCost) -> None:
        """Tokens were read and written for a scene."""

    def ended(self, job: Job, outcome: Outcome | None) -> None:
        """A scene's outcome is kept."""


@dataclass(slots=True)
class Stores:
    """What playing the same scenes with a store and without one took.

    Attributes:
        pairs: Wall times without a store and with one, in seconds.
        scene_seconds: Wall time of each scene that was kept.
        keep_seconds: How long each of them waited until it was on the disk.
    """

    pairs: list[tuple[float, float]] = field(default_factory=list)
    scene_seconds: list[float] = field(default_factory=list)
    keep_seconds: list[float] = field(default_factory=list)

    async def play(self, engine: Engine, scenes: Sequence[RecordedScene], *, store: bool) -> float:
        """Play scenes, `AT_ONCE` at a time; the same one may be there several times.

        Args:
            engine: Generates every call.
            scenes: What to play.
            store: Keep the records in an export's folder on the disk of the working directory; else drop
                them.

        Returns:
            Wall time in seconds.

        Raises:
            ReplayError: The recorded scenes don't fit the graph.
        """
        questions = [Question(id=str(number), text=scene.question) for number, scene in enumerate(scenes)]
        jobs = plan(questions, SceneSettings(), engine.identity, Contents()).jobs
        player = ReplayPlayer(engine, scenes)
        started = time.perf_counter()
        if not store:
            await run_batch(jobs, player, _drop, Unwatched(), concurrency=AT_ONCE)
            return time.perf_counter() - started
        with TemporaryDirectory(prefix=".export-", dir=".") as folder, ExportStore(Path(folder)) as kept:
            kept.begin(begun(questions, engine.identity))

            async def keep(outcome: Outcome) -> None:
                ready = time.perf_counter()
                await kept.keep(outcome)
                self.keep_seconds.append(time.perf_counter() - ready)
                self.scene_seconds.append(outcome.seconds)

            await run_batch(jobs, player, keep, Unwatched(), concurrency=AT_ONCE)
        return time.perf_counter() - started


async def compare_stores(engine: Engine, scenes: Sequence[RecordedScene], pairs: int) -> Stores:
    """Play scenes with a store, and then so many times without one and with one.

    What comes first in a pair changes from one to the next, so that neither has the better part of a machine
    that gets faster or slower; and each finds the prefixes computed that the first run left.

    Raises:
        ReplayError: The recorded scenes don't fit the graph.
    """
    stores = Stores()
    await stores.play(engine, scenes, store=True)
    for number in range(pairs):
        order = (False, True) if number % 2 else (True, False)
        took = {store: await stores.play(engine, scenes, store=store) for store in order}
        stores.pairs.append((took[False], took[True]))
    return stores


def begun(questions: Sequence[Question], model: ModelIdentity) -> Manifest:
    """The manifest of an export of recorded scenes."""
    found = QuestionSet(list(questions))
    return new_manifest("recorded", found, len(questions), SceneSettings(), model, kind=None, keep_calls=True)


async def _drop(outcome: Outcome) -> None:
    """Keep nothing."""
