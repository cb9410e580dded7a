"""What a user brings along: prompts, people and principles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from cli.options import AnyScene, Cast, Prompts

if TYPE_CHECKING:
    from prompts import PromptSet
    from scene.cast import Given


def own_prompts(folder: Path | None, principles: Path | None = None) -> PromptSet:
    """The prompts that were named, or ours.

    Raises:
        InputError: They can't be asked with.
    """
    from nodes.own_prompts import read_prompts, with_principles  # here, since it takes a second to import
    from prompts import OURS

    prompt_set = OURS if folder is None else read_prompts(folder)
    return prompt_set if principles is None else with_principles(prompt_set, principles)


@dataclass(frozen=True, kw_only=True)
class Staging:
    """How a scene is played and with what; a property is read once, and may raise an InputError then."""

    settings: AnyScene
    cast: Cast = None
    prompts: Prompts = None

    @cached_property
    def prompt_set(self) -> PromptSet:
        """What is asked with."""
        return own_prompts(self.prompts)

    @cached_property
    def given(self) -> Given:
        """Who is not imagined."""
        from scene.cast import IMAGINED, read_cast

        parts = self.prompt_set.words.parts
        return IMAGINED if self.cast is None else read_cast(self.cast, parts, self.settings.roles)
