"""Scenes in Ray actors: the same records as without, and each question ends once, come what may."""

import os
import signal
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from graph.batch import run_batch
from graph.plan import Job
from graph.player import Player
from graph.ray_cluster import Cluster
from graph.ray_player import TRIES, RayPlayer
from inference.engine import Completion, GenerationRequest
from inference.loading import load_engine
from inference.scripted import ScriptedEngine
from scene.errors import EngineError, EngineGoneError, InputError
from scene.export import Failure
from scene.record import SceneRecord
from scene.settings import SceneSettings
from scene.tables.questions import Question
from tests.graph.test_replay import FINAL, cautious
from tests.scripted_scene import scene_script

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


class FailingInReplays(ScriptedEngine):
    """Every answer is revised, and the engine fails where question 3 is played again on the second one."""

    async def generate(self, request: GenerationRequest) -> Completion:
        said = request.messages[-1].content
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

    def spent(self, cost) -> None:
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


@pytest.fixture(scope="module")
def cluster():
    cluster = Cluster("local")
    yield cluster
    cluster.close()


async def test_the_same_records_as_without_ray(cluster):
    jobs = [job(number) for number in range(9)]
    player, watching = RayPlayer(cluster, [scripted], 2), Watching()
    assert player.threads == sum(cluster.processors()) // 2
    assert player.identity.id == f"scripted on {player.threads}"
    assert player.scenes_at_once == 2 * Player(scripted(1)).scenes_at_once
    kept = await outcomes(player, jobs, watching)
    here = await outcomes(Player(scripted(player.threads)), jobs)
    assert {key: same(one) for key, one in kept.items()} == {key: same(one) for key, one in here.items()}
    assert watching.calls == sum(len(record.calls) for record in kept.values())
    assert watching.running == 0


async def test_scenes_of_a_killed_actor_are_played_elsewhere(cluster, tmp_path):
    player, watching = RayPlayer(cluster, [partial(deadly, folder=tmp_path, kills=1)], 2), Watching()
    kept = await outcomes(player, [job(number) for number in range(9)], watching)
    assert deaths(tmp_path) == 1
    assert sorted(kept) == [job(number).id for number in range(9)]
    assert all(isinstance(outcome, SceneRecord) for outcome in kept.values())
    assert set(watching.began_ids.values()) == {1}
    assert watching.running == 0


async def test_a_question_that_kills_every_actor_takes_no_others_with_it(cluster, tmp_path):
    player = RayPlayer(cluster, [partial(deadly, folder=tmp_path, kills=99)], 2)
    kept = await outcomes(player, [job(number) for number in range(6)])
    assert deaths(tmp_path) == 2 * TRIES
    assert sorted(kept) == [job(number).id for number in range(6)]
    failure = kept.pop(job(3).id)
    assert isinstance(failure, Failure)
    assert failure.error == "EngineError"
    assert failure.reason == f"{TRIES} actors were lost while they played this scene."
    assert all(isinstance(outcome, SceneRecord) for outcome in kept.values())


async def test_a_replay_in_which_the_engine_fails_leaves_its_scene(cluster):
    player = RayPlayer(cluster, [failing_in_replays], 1, verify=True)
    kept = await outcomes(player, [job(2), job(3)])
    failed = kept[job(3).id].replay_failure
    assert (failed.error, failed.reason) == ("EngineError", "The step failed.")
    assert [record.answer for record in kept.values()] == [FINAL] * 2
    assert kept[job(2).id].harms_removed == 1.0


async def test_when_no_actor_is_left_no_scene_is_blamed(cluster, tmp_path):
    player = RayPlayer(cluster, [partial(deadly_once_loaded, folder=tmp_path)], 1)
    with pytest.raises(EngineGoneError, match=r"^No actor is left\. The server is gone\.$"):
        await outcomes(player, [job(number) for number in range(6)])


def test_actors_with_different_models_are_refused(cluster):
    with pytest.raises(InputError, match=r"don't have the same model and prompts .*another model"):
        RayPlayer(cluster, [scripted, other])


def test_a_model_that_can_not_be_loaded(cluster, tmp_path):
    (tmp_path / "1").touch()
    with pytest.raises(InputError, match=r"^The server is gone\.$"):
        RayPlayer(cluster, [partial(deadly_once_loaded, folder=tmp_path)], 1)


def test_more_actors_than_processor_cores(cluster):
    with pytest.raises(InputError, match="no room for 1000 actors on"):
        RayPlayer(cluster, [scripted], 1000)


@pytest.fixture
def threads_restored():
    """An engine with a share of the threads leaves the whole process with it, and so all later tests."""
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.model
@pytest.mark.usefixtures("threads_restored")
async def test_two_actors_on_the_tiny_model_play_as_one_process_does(cluster):
    """In float32 and without chance, where rounding does not depend on what shares a batch."""
    load = partial(load_engine, "tiny", engine="transformers", dtype="float32")
    short = SceneSettings(roles=1, steps=2, max_interactions=2, answer_tokens=32, retries=0, temperature=0)
    jobs = [replace(job(number), settings=short) for number in range(2)]
    player = RayPlayer(cluster, [load], 2)
    kept = await outcomes(player, jobs)
    alone = Player(load(threads=player.threads))
    try:
        here = await outcomes(alone, jobs)
    finally:
        alone.close()
    assert {key: same(one) for key, one in kept.items()} == {key: same(one) for key, one in here.items()}
