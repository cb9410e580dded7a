"""What an export keeps of the scenes under way, so that a kill costs no more than the calls in flight.

That is LangGraph's checkpoints, a thread for each scene, and beside them every model call, which a node that
makes several would lose. They are dropped with the scene's row, and the file once it is empty. It is no part
of what an export promises: where it can't be written or read, the export goes on without it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import aiosqlite
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from graph.thread import UNREADABLE, KeptCall, Thread
from scene.record import ModelCall

CHECKPOINTS = "checkpoints.sqlite"

_TABLE = """
CREATE TABLE IF NOT EXISTS calls (
    thread_id TEXT NOT NULL, seed INTEGER NOT NULL, call TEXT NOT NULL, finish TEXT NOT NULL,
    began REAL NOT NULL, ended REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS calls_of_thread ON calls (thread_id);
"""
_TABLES = ("checkpoints", "writes", "calls")


class UnderWay:
    """The file of an export's scenes under way; `opened` makes it.

    Attributes:
        calls: How many calls are kept of each scene, by its id, from when the file was opened.
    """

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self.calls: dict[str, int] = {}
        self._path = path
        self._say = say
        self._saver: _Saver | None = None

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, folder: Path, names: Iterable[str], say: Callable[[str], None]
    ) -> AsyncIterator[UnderWay]:
        """What a folder holds of the threads that are asked for; what it holds of others goes.

        A file that is damaged is dropped. Where none can be written, nothing is kept.
        """
        file = cls(folder / CHECKPOINTS, say)
        await file._open(list(names))
        try:
            yield file
        finally:
            await file._close()

    async def thread(self, name: str) -> Thread | None:
        """What is kept under a name; None where nothing can be."""
        saver = self._saver
        if saver is None:
            return None
        try:
            rows = await saver.rows(
                "SELECT call, seed, finish, began, ended FROM calls WHERE thread_id = ? ORDER BY ended", name
            )
            calls = [KeptCall(ModelCall.model_validate(json.loads(row[0])), *row[1:]) for row in rows]
        except UNREADABLE as error:
            await self._drop(name, error)
            calls = []
        return Thread(name, calls, saver, partial(self._keep, name), partial(self._drop, name))

    async def _keep(self, name: str, kept: KeptCall) -> None:
        call = json.dumps(kept.call.model_dump(mode="json"))
        values = name, kept.seed, call, kept.finish, kept.began, kept.ended
        await self.write(lambda saver: saver.change("INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?)", *values))

    async def forget(self, scene: str) -> None:
        """Drop what is kept of a scene whose row is on the disk."""
        await self.write(lambda saver: saver.forget("GLOB ?", f"{scene}.*"))

    async def _drop(self, name: str, error: Exception) -> None:
        self._say(
            f"What {self._path} holds of scene {name} can't be read ({error}) and is dropped; it is played "
            "from the beginning."
        )
        await self.write(lambda saver: saver.forget("= ?", name))

    async def write(self, writing: Callable[[_Saver], Coroutine[Any, Any, object]]) -> None:
        """Write, and where that fails, keep nothing any more: what is there may take the room of rows."""
        saver = self._saver
        if saver is None:
            return
        try:
            await writing(saver)
        except (sqlite3.Error, ValueError) as error:  # a closed connection raises the latter
            if self._saver is not None:
                self._saver = None
                self._say(_without(self._path, error))
                await saver.conn.close()
                remove(self._path.parent)

    async def _open(self, names: Sequence[str]) -> None:
        """Open the file, or another one in place of a damaged one, or none."""
        there = self._path.exists()
        try:
            self._saver = await self._opened(names)
        except UNREADABLE as error:
            if there:
                remove(self._path.parent)
            if not there or self._path.exists():
                self._say(_without(self._path, error))
                return
            self._say(
                f"{self._path} is damaged ({error}) and is dropped; its scenes are played from the beginning."
            )
            await self._open(names)

    async def _opened(self, names: Sequence[str]) -> _Saver:
        """Open the file, see whether it is whole, and drop what is not asked for."""
        connection = await aiosqlite.connect(self._path)
        try:
            # The folder is locked for this process. File systems without shared memory take a WAL only so.
            await connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            await connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            await connection.execute("PRAGMA wal_autocheckpoint = 256")  # pages; a megabyte
            saver = _Saver(connection, self)
            await saver.setup()
            await connection.execute("PRAGMA synchronous = NORMAL")
            await connection.executescript(_TABLE)
            ((found, *_), *_) = await saver.rows("PRAGMA quick_check(1)")
            if found != "ok":
                raise sqlite3.DatabaseError(found)
            await saver.forget("NOT IN (SELECT value FROM json_each(?))", json.dumps(names))
            rows = await saver.rows("SELECT thread_id, count(*) FROM calls GROUP BY thread_id")
            for name, number in rows:
                scene = name.partition(".")[0]
                self.calls[scene] = self.calls.get(scene, 0) + number
        except BaseException:
            await connection.close()
            raise
        return saver

    async def _close(self) -> None:
        """Close the file, and remove it if it is empty."""
        saver, self._saver = self._saver, None
        if saver is None:
            return
        try:
            left = [await saver.rows(f"SELECT 1 FROM {table} LIMIT 1") for table in _TABLES]
        except sqlite3.Error as error:
            left = [[error]]
        await saver.conn.close()
        if not any(left):
            remove(self._path.parent)


class _Saver(AsyncSqliteSaver):
    """Keeps a thread's last two checkpoints alone, and raises nothing where it can't."""

    def __init__(self, connection: aiosqlite.Connection, file: UnderWay) -> None:
        super().__init__(connection)
        self._file = file

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        thread, put = config["configurable"]["thread_id"], super().aput

        async def writing(_: _Saver) -> None:
            for table in ("checkpoints", "writes"):
                await self.conn.execute(
                    f"DELETE FROM {table} WHERE thread_id = ? AND checkpoint_id < ?",
                    (thread, config["configurable"].get("checkpoint_id", "")),
                )
            await put(config, checkpoint, metadata, new_versions)

        await self._file.write(writing)
        named = {"thread_id": thread, "checkpoint_ns": config["configurable"]["checkpoint_ns"]}
        return {"configurable": {**named, "checkpoint_id": checkpoint["id"]}}

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        put = partial(super().aput_writes, config, writes, task_id, task_path)
        await self._file.write(lambda _: put())

    async def rows(self, query: str, *values: object) -> list[Any]:
        """What a query finds."""
        async with self.lock, self.conn.execute(query, values) as found:
            return list(await found.fetchall())

    async def change(self, query: str, *values: object) -> None:
        """Carry out a change."""
        async with self.lock:
            await self.conn.execute(query, values)
            await self.conn.commit()

    async def forget(self, which: str, value: str) -> None:
        """Delete what belongs to some threads, and give its room back."""
        for table in _TABLES:
            await self.change(f"DELETE FROM {table} WHERE thread_id {which}", value)
        await self.rows("PRAGMA incremental_vacuum")


def names_of(scene: str, attempt: int) -> tuple[str, str]:
    """What a scene and its replay are kept under; an attempt with another seed is another scene."""
    name = f"{scene}.{attempt}"
    return name, f"{name}.replay"


def remove(folder: Path) -> None:
    """Remove the file, if there is one."""
    for path in folder.glob(f"{CHECKPOINTS}*"):
        with suppress(OSError):
            path.unlink()


def _without(path: Path, error: Exception) -> str:
    return f"{path} can't be written ({error}); a kill would now cost the scenes under way."
