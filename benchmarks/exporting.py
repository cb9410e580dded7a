"""Recorded scenes as an export plays them, with its store and without: what the store costs."""

from __future__ import annotations

from collections.abc import Sequence
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
from scene.export import Contents
from scene.nouns import ModelIdentity
from scene.questions import Question, QuestionSet
from scene.record import ModelCall, NodeCost, SceneRecord
from scene.settings import SceneSettings

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

    def spent(self, cost: ModelCall | NodeCost) -> None:
        """Tokens were read and written for a scene."""

    def ended(self, job: Job, outcome: Outcome | None) -> None:
        """A scene's outcome is kept."""


async def play_all(engine: Engine, scenes: Sequence[RecordedScene], *, store: bool) -> None:
    """Play recorded scenes, `AT_ONCE` at a time; the same one may be there several times.

    Args:
        engine: Generates every call.
        scenes: What to play.
        store: Keep the records in an export's folder on the disk of the working directory; else drop them.

    Raises:
        ReplayError: The recorded scenes don't fit the graph.
    """
    questions = [Question(id=str(number), text=scene.question) for number, scene in enumerate(scenes)]
    jobs = plan(questions, SceneSettings(), engine.identity, Contents()).jobs
    player = ReplayPlayer(engine, scenes)
    if not store:
        await run_batch(jobs, player, _drop, Unwatched(), concurrency=AT_ONCE)
        return
    with TemporaryDirectory(prefix=".export-", dir=".") as folder, ExportStore(Path(folder)) as kept:
        found = QuestionSet(questions)
        kept.begin(
            new_manifest(
                "recorded", found, len(jobs), SceneSettings(), engine.identity, kind=None, keep_calls=True
            )
        )
        await run_batch(jobs, player, kept.keep, Unwatched(), concurrency=AT_ONCE)


async def _drop(outcome: Outcome) -> None:
    """Keep nothing."""
