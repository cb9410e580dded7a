"""A small scene to play one node in."""

from collections.abc import Callable, Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel
from langgraph.runtime import Runtime

from inference.chat_model import EngineChatModel
from inference.engine import Engine
from nodes.asking import Asker
from scene.nouns import Event, Role
from scene.settings import SceneSettings
from scene.state import SceneState

CAST = [
    Role(id="r0", name="Tenant", traits="He is shy and kind.", position="He wants more time."),
    Role(id="r1", name="Landlord", traits="She is strict and fair.", position="She wants her rent."),
    Role(id="r2", name="Baker", traits="He is loud and jolly.", position="He wants to sell his bread."),
]
QUESTION = "How can I pay my rent later?"


def state(**changes: Any) -> SceneState:
    """A scene that is set up, before anything has happened."""
    values = {
        "question": QUESTION,
        "first_answer": "Write to her.",
        "situation": "The asker is a tenant who is short of money.",
        "cast": CAST,
        "plan": ["I write a long letter.", "I ring at her door."],
        "budget": 8,
    }
    return SceneState(**values | changes)


def event(number: int, text: str = "I write a long letter.", **changes: Any) -> Event:
    """What the asker did, where nothing else is said."""
    values = {"turn": number + 1, "actor": "r0", "observers": ("r1",), "admitted": True, "reason": "at home"}
    return Event(**{"id": f"e{number}", "text": text} | values | changes)


def asker(engine: Engine, node: str = "role_init", **settings: Any) -> Asker:
    """An asker of that engine."""
    return Asker(EngineChatModel(engine=engine), SceneSettings(**settings), node)


async def played(
    node: Callable[[BaseChatModel], Any], engine: Engine, scene: Any, **settings: Any
) -> Mapping[str, Any]:
    """The channels that a node changes."""
    runtime = Runtime(context=SceneSettings(**settings))
    changes: Mapping[str, Any] = await node(EngineChatModel(engine=engine))(scene, runtime=runtime)
    return changes
