"""Scenes in Ray actors: the same records as without, and each question ends once, come what may."""

from functools import partial

import pytest

from graph.player import Player
from graph.ray_cluster import Cluster
from graph.ray_player import TRIES, RayPlayer
from scene.errors import EngineGoneError, InputError
from scene.export import Failure
from scene.record import SceneRecord
from tests.graph.ray_scenes import (
    Watching,
    deadly,
    deadly_once_loaded,
    deaths,
    failing_in_replays,
    job,
    other,
    outcomes,
    same,
    scripted,
)
from tests.graph.test_replay import FINAL
from tests.ray_forks import forked_workers

pytestmark = pytest.mark.xdist_group("ray")


@pytest.fixture(scope="module")
def cluster(ray_forks):
    with forked_workers(ray_forks):
        cluster = Cluster("local")
    yield cluster
    cluster.close()


@pytest.fixture(autouse=True)
def processors_freed(cluster, monkeypatch):
    """End all actors; else the next test's wait until Ray has both processes collect their garbage."""
    started, start = [], RayPlayer._start

    def noted(player, load):
        started.append(start(player, load))
        return started[-1]

    monkeypatch.setattr(RayPlayer, "_start", noted)
    yield
    for member in started:
        cluster.ray.kill(member.actor)


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
