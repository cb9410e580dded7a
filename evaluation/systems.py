"""What is compared: a model, and a method on top of it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from evaluation.methods import method_named
from scene.errors import InputError
from scene.settings import SceneSettings

_NAME = re.compile(r"[\w.+-]+")
_SCENE = ("roles", "steps", "max_interactions")
_OPTIONS = ("method", "base_url", "group", "tokens", *_SCENE)
SCENES = "scenes"
"""Stands for as many tokens as a scene generates."""


@dataclass(frozen=True, kw_only=True)
class System:
    """One of the systems compared.

    Attributes:
        model: Model as `--model` takes it: built-in name, hub id, folder, adapter, or its name on a server.
        tokens: Tokens that best-of-N may generate for an answer, or `SCENES`; 0 for its usual drafts.
        scene: Settings of its scenes that are not the evaluation's.
        group: Name that it is compared by together with what was trained as it was, under other seeds.
    """

    name: str
    model: str
    method: str = "vanilla"
    base_url: str | None = None
    tokens: str = "0"
    scene: dict[str, int] = field(default_factory=dict)
    group: str | None = None

    def scene_settings(self, settings: SceneSettings) -> SceneSettings:
        """Settings of its scenes."""
        return replace(settings, **self.scene)

    @property
    def needs_scenes(self) -> bool:
        """Whether it can't answer without scenes of the set."""
        return method_named(self.method).scenes or self.tokens == SCENES


def parse_system(spec: str) -> System:
    """A system from `NAME=MODEL`, or a model alone, which is called as it is named; then its options.

    Each of these comes after a comma, any of `_OPTIONS` as `KEY=VALUE`.

    Raises:
        InputError: That is not what the text says.
    """
    head, *rest = spec.split(",")
    name, equals, model = head.partition("=")
    model = model if equals else name
    options: dict[str, str] = {}
    for part in rest:
        key, _, value = part.partition("=")
        if key not in _OPTIONS or not value or key in options:
            raise InputError(
                f"{part!r} in --system {spec} says nothing; give NAME=MODEL, then any of "
                f"{', '.join(f',{option}=...' for option in _OPTIONS)}"
            )
        options[key] = value
    if not model or not _NAME.fullmatch(name):
        raise InputError(
            f"--system {spec} has no usable name; give NAME=MODEL, with a NAME of letters, digits and dashes."
        )
    scene = {}
    for key in {*_SCENE, "tokens"} & options.keys():
        number = options[key].isascii() and options[key].isdigit()
        if not number and (key, options[key]) != ("tokens", SCENES):
            raise InputError(f"{key} must be a whole number, not {options[key]!r} (--system {spec}).")
        if key in _SCENE:
            scene[key] = int(options[key])
    others = {key: value for key, value in options.items() if key not in _SCENE}
    system = System(name=name, model=model, scene=scene, **others)
    method_named(system.method)
    if scene and system.method != "matrix":
        raise InputError(f"Only the method matrix plays scenes; leave {min(scene)} out of --system {spec}.")
    if "tokens" in options and system.method != "best_of_n":
        raise InputError(f"Only the method best_of_n takes tokens; leave them out of --system {spec}.")
    system.scene_settings(SceneSettings())
    return system


def check_systems(systems: Sequence[System], pairs: Sequence[tuple[str, str]]) -> None:
    """See that names are unique, and that pairs are of two of them.

    Raises:
        InputError: They aren't.
    """
    names = [system.name for system in systems]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise InputError(
            f"Two systems are called {repeated[0]}; name one otherwise: --system NAME={repeated[0]}."
        )
    if shared := [system.group for system in systems if system.group in names]:
        raise InputError(f"{shared[0]} is a system and a group; name one of them otherwise.")
    for pair in pairs:
        if unknown := [name for name in pair if name not in names]:
            raise InputError(f"There is no system {unknown[0]!r} to compare; there are {', '.join(names)}.")
        if pair[0] == pair[1]:
            raise InputError(f"{pair[0]} can't be compared with itself.")
