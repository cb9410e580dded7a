"""The graph that `langgraph dev` serves: named in langgraph.json.

The server keeps its own checkpoints, so none is given here. The model is the one that the environment names,
as it does to the command, or the default one, and so are the settings of a scene whose run says nothing of
them. The model is loaded once, when the first scene needs it, in a thread of its own; prompts are read now,
since a server's event loop must not wait for a disk.
"""

from dataclasses import asdict, field, fields, make_dataclass
from functools import partial
from pathlib import Path

from langchain_core.language_models import BaseChatModel

from graph.build import SceneGraph, build_graph
from inference.chat_model import EngineChatModel
from inference.environment import model_settings, numbers, setting
from inference.lazy import LazyEngine
from inference.loading import load_engine
from nodes.own_prompts import read_prompts
from prompts import OURS, PromptSet
from scene.settings import SceneSettings
from scene.state import SceneState

FROM_ENVIRONMENT = ("roles", "steps", "max_interactions", "temperature", "seed", "think_tokens")
"""Settings that the command has variables for."""


def served(model: BaseChatModel, prompt_set: PromptSet = OURS) -> SceneGraph:
    """The graph as the server shows it.

    The server streams no more than a graph's output, and a debugger is to show the whole state.
    """
    graph = build_graph(model, prompt_set=prompt_set, context_schema=settings_class())
    return graph.copy({"output_channels": list(SceneState.model_fields)})


def settings_class() -> type[SceneSettings]:
    """The settings, with the defaults that the environment names.

    Raises:
        InputError: A variable holds what no scene can be played with.
    """
    usual = asdict(SceneSettings())
    named = SceneSettings(**usual | numbers({name: usual[name] for name in FROM_ENVIRONMENT}))
    defaults = [(one.name, one.type, field(default=getattr(named, one.name))) for one in fields(named)]
    made: type[SceneSettings] = make_dataclass("SceneSettings", defaults, bases=(SceneSettings,), frozen=True)
    made.__doc__ = SceneSettings.__doc__
    return made


def _model() -> EngineChatModel:
    named = model_settings()
    load = partial(load_engine, **named)
    return EngineChatModel(engine=LazyEngine(named["model"], load, constrains=named["structured"]))


def _prompts() -> PromptSet:
    folder = setting("PROMPTS", "")
    prompt_set = read_prompts(Path(folder)) if folder else OURS
    for name in prompt_set.names():
        prompt_set.load(name)
    return prompt_set


scene = served(_model(), _prompts())
"""The compiled graph."""
