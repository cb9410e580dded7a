"""Watch a scene go on, and read its answers word by word as they are written.

Run it with `python examples/stream_an_answer.py`. The model is `default` (fetched once, 1.1 GB) unless
MONOPOLYLOGUE_MODEL names another.
"""

import asyncio
import os
from contextlib import closing

from graph import build_graph
from inference.chat_model import EngineChatModel
from inference.engine import Engine
from inference.loading import load_engine
from scene.settings import SceneSettings

ANSWERS = ("respond", "revise")


async def main(engine: Engine) -> None:
    """Print progress a line each, and the two answers as they come."""
    graph = build_graph(EngineChatModel(engine=engine))
    stream = graph.astream(
        {"question": "My flatmate never washes up. Should I throw her dirty dishes away?"},
        context=SceneSettings(roles=2, steps=2),
        stream_mode=["custom", "messages"],
    )
    async for mode, told in stream:
        if mode == "custom" and "progress" in told:
            print(f"\n[{told['progress']}]", flush=True)
        elif mode == "messages":
            message, about = told  # about: node, role and turn of the call
            if about["langgraph_node"] in ANSWERS:
                print(message.text, end="", flush=True)
    print()


if __name__ == "__main__":
    with closing(load_engine(os.environ.get("MONOPOLYLOGUE_MODEL", "default"))) as loaded:
        asyncio.run(main(loaded))
