"""Settings of a client's making: one sentence that names what is wrong."""

import copy
import math
import pickle
from dataclasses import replace
from typing import Any

import pytest

from scene.errors import InputError
from scene.settings import SceneSettings


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"roles": "3"}, "roles must be a whole number, not '3'."),
        ({"roles": None}, "roles must be a whole number, not None."),
        ({"roles": True}, "roles must be a whole number, not True."),
        ({"steps": 3.5}, "steps must be a whole number, not 3.5."),
        ({"seed": math.nan}, "seed must be a whole number, not nan."),
        ({"seed": [1]}, "seed must be a whole number, not [1]."),
        ({"temperature": "warm"}, "temperature must be a number, not 'warm'."),
        ({"temperature": False}, "temperature must be a number, not False."),
        ({"temperature": math.nan}, "temperature must be between 0 and 2, not nan."),
        ({"temperature": math.inf}, "temperature must be between 0 and 2, not inf."),
        ({"top_p": math.nan}, "top_p must be above 0 and at most 1, not nan."),
    ],
)
def test_a_value_that_is_none(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        SceneSettings(**given)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("name", ["role", "Roles", "", "model", "x" * 1000, "a\nb"])
def test_a_name_that_no_setting_has(name: str) -> None:
    with pytest.raises(InputError, match="is no setting; there are roles, steps, max_interactions") as caught:
        SceneSettings(**{name: 3})
    assert str(caught.value).startswith(f"{name[:60]!r} is no setting")
    assert "\n" not in str(caught.value)


def test_a_long_value_is_cut() -> None:
    with pytest.raises(InputError) as caught:
        SceneSettings(roles="3\n" * 1000)  # type: ignore[arg-type]
    assert len(str(caught.value)) < 120


def test_settings_can_be_copied() -> None:
    settings = SceneSettings(roles=2)
    assert pickle.loads(pickle.dumps(settings)) == copy.deepcopy(settings) == replace(settings) == settings
