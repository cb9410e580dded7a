"""What an export takes beside its model: rows on the disk, and the graph around a scene."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

from benchmarks.exporting import AT_ONCE, begun
from benchmarks.measure import Silent
from benchmarks.replay import load, rehearse
from benchmarks.report import Figure, compared
from graph.store import ExportStore
from scene.nouns import ModelIdentity
from scene.record import SceneRecord
from scene.tables.questions import Question

MODEL = ModelIdentity(id="none", revision=None, engine="none")


def writer_figures(rows: int) -> Iterator[Figure]:
    """The graph's processor time a scene, and how many rows a second reach the disk.

    The rows are those of the recorded scenes, with their calls, again and again under new ids; the folder is
    on the disk of the working directory.

    Args:
        rows: How many rows to write in each way.
    """
    asyncio.run(rehearse(Silent(MODEL), load()[:1], 1))  # whatever happens only once
    used = time.process_time()
    scenes = asyncio.run(rehearse(Silent(MODEL), load(), AT_ONCE))
    graph = (time.process_time() - used) / len(scenes)
    yield compared("graph around a scene without its model, processor time", graph, "s")
    size = fmean(len(scene.to_json()) + 1 for scene in scenes) / 1000
    yield compared("a row", size, "kB")
    for at_once in (1, AT_ONCE, rows):
        wall, processor = write_rows(scenes, rows, at_once)
        of = f"{rows} rows through the store, {at_once} at once"
        yield compared(of, rows / wall, "rows/s")
        yield compared(f"{of}: processor time", 1000 * processor / rows, "ms a row")


def write_rows(scenes: Sequence[SceneRecord], rows: int, at_once: int) -> tuple[float, float]:
    """Keep so many rows, each on the disk before its place is taken by another.

    Returns:
        Wall time and processor time, in seconds.
    """
    left = iter(
        [
            scene.model_copy(update={"id": f"{number:016x}"})
            for number, scene in enumerate(islice(cycle(scenes), rows))
        ]
    )

    async def work(store: ExportStore) -> None:
        for scene in left:
            await store.keep(scene)

    async def all_at_once(store: ExportStore) -> None:
        await asyncio.gather(*(work(store) for _ in range(at_once)))

    questions = [Question(id=str(number), text="Why?") for number in range(rows)]
    with TemporaryDirectory(prefix=".export-", dir=".") as folder, ExportStore(Path(folder)) as store:
        store.begin(begun(questions, MODEL))
        started, used = time.perf_counter(), time.process_time()
        asyncio.run(all_at_once(store))
        return time.perf_counter() - started, time.process_time() - used
