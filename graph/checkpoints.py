"""What a checkpointer has to know of a scene: the types that it may read."""

import copy
from typing import Any, TypeVar

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from scene.nouns import Consequence, Event, Proposal, Role, Turn
from scene.settings import SceneSettings
from scene.turn import Cue, Moment

STATE_TYPES = (Turn, Role, Proposal, Event, Consequence, Cue, Moment, SceneSettings)
"""Everything in a state, and in what is sent to a node, that is more than text and numbers."""

Saver = TypeVar("Saver", bound=BaseCheckpointSaver[Any])


def open_to_scenes(checkpointer: Saver) -> Saver:
    """The same checkpointer, told which types a scene has.

    For the checkpointer of a larger graph that a scene is part of: LangGraph tells it of that graph's own
    types, and reads ours as plain data, with a warning. `build_graph` tells the one that it is given itself.
    """
    return checkpointer.with_allowlist([(one.__module__, one.__name__) for one in STATE_TYPES])  # type: ignore[return-value]  # a clone


def for_scenes_alone(checkpointer: Saver) -> Saver:
    """The same checkpointer, which reads the types of a scene, and none that it was not told of.

    LangGraph reads any type where its strict mode was not on when it was imported.
    """
    opened = open_to_scenes(checkpointer)
    serde = opened.serde
    if opened is not checkpointer or type(serde) is not JsonPlusSerializer:
        return opened
    alone = copy.copy(checkpointer)
    alone.serde = JsonPlusSerializer(
        pickle_fallback=serde.pickle_fallback, allowed_msgpack_modules=STATE_TYPES
    )
    return alone
