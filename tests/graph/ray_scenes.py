"""Scenes for Ray actors, and engines to play them with, in a module that costs an actor little to import."""

import os
import signal
from collections import Counter
from pathlib import Path

from graph.batch import run_batch
from graph.plan import Job
from inference.engine import Completion, Engine, GenerationRequest
from inference.scripted import ScriptedEngine
from scene.errors import EngineError, InputError
from scene.export import Failure
from scene.record import SceneRecord
from scene.settings import SceneSettings
from scene.tables.questions import Question
from tests.graph.test_replay import FINAL, cautious
from tests.scripted_scene import prompt_of, scene_script

SMALL = SceneSettings(roles=1, steps=2, max_interactions=1, seed=5)


class Deadly(ScriptedEngine):
    """Plays the script, but question 3 kills the process that it is asked in, so many times."""

    def __init__(self, folder: Path, kills: int) -> None:
        super().__init__(scene_script)
        self._folder, self._kills = folder, kills

    async def generate(self, request: GenerationRequest) -> Completion:
        if "Question 3?" in request.messages[-1].content and deaths(self._folder) < self._kills:
            (self._folder / str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return await super().generate(request)


class FirstAnswers(ScriptedEngine):
    """Plays the script, but a real model gives the first answers and the signs of life."""

    def __init__(self, model: Engine) -> None:
        super().__init__(scene_script)
        self._model, self.identity = model, model.identity

    async def generate(self, request: GenerationRequest) -> Completion:
        if prompt_of(request) == "respond":
            return await self._model.generate(request)
        return await super().generate(request)

    def close(self) -> None:
        super().close()
        self._model.close()


class FailingInReplays(ScriptedEngine):
    """Every answer is revised, and the engine fails where question 3 is played again on the second one."""

    async def generate(self, request: GenerationRequest) -> Completion:
        said = "".join(message.content for message in request.messages)
        if "Question 3?" in said and f"<answer>\n{FINAL}" in said:
            raise EngineError("The step failed.")
        return await super().generate(request)


def deaths(folder: Path) -> int:
    return len(list(folder.iterdir()))


def scripted(threads: int | None) -> ScriptedEngine:
    return ScriptedEngine(scene_script, model_id=f"scripted on {threads}")


def other(threads: int | None) -> ScriptedEngine:
    return ScriptedEngine(scene_script, model_id="another model")


def deadly(threads: int | None, folder: Path, kills: int) -> Deadly:
    return Deadly(folder, kills)


def failing_in_replays(threads: int | None) -> FailingInReplays:
    return FailingInReplays(cautious()._function)


def deadly_once_loaded(threads: int | None, folder: Path) -> Deadly:
    if deaths(folder):
        raise InputError("The server is gone.")
    return Deadly(folder, kills=1)


def job(number: int) -> Job:
    question = Question(id=f"q{number}", text=f"Question {number}?", kind="helpful")
    return Job(id=f"{number:016x}", question=question, settings=SMALL)


class Watching:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.began_ids: Counter[str] = Counter()
        self.calls = self.running = 0

    def began(self, job) -> None:
        self.began_ids[job.id] += 1
        self.running += 1

    def spent(self, job, cost) -> None:
        self.calls += 1

    def ended(self, job, outcome) -> None:
        self.running -= 1


async def outcomes(player, jobs, watching=None, concurrency=4):
    kept = {}

    async def keep(outcome) -> None:
        assert outcome.id not in kept
        kept[outcome.id] = outcome

    await run_batch(jobs, player, keep, watching or Watching(), concurrency=concurrency)
    return kept


def same(outcome: SceneRecord | Failure) -> dict:
    """All of an outcome but how long things took."""
    whole = outcome.model_dump(exclude={"seconds", "cost"})
    return whole | {"calls": [call | {"seconds": 0, "cached_tokens": 0} for call in whole.get("calls") or ()]}
