"""What a user brings along: prompts, people and principles."""

from __future__ import annotations

from pathlib import Path

from nodes.own_prompts import read_prompts, with_principles
from prompts import OURS, PromptSet
from scene.cast import IMAGINED, Given, read_cast
from scene.settings import SceneSettings


def own_prompts(folder: Path | None, principles: Path | None = None) -> PromptSet:
    """The prompts that were named, or ours.

    Raises:
        InputError: They can't be asked with.
    """
    prompt_set = OURS if folder is None else read_prompts(folder)
    return prompt_set if principles is None else with_principles(prompt_set, principles)


def own_cast(path: Path | None, prompt_set: PromptSet, settings: SceneSettings) -> Given:
    """The people that were named, or nobody.

    Raises:
        InputError: They can't be played.
    """
    return IMAGINED if path is None else read_cast(path, prompt_set.words.parts, settings.roles)
