"""What `export` takes, and `validate`, which exports."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated

import typer

from cli.options import (
    MACHINES,
    QUESTIONS,
    RUNNING,
    SCENE,
    AnyModel,
    BaseUrls,
    Concurrency,
    Limit,
    ModelChoice,
    QuestionColumn,
    Questions,
    RetryFailed,
    Split,
    Subset,
    model_choice,
    numbers,
    option,
    scene_settings,
)
from cli.options.grouping import Group
from cli.options.own import Staging
from scene.errors import InputError
from scene.nouns import Kind
from scene.settings import SceneSettings
from scene.tables.questions import Columns


@dataclass(frozen=True, kw_only=True)
class Machines:
    """What is said of machines: a Ray cluster, its actors, and servers for these in turn."""

    ray: Annotated[
        str | None,
        option(
            MACHINES,
            "Play in the actors of a Ray cluster: host:port of its head, auto, or local.",
            metavar="ADDRESS",
        ),
    ] = None
    ray_actors: Annotated[
        int | None,
        option(
            MACHINES,
            "Actors, each with a model or server; by default one for each machine or server.",
            min=1,
            metavar="N",
        ),
    ] = None
    base_url: BaseUrls = None

    @property
    def base_urls(self) -> list[str]:
        """The servers."""
        return self.base_url or []

    def check(self, choice: ModelChoice) -> None:
        """Refuse what does not go together.

        Raises:
            InputError: It does not.
        """
        if self.ray is None:
            if self.ray_actors is not None:
                raise InputError("--ray-actors is about a Ray cluster; name one, such as --ray local.")
            if len(self.base_urls) > 1:
                raise InputError("Several --base-url are for several actors; add --ray local, or name one.")
            return
        if choice.device not in ("auto", "cpu"):
            raise InputError(
                f"An actor computes on the cpu, not on {choice.device}; start a server there and name it "
                "with --base-url, or leave out --device or --ray."
            )
        if self.ray_actors is not None and self.ray_actors < len(self.base_urls):
            raise InputError(
                f"{self.ray_actors} actors would leave some of {len(self.base_urls)} servers out; give more "
                "--ray-actors or fewer --base-url."
            )

    def choices(self, choice: ModelChoice) -> list[ModelChoice]:
        """What actors in turn are to load; one that asks no server computes on the processor.

        Ray leaves a GPU in sight of actors that asked for none, and all of them would take the first one.
        """
        if self.base_urls:
            return [replace(choice, base_url=url) for url in self.base_urls]
        return [replace(choice, device="cpu") if self.computes(choice) else choice]

    def computes(self, choice: ModelChoice) -> bool:
        """Whether actors compute, instead of asking a server."""
        return not self.base_urls and choice.engine != "openai"


def _columns(
    question_column: QuestionColumn = None,
    answer_column: Annotated[
        str | None, option(QUESTIONS, "Column of first answers to rehearse.", metavar="NAME")
    ] = None,
    kind: Annotated[Kind | None, option(QUESTIONS, "What all the questions are.")] = None,
    kind_column: Annotated[
        str | None,
        option(
            QUESTIONS,
            "Column that says harmful or helpful (safe, unsafe); by default `kind`.",
            metavar="NAME",
        ),
    ] = None,
) -> Columns:
    return Columns(question=question_column, answer=answer_column, kind=kind, kind_column=kind_column)


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What the command line asks for; `questions` may name a source that only messages mention."""

    questions: Questions
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the scenes; goes on with what is there.")
    ]
    subset: Subset = None
    split: Split = None
    strict: Annotated[bool, option(QUESTIONS, "Stop at a row that can't be used.", "--strict")] = False
    limit: Limit = None
    shuffle_seed: Annotated[int | None, option(QUESTIONS, "Shuffle the questions first.")] = None
    concurrency: Concurrency = None
    scene_timeout: Annotated[float, option(RUNNING, "Seconds after which a scene is given up.", min=0.1)] = (
        7200
    )
    retry_failed: RetryFailed = False
    max_failures: Annotated[
        int | None, option(RUNNING, "Stop once so many have failed in this run.", min=1)
    ] = None
    no_checkpoints: Annotated[
        bool, option(RUNNING, "Keep nothing of scenes under way on disk.", "--no-checkpoints")
    ] = False
    no_calls: Annotated[bool, option(SCENE, "Leave the model's calls out of the records.", "--no-calls")] = (
        False
    )
    verify: Annotated[
        bool, option(SCENE, "Play each scene again on its final answer: which harms went?", "--verify")
    ] = False
    staging: Staging
    model: Annotated[ModelChoice, Group(model_choice, without=("base_url",))]
    columns: Annotated[Columns, Group(_columns)] = Columns()  # noqa: RUF009  # it is frozen
    machines: Machines = Machines()

    @property
    def choice(self) -> ModelChoice:
        """The model, on the first server where some are named."""
        urls = self.machines.base_urls
        return replace(self.model, base_url=urls[0]) if urls else self.model


@dataclass(frozen=True, kw_only=True)
class ValidateOptions:
    """What the command line asks for."""

    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the validation; goes on with what is there.")
    ]
    questions: Annotated[
        str | None,
        typer.Argument(
            metavar="QUESTIONS",
            help="File or data set, as for export, with a column `kind`; by default a set of our own.",
            show_default=False,
        ),
    ] = None
    subset: Subset = None
    split: Split = None
    limit: Annotated[int | None, option(RUNNING, "Only so many questions, half of each kind.", min=2)] = None
    concurrency: Concurrency = None
    retry_failed: RetryFailed = False
    seeds: Annotated[str, option(SCENE, "Play every question under each of them.", metavar="N,...")] = "0"
    settings: Annotated[SceneSettings, Group(scene_settings, without=("seed",))]
    model: AnyModel

    @cached_property
    def chosen(self) -> tuple[int, ...]:
        """The seeds.

        Raises:
            InputError: They are none.
        """
        return numbers(self.seeds, "--seeds")

    def export(self, seed: int) -> ExportOptions:
        """The export of one seed, which `export` itself could go on with."""
        return ExportOptions(
            questions=self.questions or "the shipped questions",
            subset=self.subset,
            split=self.split,
            strict=True,
            limit=self.limit,
            out=self.out / f"seed-{seed}",
            staging=Staging(settings=replace(self.settings, seed=seed)),
            model=self.model,
            concurrency=self.concurrency,
            retry_failed=self.retry_failed,
        )
