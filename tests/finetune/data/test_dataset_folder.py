"""The folder of a data set: that it loads, what its card says, and that every row can be traced."""

import asyncio
import json
from pathlib import Path

import pytest

from finetune.data.dataset import make_dataset
from finetune.data.formats import FORMATS
from finetune.data.scenes import read_scenes
from finetune.data.settings import DatasetSettings
from finetune.data.write import write_dataset
from scene.errors import InputError
from tests.finetune.scenes import made, record, write


@pytest.mark.parametrize(("examples", "said"), [(False, "are left out"), (True, "example turns included")])
def test_the_card_says_what_became_of_the_examples(tmp_path: Path, examples, said) -> None:
    write_dataset(made([record(1)], examples=examples), tmp_path / "data")
    card = (tmp_path / "data" / "README.md").read_text()
    assert said in card
    assert json.loads((tmp_path / "data" / "manifest.json").read_text())["settings"]["examples"] is examples
    write_dataset(made([record(1, calls=None)], examples=examples), tmp_path / "data")
    assert "example turns" not in (tmp_path / "data" / "README.md").read_text()


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("parquet", [False, True])
def test_it_loads_and_every_row_is_traceable(tmp_path: Path, name, parquet) -> None:
    import datasets

    records = [record(n, revised=n % 2 == 0) for n in range(10)]
    source = write(tmp_path / "export", records)
    dataset = asyncio.run(
        make_dataset(read_scenes([source]), DatasetSettings(format=name, parquet=parquet, near=100.0))
    )
    write_dataset(dataset, tmp_path / "data")
    loaded = datasets.load_dataset(str(tmp_path / "data"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == {
        split: len(rows) for split, rows in dataset.splits.items()
    }
    scenes = json.loads((tmp_path / "data" / "manifest.json").read_text())["scenes"]
    split_of: dict[str, str] = {}
    for split, rows_ in loaded.items():
        for row in rows_:
            assert split_of.setdefault(row["scene"], split) == split
            file, _, line = scenes[row["scene"]].rpartition(", line ")
            played = json.loads(Path(file).read_text().splitlines()[int(line) - 1])
            assert played["id"] == row["scene"]
            answers = row.get("completion") or row.get("chosen") or row.get("messages") or [None]
            answer = answers if isinstance(answers, dict) else answers[-1]
            answer = row["conversations"][-1] if answer is None else answer
            text = answer["value"] if "value" in answer else answer["content"]
            assert text == played["calls"][row["call"]]["completion"]


def test_only_a_data_set_is_replaced_and_a_link_to_one_stays(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "data")
    write_dataset(made([record(1)]), tmp_path / "data")
    write_dataset(made([record(1), record(2)]), tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert '"repeated_scenes": 0' in (tmp_path / "data" / "manifest.json").read_text()
    (tmp_path / "data" / "reviews.jsonl").write_text("mine")
    with pytest.raises(InputError, match=r"reviews\.jsonl in it is not ours"):
        write_dataset(made([record(1)]), tmp_path / "data")


def test_rows_are_never_taken_for_those_of_another_folder(tmp_path: Path) -> None:
    """`datasets` caches what it loads by the last name of the folder, and by its card."""
    import datasets

    for number, folder in enumerate(
        [tmp_path / "a" / "data", tmp_path / "b" / "data", tmp_path / "a" / "data"]
    ):
        one = record(number)
        write_dataset(made([one], mix={"helpful": 1}, validation=0.0), folder)
        loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
        assert loaded["train"]["scene"][:] == [one.id]


@pytest.mark.parametrize("parquet", [False, True])
def test_calls_that_were_not_kept_leave_the_column_empty(tmp_path: Path, parquet) -> None:
    import datasets

    records = [record(n, calls=None) for n in range(4)]
    write_dataset(made(records, near=100.0, parquet=parquet), tmp_path / "data")
    loaded = datasets.load_dataset(str(tmp_path / "data"), cache_dir=str(tmp_path / "cache"))
    assert loaded["train"]["call"][:] == [None] * 3
    assert str(loaded["train"].features["call"].dtype) == "int64"


def test_an_older_data_set_is_replaced_and_nothing_else_is(tmp_path: Path) -> None:
    write_dataset(made([record(1), record(2)]), tmp_path / "data")
    write_dataset(made([record(3)]), tmp_path / "data")
    assert "2,3" not in (tmp_path / "data" / "README.md").read_text()
    assert json.loads((tmp_path / "data" / "manifest.json").read_text())["scenes"] == {f"{3:016x}": "x"}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="something else"):
        write_dataset(made([record(1)]), tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "other"]


def test_a_fence_in_a_row_does_not_leave_its_sample(tmp_path: Path) -> None:
    text = "Write this:\n\n`````\n# Not a heading of ours\n`````"
    write_dataset(made([record(1, first_answer=text, answer=text)], mix={"helpful": 1}), tmp_path / "data")
    card = (tmp_path / "data" / "README.md").read_text()
    assert card.count("\n`````") == 2
