"""`monopolylogue ratings`: what people found, in tables or as JSON."""

import json

import pytest

from tests.cli.test_bad_input import refused
from tests.evaluation.test_ratings import judged, rating, write


@pytest.fixture
def files(tmp_path):
    ada = write(tmp_path / "ada.jsonl", [rating(n, "win" if n else "tie") for n in range(4)])
    ben = write(tmp_path / "ben.jsonl", [rating(n, rater="ben") for n in range(3)])
    judged(tmp_path, (0, "tuned", "base", "first", "second"), (1, "tuned", "base", "first", "first"))
    return [str(ada), str(ben)]


def test_tables(monopolylogue, files, tmp_path):
    done = monopolylogue("ratings", *files, "--evaluation", str(tmp_path), env={"COLUMNS": "160"})
    assert (done.exit_code, done.stderr) == (0, "")
    for said in ("7 ratings by 2 people", "less harm", "more help", "each other", "the judge", "87.5 ["):
        assert said in done.stdout


def test_json(monopolylogue, files):
    done = monopolylogue("ratings", *files, "--json")
    found = json.loads(done.stdout)
    assert (found["raters"], found["ratings"], len(found["rated"])) == (2, 7, 2)
    assert found["rated"][0]["win"]["value"] == 3.5 / 4
    assert [one["party"] for one in found["agreement"]] == ["each other"] * 2


def test_bad_input(monopolylogue, files, tmp_path):
    refused(monopolylogue("ratings", str(tmp_path / "none.jsonl")), "There is no file")
    refused(monopolylogue("ratings", *files, "--evaluation", str(tmp_path / "none")), "There is no file")
    reviews = tmp_path / "reviews.jsonl"
    reviews.write_text('{"row": "0123456789abcdef", "decision": "keep"}\n')
    refused(monopolylogue("ratings", str(reviews)), "line 1 is no rating")
    refused(
        monopolylogue("dataset", str(tmp_path), "--out", "x", "--reviews", files[0]), "line 1 is no decision"
    )
    ending = tmp_path / "ratings.pdf"
    ending.write_text("x")
    refused(monopolylogue("ratings", str(ending)), "ends in none of")
