"""Rows of every kind of file, with their places; what is wrong with a row or a file is said."""

import csv
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scene.errors import InputError
from scene.tables.rows import BadRow, TableRow, read_table

ROWS = [{"id": 1, "question": "May I?"}, {"id": 2, "question": 'Shall\nwe, "now"?'}]
CELLS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"))


def write(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def values(source: str, **options) -> list[dict]:
    return [dict(row.values) for row in read_table(source, **options)]


def as_csv(rows: list[dict], **format_) -> str:
    import io

    file = io.StringIO()
    table = csv.DictWriter(file, list(rows[0]), **format_)
    table.writeheader()
    table.writerows(rows)
    return file.getvalue()


@pytest.mark.parametrize("suffix", ["jsonl", "ndjson", "json", "JSONL"])
def test_json_lines(tmp_path, suffix):
    text = "\ufeff" + "\r\n\n".join(map(json.dumps, ROWS))
    source = write(tmp_path / f"questions.{suffix}", text)
    assert list(read_table(source)) == [TableRow("line 1", ROWS[0]), TableRow("line 3", ROWS[1])]


def test_broken_json_lines_do_not_stop_the_rest(tmp_path):
    lines = [b'{"question": ', b"[1]", b"\xff", b'{"question": "Why?"}', b"[" * 100_000]
    assert list(read_table(write(tmp_path / "a.jsonl", b"\n".join(lines)))) == [
        BadRow("line 1", "it is not valid JSON"),
        BadRow("line 2", "it is no object"),
        BadRow("line 3", "it is not UTF-8 text"),
        TableRow("line 4", {"question": "Why?"}),
        BadRow("line 5", "it is not valid JSON"),
    ]


def test_a_json_list_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(InputError, match="one object a line"):
        list(read_table(write(tmp_path / "a.json", '[\n{"question": "Why?"}\n]')))


@pytest.mark.parametrize(("suffix", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_separated_values(tmp_path, suffix, delimiter):
    text = "\ufeff" + as_csv(ROWS, delimiter=delimiter)
    rows = list(read_table(write(tmp_path / f"a.{suffix}", text)))
    assert [row.place for row in rows] == ["line 2", "line 3"]
    assert [dict(row.values) for row in rows] == [{**row, "id": str(row["id"])} for row in ROWS]


def test_broken_csv_rows_do_not_stop_the_rest(tmp_path):
    text = b'id,question\n1,"a\nb"\n2\n3,x,y\n4,\xff\n\n5,"a"b\n6,ok\n7,"never closed\n8,lost\n9,lost\n'
    assert [str(row) if isinstance(row, BadRow) else row.values["id"] for row in read_table(
        write(tmp_path / "a.csv", text)
    )] == [
        "1",
        "line 4: it has 1 cells where the header has 2",
        "line 5: it has 3 cells where the header has 2",
        "line 6: it is not UTF-8 text",
        "line 8: it is not valid CSV (',' expected after '\"')",
        "6",
        "lines 10 to 12: it is not valid CSV (unexpected end of data)",
    ]  # fmt: skip


def test_two_columns_of_one_name(tmp_path):
    with pytest.raises(InputError, match="same name"):
        list(read_table(write(tmp_path / "a.csv", "question,question\na,b\n")))


def test_long_cells(tmp_path):
    rows = [{"question": "Why?", "document": "x" * 1_000_000}]
    assert values(write(tmp_path / "a.csv", as_csv(rows))) == rows


def test_text_is_a_question_a_line(tmp_path):
    rows = list(read_table(write(tmp_path / "a.txt", "Why?\n\n  \nWho?\u2028Me?\r\n")))
    assert rows == [
        TableRow("line 1", {"question": "Why?"}),
        TableRow("line 4", {"question": "Who?\u2028Me?"}),
    ]


def test_parquet(tmp_path):
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    assert list(read_table(str(tmp_path / "a.parquet"))) == [
        TableRow("row 1", ROWS[0]),
        TableRow("row 2", ROWS[1]),
    ]


def test_damaged_parquet(tmp_path):
    with pytest.raises(InputError, match="no whole Parquet file"):
        list(read_table(write(tmp_path / "a.parquet", b"PAR1 and no more")))


def test_folder_saved_by_datasets(tmp_path):
    import datasets

    rows = datasets.Dataset.from_list(ROWS)
    rows.save_to_disk(tmp_path / "one")
    datasets.DatasetDict(train=rows, test=rows.select([1])).save_to_disk(tmp_path / "two")
    assert values(str(tmp_path / "one")) == ROWS
    assert values(str(tmp_path / "two"), split="test") == ROWS[1:]
    for name, split in [("one", "train"), ("two", None), ("two", "dev")]:
        with pytest.raises(InputError, match=r"leave --split out|has the splits train, test"):
            list(read_table(str(tmp_path / name), split=split))


def test_folder_that_datasets_can_load(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "set"
    folder.mkdir()
    write(folder / "train.jsonl", "\n".join(map(json.dumps, ROWS)))
    assert values(str(folder)) == ROWS


def test_a_folder_that_has_changed_since_it_was_loaded(tmp_path, monkeypatch):
    """With a card, `datasets` itself would say again what was in it at first."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    card = "---\nconfigs:\n- config_name: default\n  data_files: train.jsonl\n---\n"
    for folder, rows in (("a/set", ROWS), ("b/set", ROWS[1:]), ("a/set", ROWS[:1])):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        write(tmp_path / folder / "README.md", card)
        write(tmp_path / folder / "train.jsonl", "\n".join(map(json.dumps, rows)))
        assert values(str(tmp_path / folder)) == rows


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("missing.jsonl", "There is no file"),
        ("no/such/folder", "There is no file or folder"),
        ("questions.docx", "ends in none of"),
        ("empty", "can't load it as a data set"),
        ("nobody/nothing-of-this-name", "can't load it as a data set"),
    ],
)
def test_what_can_not_be_read(tmp_path, monkeypatch, name, sentence):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "questions.docx", "PK")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=sentence) as caught:
        list(read_table(name))
    assert "\n" not in str(caught.value)


def test_a_file_has_no_splits(tmp_path):
    with pytest.raises(InputError, match="no subset or split"):
        read_table(write(tmp_path / "a.jsonl", ""), split="train")


@given(rows=st.lists(st.fixed_dictionaries({"id": CELLS, "question": CELLS}), min_size=1))
def test_what_csv_writes_is_read_again(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    assert values(write(path, as_csv(rows))) == rows
