"""The real tiny model in actors, whose processes Ray starts itself, as it does for a user."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from graph.player import Player
from graph.ray_cluster import Cluster
from graph.ray_player import RayPlayer
from inference.engine import Engine
from inference.loading import load_engine
from scene.record import SceneRecord
from scene.settings import SceneSettings
from tests.graph.ray_scenes import FirstAnswers, job, outcomes, same

pytestmark = [pytest.mark.model, pytest.mark.xdist_group("ray")]

SHORT = SceneSettings(roles=1, steps=2, max_interactions=2, answer_tokens=16, retries=0, temperature=0)


def tiny(threads: int | None) -> Engine:
    """In float32, where rounding does not depend on what shares a batch."""
    return load_engine("tiny", engine="transformers", dtype="float32", threads=threads)


def first_answers(threads: int | None) -> Engine:
    return FirstAnswers(tiny(threads))


@pytest.fixture
def cluster():
    cluster = Cluster("local")
    yield cluster
    cluster.close()


@pytest.fixture
def threads_restored():
    """An engine with a share of the threads leaves the whole process with it, and so all later tests."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


async def played(cluster: Cluster, load: Callable[..., Engine], scenes: int) -> tuple[dict, dict]:
    """The outcomes of scenes in two actors, and of the same ones here."""
    jobs = [replace(job(number), settings=SHORT) for number in range(scenes)]
    player = RayPlayer(cluster, [load], 2)
    there = await outcomes(player, jobs)
    alone = Player(load(threads=player.threads))
    try:
        here = await outcomes(alone, jobs)
    finally:
        alone.close()
    return there, here


@pytest.mark.usefixtures("threads_restored")
async def test_two_actors_on_the_tiny_model_play_as_one_process_does(cluster):
    """The model gives the first answers and no more, since it takes ten seconds to fail at a scene."""
    there, here = await played(cluster, first_answers, 4)
    assert {key: same(one) for key, one in there.items()} == {key: same(one) for key, one in here.items()}
    assert all(isinstance(one, SceneRecord) for one in there.values())
    assert len({one.first_answer for one in there.values()}) > 1


@pytest.mark.slow
@pytest.mark.usefixtures("threads_restored")
async def test_two_actors_play_whole_scenes_as_one_process_does(cluster):
    """Slow, since three processes each read prompts of a thousand tokens and compile every grammar."""
    there, here = await played(cluster, tiny, 2)
    assert {key: same(one) for key, one in there.items()} == {key: same(one) for key, one in here.items()}
