"""A release: rows and scenes in one file, the same bytes each time."""

import os
import tarfile
from pathlib import Path

import pytest

from finetune.data.release import sizes_in, write_release
from finetune.data.scenes import read_scenes
from finetune.data.write import write_dataset
from scene.errors import InputError
from scene.record import SceneRecord
from tests.exported import rehearsed_again
from tests.finetune.scenes import made, record, scene

RECORDS = [record(n, revised=n % 2 == 0) for n in range(4)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_dataset(made(RECORDS, near=100.0), tmp_path / "data")
    return tmp_path / "data"


def test_it_holds_rows_card_manifest_and_scenes_without_calls(folder, tmp_path) -> None:
    target = tmp_path / "monday.tar.gz"
    again = rehearsed_again(9)
    calls = RECORDS[0].calls
    replayed = again.model_copy(update={"replay": again.replay.model_copy(update={"calls": calls})})
    size = write_release(folder, map(scene, (*RECORDS[::-1], replayed, RECORDS[0])), target)
    assert size == target.stat().st_size
    with tarfile.open(target) as archive:
        archive.extractall(tmp_path / "out", filter="data")
    out = tmp_path / "out" / "monday"
    own = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert (
        own.items()
        <= {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}.items()
    )
    assert {"README.md", "manifest.json", "rejected.jsonl"} <= {path.name for path in own}
    found = [one.record for one in read_scenes([out / "scenes.jsonl"])]
    assert found == [one.model_copy(update={"calls": None}) for one in (*RECORDS, again)]
    assert all(isinstance(one, SceneRecord) for one in found)


def test_the_same_rows_and_scenes_give_the_same_bytes(folder, tmp_path) -> None:
    packed = []
    for number in range(2):
        target = tmp_path / str(number) / "rows.tar.gz"
        target.parent.mkdir()
        for path in folder.rglob("*"):
            os.utime(path, (number, number))
        write_release(folder, map(scene, RECORDS[:: 1 - 2 * number]), target)
        packed.append(target.read_bytes())
    assert packed[0] == packed[1]


def test_a_release_that_was_cut_off_is_no_release(folder, tmp_path) -> None:
    target = tmp_path / "rows.tar.gz"
    write_release(folder, map(scene, RECORDS), target)
    held = sizes_in(target)
    assert held["rows/README.md"] == (folder / "README.md").stat().st_size
    target.write_bytes(target.read_bytes()[:-100])
    with pytest.raises(InputError, match="damaged"):
        sizes_in(target)


def test_one_that_can_t_be_written_is_said(folder, tmp_path) -> None:
    with pytest.raises(InputError, match=r"rows.tar.gz can't be written"):
        write_release(folder, map(scene, RECORDS), tmp_path / "none" / "rows.tar.gz")
