"""The page on which rows are reviewed, of a data set or of what an export would give."""

import asyncio
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from finetune.data.dataset import make_dataset
from finetune.data.scenes import read_scenes
from finetune.data.settings import DatasetSettings
from finetune.data.write import MANIFEST, ROWS, is_dataset
from finetune.examples import example_of
from scene.errors import InputError
from scene.export import SCENES
from scene.record import SceneRecord
from scene.tables.rows import BadRow, read_table
from viewer.decks import Row, review_page

ANSWERS = DatasetSettings(mix={"aligned": sys.maxsize, "helpful": sys.maxsize})
"""What is reviewed of an export: its answers. A data set has as many of its calls as it was asked for."""


def page_to_review(folder: Path, on_scene: Callable[[int], object]) -> str:
    """The page of a data set's folder or an export's; `on_scene` hears how many scenes are done, after each.

    Raises:
        InputError: It is neither, gives no row, or the scenes of a data set are not where they were.
    """
    if is_dataset(folder):
        rows = list(_rows(folder))
        sources = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["scenes"]
    else:
        made = asyncio.run(make_dataset(read_scenes([folder]), ANSWERS))
        rows = [
            Row(
                part=row.part,
                scene=row.scene,
                prompt=[(message.role, message.content) for message in row.prompt],
                answer=row.completion,
            )
            for own in made.splits.values()
            for row in own
        ]
        sources = made.scenes
    wanted = {row.scene: sources.get(row.scene, "") for row in rows}
    return review_page(folder.name or str(folder), rows, _scenes(folder, wanted), on_scene)


def _rows(folder: Path) -> Iterator[Row]:
    """The rows as they are on the disk, whichever format they are in."""
    for file in sorted((folder / ROWS).iterdir()):
        for row in read_table(str(file)):
            if isinstance(row, BadRow):
                raise InputError(f"{file}, {row}.")
            cells = row.values
            example = example_of(cells, "dpo" if "chosen" in cells else "sft", f"{file}, {row.place}")
            yield Row(
                part=example.part,
                scene=str(cells.get("scene")),
                prompt=[(message.role, message.content) for message in example.prompt],
                answer=example.answer or "",
                rejected=example.rejected or "",
            )


def _scenes(folder: Path, wanted: Mapping[str, str]) -> Iterator[SceneRecord]:
    """The scenes of some rows, each from the file that the manifest names."""
    left = set(wanted)
    for name in dict.fromkeys(source.partition(", line ")[0] for source in wanted.values()):
        path = Path(name)
        if not path.exists():
            raise InputError(
                f"{folder} was made of the scenes in {name or 'another place'}, which is not here; run this "
                "where `dataset` was run."
            )
        for scene in read_scenes([path.parent if path.name == SCENES else path]):
            if scene.record.id in left:
                left.remove(scene.record.id)
                yield scene.record
    if left:
        raise InputError(
            f"{folder} has rows of {len(left):,} scenes that are no longer where they were; make it anew."
        )
