"""The scene graph, and playing scenes with it."""

import os

# LangGraph reads this when it is imported: checkpoints may then hold no types but those of the graph's state.
os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")

from graph.build import SceneGraph, build_graph
from graph.checkpoints import open_to_scenes

__all__ = ["SceneGraph", "build_graph", "open_to_scenes"]
