"""What an export is said to take before anything is known of it."""

import pytest

from cli.work.estimate import ACTION, SCENE, estimate, expected
from scene.settings import SceneSettings

SMALLEST = SceneSettings(roles=1, steps=2, max_interactions=1)


def test_a_scene_with_the_default_settings_is_the_one_that_was_measured():
    assert expected(SceneSettings()) == SCENE
    said = estimate(40, SceneSettings(), None)
    assert "2,200 calls, 1,400,000 prompt tokens, 38,000 generated tokens, 40 minutes" in said


@pytest.mark.parametrize("verify", [False, True])
def test_more_actions_take_more(verify):
    scenes = [SMALLEST, SceneSettings(roles=1), SceneSettings(), SceneSettings(steps=8, max_interactions=64)]
    costs = [expected(settings, verify=verify) for settings in scenes]
    for part in ("calls", "prompt_tokens", "completion_tokens"):
        taken = [getattr(cost, part) for cost in costs]
        assert 0 < taken[0]
        assert taken == sorted(set(taken))


def test_a_scene_that_is_played_again_takes_less_than_two():
    once, twice = (expected(SMALLEST, verify=verify) for verify in (False, True))
    assert once.calls + ACTION.calls < twice.calls < 2 * once.calls
