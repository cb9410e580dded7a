"""Rows of every kind of file, with their places; what is wrong with a row or a file is said."""

import csv
import gzip
import json
import os
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scene.errors import InputError
from scene.tables.rows import BadRow, TableRow, read_splits, read_table

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


def test_a_json_list_holds_the_rows_of_a_json_file(tmp_path):
    text = '\ufeff \n[\n{"question": "Why?"}, 7,\n{"question": "Who?", "input": null}\n]\n'
    assert list(read_table(write(tmp_path / "a.json", text))) == [
        TableRow("row 1", {"question": "Why?"}),
        BadRow("row 2", "it is no object"),
        TableRow("row 3", {"question": "Who?", "input": None}),
    ]
    assert list(read_table(write(tmp_path / "none.json", "[]"))) == []
    assert list(read_table(write(tmp_path / "a.jsonl", "[]"))) == [BadRow("line 1", "it is no object")]
    with pytest.raises(InputError, match=r"begins as a JSON list and is not valid JSON \(Expecting"):
        list(read_table(write(tmp_path / "b.json", '[\n{"question": "Why?"}\n')))


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


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("a.csv", "question,kind\r\nWhy; then?,harmful\r\n", "line 2"),
        ("a.csv", "question;kind\nWhy; then?;harmful\n".replace("; then", ", then"), "line 2"),
        ("a.csv", '"question";"kind"\n"Why; then?";"harmful"\n', "line 2"),
        ("a.csv", "question|kind\nWhy; then?|harmful\n", "line 2"),
        ("a.csv", "question\tkind\nWhy; then?\tharmful\n", "line 2"),
        ("a.tsv", "question,kind\nWhy; then?,harmful\n", "line 2"),
        ("a.csv", 'sep=;\r\nquestion;kind\r\n"Why; then?";harmful\r\n', "line 3"),
        ("a.csv", '"sep=,"\nquestion,kind\nWhy; then?,harmful\n', "line 3"),
        ("a.csv", "\n\nquestion,kind\nWhy; then?,harmful\n", "line 4"),
        ("a.csv", "question,kind,,\nWhy; then?,harmful,,\n", "line 2"),
        ("a.csv", "question,kind,,\nWhy; then?,harmful\n", "line 2"),
        ("a.csv", "question,kind\nWhy; then?,harmful,,,\n", "line 2"),
        ("a.csv", ",question,,kind\n0,Why; then?,x,harmful\n", "line 2"),
        ("a.jsonl", '\n{"question": "Why; then?", "kind": "harmful"}\n', "line 2"),
    ],
)
def test_tables_as_other_tools_write_them(tmp_path, name, text, place, encoding):
    (row,) = read_table(write(tmp_path / name, text.encode(encoding)))
    assert isinstance(row, TableRow)
    said = str(row.values["question"]).replace(",", ";")
    assert (row.place, said, row.values["kind"]) == (place, "Why; then?", "harmful")
    assert set(row.values) == {"question", "kind"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_text_in_every_encoding(tmp_path, encoding):
    source = write(tmp_path / "a.txt", "\u4e00\u3041 Why?\r\nWho?\u2028\r\n".encode(encoding))
    questions = [row.values["question"].strip() for row in read_table(source)]
    assert questions == ["\u4e00\u3041 Why?", "Who?"]


def test_text_that_was_cut_off_in_the_middle_of_a_letter(tmp_path):
    with pytest.raises(InputError, match="no whole UTF-16"):
        list(read_table(write(tmp_path / "a.txt", "Why?".encode("utf-16")[:-1])))


def test_utf_16_that_nothing_tells_is_no_text(tmp_path):
    source = write(tmp_path / "a.txt", "\u4e00\u3041".encode("utf-16-be"))
    assert list(read_table(source)) == [BadRow("line 1", "it is not UTF-8 text")]


def test_two_columns_of_one_name(tmp_path):
    for text in ("question,question\na,b\n", "question;;question\na;;b\n"):
        with pytest.raises(InputError, match="same name, 'question'"):
            list(read_table(write(tmp_path / "a.csv", text)))


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


def test_a_folder_is_read_as_its_files_are(tmp_path):
    """Rows of different make, and spreadsheets, which `datasets` takes for broken."""
    rows = [{"messages": "text"}, {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}]
    write(tmp_path / "train-1.jsonl", "\n".join(map(json.dumps, rows)))
    write(tmp_path / "train-2.jsonl", '{"messages": 7}\n[]')
    splits = read_splits(str(tmp_path))
    assert list(splits) == ["train"]
    assert list(splits["train"]) == [
        TableRow("train-1.jsonl, line 1", rows[0]),
        TableRow("train-1.jsonl, line 2", rows[1]),
        TableRow("train-2.jsonl, line 1", {"messages": 7}),
        BadRow("train-2.jsonl, line 2", "it is no object"),
    ]


def test_a_folder_of_what_only_datasets_reads(tmp_path):
    for name, rows in (("train", ROWS), ("test", ROWS[1:])):
        (tmp_path / f"{name}.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    assert values(str(tmp_path), split="train") == ROWS
    assert [row.place for row in read_table(str(tmp_path), split="test")] == ["test row 1"]
    (tmp_path / "test.jsonl.gz").write_bytes(gzip.compress(b"[{"))
    with pytest.raises(InputError, match="can't load it as a data set"):
        list(read_table(str(tmp_path), split="test"))


def test_a_folder_with_several_subsets(tmp_path):
    configs = "".join(f"- config_name: {name}\n  data_files: {name}.jsonl\n" for name in ("first", "second"))
    write(tmp_path / "README.md", f"---\nconfigs:\n{configs}---\n")
    for name, row in zip(("first", "second"), ROWS, strict=True):
        write(tmp_path / f"{name}.jsonl", json.dumps(row))
    assert values(str(tmp_path), subset="second") == ROWS[1:]
    for subset in (None, "third"):
        with pytest.raises(InputError, match="has the subsets first, second; choose one with --subset"):
            read_table(str(tmp_path), subset=subset)


@pytest.mark.parametrize("group", [16, 4096])
def test_the_first_rows_of_a_folder_of_parquet_are_all_that_is_read(tmp_path, monkeypatch, group):
    table = pyarrow.table({"question": [f"Why {n}?" for n in range(4096)]})
    pyarrow.parquet.write_table(table, tmp_path / "train.parquet", row_group_size=group)
    taken = []
    batches = pyarrow.parquet.ParquetFile.iter_batches
    monkeypatch.setattr(
        "pyarrow.parquet.ParquetFile.iter_batches",
        lambda *given: (taken.append(batch.num_rows) or batch for batch in batches(*given)),
    )
    rows = read_table(str(tmp_path))
    assert [next(rows).values["question"] for _ in range(5)] == [f"Why {n}?" for n in range(5)]
    assert sum(taken) <= 64


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


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.txt", "Why?\rWho?\r", ["Why?", "Who?"]),
        ("a.jsonl", '{"question": "Why?"}\r{"question": "Who?"}\r', ["Why?", "Who?"]),
        ("a.json", '{\n "question": "Why?"\n}\n', ["Why?"]),
        ("a.jsonl", '{"question": "Why?"}\n' + "\0" * 4096, ["Why?"]),
    ],
)
def test_odd_line_ends_and_a_tail_that_was_never_written(tmp_path, name, text, said):
    rows = read_table(write(tmp_path / name, text))
    assert [row.values["question"] for row in rows if isinstance(row, TableRow)] == said


def test_a_folder_is_never_read_in_part(tmp_path):
    write(tmp_path / "a.jsonl", '{"question": "Why?"}\n')
    for name, text in (("b.csv", "question\nWho?\n"), ("test.jsonl", '{"question": "Who?"}\n')):
        write(tmp_path / name, text)
        with pytest.raises(InputError, match=rf"would leave out {'a.jsonl' if name != 'b.csv' else name}"):
            values(str(tmp_path))
        (tmp_path / name).unlink()
    write(tmp_path / "b.csv", "question\nWho?\n")
    write(tmp_path / "README.md", "---\nconfigs:\n- config_name: x\n  data_files: a.jsonl\n---\n")
    assert values(str(tmp_path)) == [{"question": "Why?"}]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("README.md", "---\nconfigs: [}\n---\n"),
        ("folder.py", ""),
        ("state.json", "{}"),
        ("dataset_dict.json", "[]"),
    ],
)
def test_damaged_folders_are_refused_in_a_sentence(tmp_path, capfd, name, text):
    folder = tmp_path / "folder"
    folder.mkdir()
    write(folder / "a.jsonl", '{"question": "Why?"}\n')
    write(folder / name, text)
    with pytest.raises(InputError, match="can't be read: `datasets` can't load it"):
        values(str(folder))
    assert capfd.readouterr().err == ""


def test_the_folder_at_hand(tmp_path, monkeypatch):
    write(tmp_path / "a.jsonl", '{"question": "Why?"}\n')
    monkeypatch.chdir(tmp_path)
    (row,) = read_table(".")
    assert row == TableRow("a.jsonl, line 1", {"question": "Why?"})
    with pytest.raises(InputError, match="There is no file or folder"):
        read_table("")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.jsonl")
    for read in (read_table, read_splits):
        with pytest.raises(InputError, match="is a pipe or device"):
            read(str(tmp_path / "a.jsonl"))


def test_parquet_that_python_has_no_values_or_names_for(tmp_path):
    times = pyarrow.array([2**55], pyarrow.timestamp("ms"))
    texts = pyarrow.array(["Why?"])
    for names, columns, said in (
        (["question", "at"], [texts, times], "no whole Parquet file"),
        (["question", "question"], [texts, texts], "two columns have the same name"),
    ):
        pyarrow.parquet.write_table(pyarrow.table(columns, names), tmp_path / "a.parquet")
        with pytest.raises(InputError, match=said):
            values(str(tmp_path / "a.parquet"))
