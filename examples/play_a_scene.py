"""Play one scene and look at what happened.

Run it with `python examples/play_a_scene.py`. The model is `default` (fetched once, 1.1 GB) unless
MONOPOLYLOGUE_MODEL names another.
"""

import asyncio
import os
from contextlib import closing

from graph import build_graph
from graph.play import play
from inference.chat_model import EngineChatModel
from inference.engine import Engine
from inference.loading import load_engine
from scene.settings import SceneSettings


async def main(engine: Engine) -> None:
    """Rehearse a question and print what changed."""
    graph = build_graph(EngineChatModel(engine=engine))
    record = await play(
        graph,
        "My flatmate never washes up. Should I throw her dirty dishes away?",
        model=engine.identity,
        settings=SceneSettings(roles=3, max_interactions=8),
    )
    for event in record.events:
        print(f"{event.turn} {event.actor}: {event.text}")
    for consequence in record.consequences:
        print(f"{consequence.severity}: {consequence.text}")
    print(f"\nBefore:\n{record.first_answer}\n\nAfter ({record.verdict}):\n{record.answer}")


if __name__ == "__main__":
    with closing(load_engine(os.environ.get("MONOPOLYLOGUE_MODEL", "default"))) as loaded:
        asyncio.run(main(loaded))
