"""Where an export's scenes are played: in this process, or in the actors of a Ray cluster."""

from typing import Any

from rich.console import Console

from cli.options.export import ExportOptions
from cli.views.progress import Loading
from cli.work.loading import load, loader
from graph.player import Player, ScenePlayer
from graph.ray_cluster import Cluster
from graph.ray_player import RayPlayer


def load_player(options: ExportOptions, console: Console) -> ScenePlayer:
    """Load the model, here or in every actor, and show how that goes.

    Raises:
        InputError: It can't be loaded, or there is no such cluster.
        EngineGoneError: An actor was lost while it loaded the model.
    """
    choice, machines = options.choice, options.machines
    how: dict[str, Any] = {
        "keep_calls": not options.no_calls,
        "verify": options.verify,
        "scene_seconds": options.scene_timeout,
        "prompt_set": options.staging.prompt_set,
    }
    if machines.ray is None:
        return Player(load(choice, console), **how)
    with Loading(console, choice.model) as loading:
        loading("load", 0, 1)
        cluster = Cluster(machines.ray)
        try:
            loaders = [loader(one) for one in machines.choices(choice)]
            player = RayPlayer(
                cluster, loaders, machines.ray_actors, computes=machines.computes(choice), **how
            )
        except BaseException:
            cluster.close()
            raise
        loading("load", 1, 1)
    return player
