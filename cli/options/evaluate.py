"""What `evaluate` takes, and `ablate` some of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cli.options import (
    MODEL,
    OUTPUT,
    QUESTIONS,
    SCENE,
    Device,
    Dtype,
    EngineName,
    ModelChoice,
    Prompts,
    model_choice,
    option,
    scene_settings,
)
from cli.options.grouping import Group
from scene.settings import SceneSettings

if TYPE_CHECKING:
    from evaluation.session import Sampling
    from evaluation.sets import Item

JUDGING, ANSWERS = "The judge", "The answers"
"""Titles in --help."""


@dataclass(frozen=True, kw_only=True)
class SharedOptions:
    """Which questions are asked, how they are answered, and where it is kept."""

    set_names: Annotated[
        list[str],
        option(
            QUESTIONS,
            "A known set, or NAME=SOURCE with a file or hub id; once for each.",
            "--set",
            metavar="SET",
        ),
    ]
    out: Annotated[
        Path, option(OUTPUT, "Folder of the evaluation; goes on with what is there.", metavar="DIR")
    ]
    subset: Annotated[
        list[str] | None,
        option(
            QUESTIONS,
            "Configuration of a data set that has several; once for each set.",
            metavar="[SET=]NAME",
        ),
    ] = None
    split: Annotated[
        list[str] | None,
        option(QUESTIONS, "Split of a data set that has several; once for each set.", metavar="[SET=]NAME"),
    ] = None
    data: Annotated[Path | None, option(QUESTIONS, "Folder with the files of known sets.", metavar="DIR")] = (
        None
    )
    limit: Annotated[int | None, option(QUESTIONS, "Most questions of a set, drawn at random.", min=1)] = None
    judge_url: Annotated[str | None, option(JUDGING, "Server that has the judge.", metavar="URL")] = None
    max_tokens: Annotated[int, option(ANSWERS, "Room for an answer, in tokens.", min=16)] = 512
    temperature: Annotated[float, option(ANSWERS, "Randomness of answers; 0 is greedy.")] = 0.0
    seed: Annotated[int, option(ANSWERS, "Seed of answers and of the draw of questions.")] = 0
    scene: Annotated[SceneSettings, Group(scene_settings, without=("temperature", "think", "seed"))]
    engine: EngineName = "auto"
    dtype: Dtype = "auto"
    device: Device = "auto"

    def items(self) -> tuple[Item, ...]:
        """The questions.

        Raises:
            InputError: A set can't be read.
        """
        from evaluation.sets import load_sets  # here, since it takes a while to import

        subsets, splits = self.subset or (), self.split or ()
        drawn = load_sets(
            self.set_names, self.data, limit=self.limit, seed=self.seed, subsets=subsets, splits=splits
        )
        return tuple(drawn)

    @property
    def sampling(self) -> Sampling:
        """How answers are drawn."""
        from evaluation.session import Sampling

        return Sampling(max_tokens=self.max_tokens, temperature=self.temperature, seed=self.seed)

    def choice(self, model: str, base_url: str | None) -> ModelChoice:
        """How to load the model of whoever answers or judges: what is said of engines is not for a server."""
        if base_url:
            return model_choice(model, base_url=base_url)
        return model_choice(model, self.engine, self.dtype, self.device)


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(SharedOptions):
    """What the command line asks for."""

    system: Annotated[
        list[str],
        option(
            MODEL,
            "A system to compare, once for each; the first is the baseline.",
            metavar="NAME=MODEL[,method=...]",
        ),
    ]
    score_only: Annotated[
        list[str] | None,
        option(
            QUESTIONS,
            "Don't answer this set, only find the log-likelihoods of its references; once for each.",
            metavar="SET",
        ),
    ] = None
    judge: Annotated[str | None, option(JUDGING, "Model that compares answers.", metavar="MODEL")] = None
    judge_set: Annotated[
        list[str] | None, option(JUDGING, "Judge on this set only; once for each.", metavar="SET")
    ] = None
    pair: Annotated[
        list[str] | None,
        option(JUDGING, "Compare A with B too; every system is compared with the first.", metavar="A=B"),
    ] = None
    grader: Annotated[
        str | None,
        option(
            JUDGING,
            "Model that says of each answer whether it refuses and whether it harms.",
            metavar="MODEL",
        ),
    ] = None
    grader_url: Annotated[str | None, option(JUDGING, "Server that has the grader.", metavar="URL")] = None
    scenes: Annotated[
        Path | None,
        option(
            SCENE,
            "Folder of `export` with scenes of the questions, for other_scene and tokens=scenes.",
            metavar="DIR",
        ),
    ] = None
    scene_temperature: Annotated[float, option(SCENE, "Randomness of scenes, 0 to 2.")] = (
        SceneSettings.temperature
    )
    prompts: Prompts = None
    principles: Annotated[
        Path | None,
        option(
            ANSWERS, "YAML list of the principles that critique_revise and self_align go by.", metavar="FILE"
        ),
    ] = None
    no_likelihood: Annotated[bool, option(ANSWERS, "Leave log-likelihoods out.", "--no-likelihood")] = False
    retry_failed: Annotated[bool, option(ANSWERS, "Ask again where a method failed.", "--retry-failed")] = (
        False
    )
    pace: Annotated[
        int | None, option(ANSWERS, "Time a reply of so many tokens, too.", min=8, metavar="TOKENS")
    ] = None
