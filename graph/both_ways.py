"""A node that runs in both kinds of a graph's run, `ainvoke` and `invoke`."""

import asyncio
import os
import threading
from functools import cache
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.runtime import get_runtime

from nodes.asking import Node
from scene.settings import SceneSettings


class BothWays(Runnable[object, dict[str, Any]]):
    """An async node, for synchronous runs too.

    These have it run on an event loop in a thread of its own, the same one for all of them: a notebook's
    thread has a running loop already, and a server's client belongs to the loop that it was first used on.
    """

    def __init__(self, name: str, node: Node) -> None:
        self.name = name
        self._node = node

    async def ainvoke(
        self, input: object, config: RunnableConfig | None = None, **kwargs: object
    ) -> dict[str, Any]:
        """Run it on the loop that is running."""
        return await self._run(input)

    def invoke(self, input: object, config: RunnableConfig | None = None, **kwargs: object) -> dict[str, Any]:
        """Run it on the loop in the background, and wait."""
        future = asyncio.run_coroutine_threadsafe(self._run(input), _loop())
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def _run(self, state: object) -> dict[str, Any]:
        return await self._node(state, runtime=get_runtime(SceneSettings))


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="scenes", daemon=True).start()
    return loop


os.register_at_fork(after_in_child=_loop.cache_clear)  # its thread is not in the child
