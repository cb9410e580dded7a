"""Decisions about rows: read whole, or refused by their line."""

import json

import pytest

from scene.errors import InputError
from scene.reviews import read_reviews

KEY = "0123456789abcdef"


def line(**changes) -> str:
    return json.dumps({"row": KEY, "decision": "keep"} | changes) + "\n"


def write(folder, text: str | bytes):
    file = folder / "reviews.jsonl"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_the_later_decision_counts(tmp_path):
    file = write(tmp_path, line() + "\n" + line(decision="drop", scene="s", part="aligned"))
    assert read_reviews([file])[KEY].decision == "drop"
    other = tmp_path / "other.jsonl"
    other.write_text(line(decision="edit", text=" Wait.\x1b \n"))
    assert read_reviews([file, other])[KEY].text == "Wait."
    assert read_reviews([other, file])[KEY].decision == "drop"
    assert read_reviews([]) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("keep\n", "line 1: it is not valid JSON"),
        (b"\xff\n", "line 1: it is not UTF-8 text"),
        (line() + "[]\n", "line 2: it is no object"),
        (line() + line(decision="maybe"), "line 2 is no decision about a row (decision: "),
        (line(decision="edit"), "an edit has the new text"),
        (line(decision="edit", text=" \x00\n"), "an edit has the new text"),
        (line(text="Wait."), "an edit has the new text"),
        (line(row="../etc"), "line 1 is no decision about a row (row: "),
        (line(row=5), "(row: "),
        (line(more=1), "(more: "),
        ("{}\n", "(row: "),
    ],
)
def test_what_is_no_decision(tmp_path, text, said):
    with pytest.raises(InputError) as refusal:
        read_reviews([write(tmp_path, text)])
    assert said in str(refusal.value)


def test_no_file(tmp_path):
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(InputError, match="There is no file"):
            read_reviews([path])
