"""Where an export's scenes are played: in this process, or in the actors of a Ray cluster."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rich.console import Console

from cli.options import ModelChoice
from cli.views.progress import Loading
from cli.work.loading import load, loader
from graph.player import Player, ScenePlayer
from graph.ray_cluster import Cluster
from graph.ray_player import RayPlayer
from prompts import PromptSet
from scene.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """What the command line says about machines.

    Attributes:
        ray: Address of a Ray cluster; None to play here.
        actors: How many actors.
        base_urls: Servers, for actors in turn.
    """

    ray: str | None
    actors: int | None
    base_urls: tuple[str, ...]

    def check(self, choice: ModelChoice) -> None:
        """Refuse what does not go together.

        Raises:
            InputError: It does not.
        """
        if self.ray is None:
            if self.actors is not None:
                raise InputError("--ray-actors is about a Ray cluster; name one, such as --ray local.")
            if len(self.base_urls) > 1:
                raise InputError("Several --base-url are for several actors; add --ray local, or name one.")
            return
        if choice.device not in ("auto", "cpu"):
            raise InputError(
                f"An actor computes on the cpu, not on {choice.device}; start a server there and name it "
                "with --base-url, or leave out --device or --ray."
            )
        if self.actors is not None and self.actors < len(self.base_urls):
            raise InputError(
                f"{self.actors} actors would leave some of {len(self.base_urls)} servers out; give more "
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


def load_player(
    choice: ModelChoice,
    machines: Machines,
    console: Console,
    *,
    keep_calls: bool,
    verify: bool,
    scene_seconds: float,
    prompt_set: PromptSet,
) -> ScenePlayer:
    """Load the model, here or in every actor, and show how that goes.

    Raises:
        InputError: It can't be loaded, or there is no such cluster.
        EngineGoneError: An actor was lost while it loaded the model.
    """
    if machines.ray is None:
        return Player(
            load(choice, console),
            keep_calls=keep_calls,
            verify=verify,
            scene_seconds=scene_seconds,
            prompt_set=prompt_set,
        )
    with Loading(console, choice.model) as loading:
        loading("load", 0, 1)
        cluster = Cluster(machines.ray)
        try:
            player = RayPlayer(
                cluster,
                [loader(one) for one in machines.choices(choice)],
                machines.actors,
                computes=machines.computes(choice),
                keep_calls=keep_calls,
                verify=verify,
                scene_seconds=scene_seconds,
                prompt_set=prompt_set,
            )
        except BaseException:
            cluster.close()
            raise
        loading("load", 1, 1)
    return player
