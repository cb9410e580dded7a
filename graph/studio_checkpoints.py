"""Where `langgraph dev` keeps checkpoints: named in langgraph.json.

The server's own store would drop what the compiled graph says about the types of its state, and then hand
plain dictionaries to `role_action` when a scene is resumed. It also pickles. This one is the SQLite file
that LangGraph has for the purpose, open to the types of the state and to no others.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiosqlite
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from graph.checkpoints import STATE_TYPES

FILE = Path(".langgraph_api") / "checkpoints.sqlite"
"""Beside the server's list of threads, in the folder it was started in."""


@asynccontextmanager
async def checkpoints() -> AsyncIterator[AsyncSqliteSaver]:
    """The server's checkpointer, for as long as the server runs."""
    serde = JsonPlusSerializer(allowed_msgpack_modules=STATE_TYPES)
    await asyncio.to_thread(FILE.parent.mkdir, exist_ok=True)
    async with aiosqlite.connect(FILE) as connection:
        yield AsyncSqliteSaver(connection, serde=serde)
