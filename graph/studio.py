"""The graph that `langgraph dev` serves: named in langgraph.json.

The server keeps its own checkpoints, so none is given here. The model is the one that MONOPOLYLOGUE_MODEL
names, or the default one; it is loaded when the first scene needs it.
"""

from __future__ import annotations

from graph.build import SceneGraph, build_graph
from inference.chat_model import EngineChatModel
from inference.environment import setting
from inference.lazy import LazyEngine
from inference.loading import load_engine


def _graph() -> SceneGraph:
    name = setting("MODEL", None, "default")
    return build_graph(EngineChatModel(engine=LazyEngine(name, lambda: load_engine(name))))


scene = _graph()
"""The compiled graph."""
