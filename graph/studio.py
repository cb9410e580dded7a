"""The graph that `langgraph dev` serves: named in langgraph.json.

The server keeps its own checkpoints, so none is given here. The model is the one that the environment names,
as it does to the command, or the default one. It is loaded once, when the first scene needs it, in a thread
of its own; prompts are read now, since a server's event loop must not wait for a disk.
"""

from __future__ import annotations

from functools import partial

from langchain_core.language_models import BaseChatModel

import prompts
from graph.build import SceneGraph, build_graph
from inference.chat_model import EngineChatModel
from inference.environment import model_settings
from inference.lazy import LazyEngine
from inference.loading import load_engine
from scene.state import SceneState


def served(model: BaseChatModel) -> SceneGraph:
    """The graph as the server shows it.

    The server streams no more than a graph's output, and a debugger is to show the whole state.
    """
    return build_graph(model).copy({"output_channels": list(SceneState.model_fields)})


def _model() -> EngineChatModel:
    named = model_settings()
    load = partial(load_engine, **named)
    return EngineChatModel(engine=LazyEngine(named["model"], load, constrains=named["structured"]))


for _prompt in prompts.names():
    prompts.load(_prompt)

scene = served(_model())
"""The compiled graph."""
