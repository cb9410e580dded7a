"""The paper's ablation: one setting of a scene varies, the other stays."""

from dataclasses import dataclass

from evaluation.results import Results
from evaluation.statistics import Estimate
from evaluation.systems import System
from scene.settings import SceneSettings

BASE = "base"

PAPER_CURVES: dict[str, dict[int, float]] = {
    "roles": {1: 80, 2: 83, 4: 92, 7: 93},
    "interactions": {1: 52.5, 4: 71, 8: 78, 12: 92, 16: 93},
}
"""Win rates in percent as read from the paper's figure, to within one point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The values that are tried of each setting."""

    roles: tuple[int, ...]
    max_interactions: tuple[int, ...]


def systems_of(model: str, sweep: Sweep, scene: SceneSettings) -> tuple[System, ...]:
    """The model alone, and MATRIX once for every pair of settings that a sweep comes to.

    Raises:
        InputError: No scene can be played with a value.
    """
    settings = [(count, scene.max_interactions) for count in sweep.roles]
    settings += [(scene.roles, limit) for limit in sweep.max_interactions]
    systems = [System(name=BASE, model=model)]
    for roles, limit in dict.fromkeys(settings):
        values = {"roles": roles, "max_interactions": limit}
        system = System(name=_name(roles, limit), model=model, method="matrix", scene=values)
        system.scene_settings(scene)
        systems.append(system)
    return tuple(systems)


def curves(results: Results, sweep: Sweep, scene: SceneSettings) -> dict[str, dict[int, Estimate]]:
    """Share of questions won from the base model, by setting and value."""
    wins = {one.system: one.win for one in results.judged}  # what is over all sets comes last
    found = {
        "roles": {count: _name(count, scene.max_interactions) for count in sweep.roles},
        "interactions": {limit: _name(scene.roles, limit) for limit in sweep.max_interactions},
    }
    return {
        setting: {value: wins[name] for value, name in names.items() if name in wins}
        for setting, names in found.items()
    }


def _name(roles: int, limit: int) -> str:
    return f"{roles}-roles-{limit}-interactions"
