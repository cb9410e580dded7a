"""`monopolylogue view`: one file, or one sentence that says why not."""

import json
import os
import re

import pytest

from scene.export import MANIFEST, SCENES, Counts
from tests.cli.test_bad_input import refused as refused_in_a_sentence
from tests.exported import SAMPLE, failure, record
from tests.finetune.scenes import record as scene_of_rows
from tests.finetune.scenes import write as scenes_of_rows
from tests.scene.test_export import lines, write
from tests.viewer.reading import Page, packed
from viewer.page import scene_page


def test_a_record_becomes_a_page(monopolylogue, tmp_path):
    out = tmp_path / "scene.html"
    done = monopolylogue("view", str(SAMPLE), "--out", str(out))
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Written to {out} (")
    assert record(1).question in Page(out.read_text(encoding="utf-8")).text


def test_a_page_is_the_one_that_python_makes(monopolylogue, tmp_path):
    source, out = tmp_path / "scene.json", tmp_path / "scene.html"
    source.write_text(record(1).to_json(), encoding="utf-8")
    monopolylogue("view", str(source), "--out", str(out))
    assert out.read_text(encoding="utf-8") == scene_page(record(1))


def test_an_export_becomes_a_page(monopolylogue, tmp_path):
    write(tmp_path, lines(record(1), record(2)), lines(failure(3)))
    out = tmp_path / "export.html"
    done = monopolylogue("view", str(tmp_path), "--out", str(out))
    assert (done.exit_code, done.stderr) == (0, "")
    assert out.read_text(encoding="utf-8").count('type="text/plain"') == 3


def test_what_a_killed_export_left_in_its_last_line_is_passed_over(monopolylogue, tmp_path):
    write(tmp_path, lines(record(1)) + '{"schema_version":1,"id":"00')
    done = monopolylogue("view", str(tmp_path), "--out", str(tmp_path / "export.html"))
    assert done.exit_code == 0


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is no scene record"),
        (b"{}", "is no scene record"),
        (b"[1, 2]", "is no scene record"),
        (
            record(1).to_json().replace('"seconds":', '"seconds":NaN,"seconds":NaN,"x":').encode(),
            "is no scene",
        ),
        (b"\xff\xfe\x00", "it is not UTF-8 text"),
        (lines(record(1), record(2)).encode(), "is no scene record"),
        (None, "There is no file or folder"),
    ],
)
def test_no_record(monopolylogue, tmp_path, content, sentence):
    source = tmp_path / "scene.json"
    if content is not None:
        source.write_bytes(content)
    refused(monopolylogue, tmp_path, source, sentence)


def test_no_export(monopolylogue, tmp_path):
    refused(monopolylogue, tmp_path, tmp_path, f"holds no export (there is no {MANIFEST})")


def test_an_empty_export(monopolylogue, tmp_path):
    write(tmp_path, counts=Counts(questions=9, done=0, failed=0, pending=9))
    refused(monopolylogue, tmp_path, tmp_path, "holds no scene yet")


def test_an_export_that_lost_scenes(monopolylogue, tmp_path):
    counts = Counts(questions=9, done=2, failed=0, pending=7)
    write(tmp_path, lines(record(1)), counts=counts, state="finished")
    refused(monopolylogue, tmp_path, tmp_path, "holds 1 scenes and 0 failures")


def test_an_export_torn_in_the_middle(monopolylogue, tmp_path):
    write(tmp_path, '{"schema_version":1,\n' + lines(record(1)))
    refused(monopolylogue, tmp_path, tmp_path, f"{SCENES}, line 1 is damaged")


def refused(monopolylogue, tmp_path, source, sentence, out=None):
    out = out or tmp_path / "page.html"
    done = monopolylogue("view", str(source), "--out", str(out))
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert sentence in line
    assert not out.is_file()


@pytest.mark.parametrize("out", ["", "missing/page.html"])
def test_out_that_cannot_be_written(monopolylogue, tmp_path, out):
    sentence = "is a folder" if not out else "can't be written"
    refused(monopolylogue, tmp_path, SAMPLE, sentence, tmp_path / out)


def test_out_never_replaces_what_is_shown(monopolylogue, tmp_path):
    write(tmp_path, lines(record(1)))
    one = tmp_path / "scene"
    one.write_text(record(1).to_json())
    for source, out in ((tmp_path, tmp_path / SCENES), (one, one)):
        before = out.read_text()
        refused_in_a_sentence(monopolylogue("view", str(source), "--out", str(out)), "would be lost")
        assert out.read_text() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_out_in_a_folder_that_is_closed(monopolylogue, tmp_path):
    tmp_path.chmod(0o500)
    refused(monopolylogue, tmp_path, SAMPLE, "can't be written")


def answers(tmp_path, name, said):
    file = tmp_path / f"{name}.jsonl"
    rows = [{"question": f"Why {number}?", "answer": text} for number, text in enumerate(said)]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(file)


def test_answers_to_rate_become_a_page(monopolylogue, tmp_path):
    ours, theirs = answers(tmp_path, "ours", "abc"), answers(tmp_path, "theirs", "axy")
    out = tmp_path / "rate.html"
    done = monopolylogue("view", ours, theirs, "--rate", "--out", str(out))
    assert (done.exit_code, done.stderr) == (0, "")
    assert "left out: 1 pairs whose answers are the same" in done.stdout
    html = out.read_text(encoding="utf-8")
    assert "2 pairs of answers" in html
    assert "theirs" not in html
    assert len(packed(html)) == 2


@pytest.mark.parametrize("format_", ["prompt-completion", "messages", "sharegpt", "preference"])
@pytest.mark.parametrize("parquet", [False, True])
def test_rows_to_review_become_a_page(monopolylogue, tmp_path, format_, parquet):
    """Whatever a decision about a row names it by, `dataset` finds it."""
    scenes = str(scenes_of_rows(tmp_path / "export", [scene_of_rows(n, revised=n < 3) for n in range(4)]))
    data, out = str(tmp_path / "data"), tmp_path / "review.html"
    make = ("dataset", scenes, "--near", "100", "--format", format_, *(["--parquet"] if parquet else []))
    assert monopolylogue(*make, "--out", data).exit_code == 0
    done = monopolylogue("view", data, "--review", "--out", str(out))
    assert (done.exit_code, done.stderr) == (0, "")
    keys = re.search(r'id="keys">([^<]*)<', out.read_text(encoding="utf-8"))[1].split()
    manifest = json.loads((tmp_path / "data" / "manifest.json").read_text())
    assert len(keys) == sum(sum(parts.values()) for parts in manifest["rows"].values())
    reviews = tmp_path / "reviews.jsonl"
    reviews.write_text("".join(f'{{"row": "{key}", "decision": "keep"}}\n' for key in keys))
    done = monopolylogue(*make, "--out", data, "--reviews", str(reviews))
    assert f"reviewed: {len(keys)} kept, 0 edited, 0 dropped" in done.stdout
    assert "void" not in done.stdout


def test_answers_of_an_export_to_review_become_a_page(monopolylogue, tmp_path):
    scenes = scenes_of_rows(tmp_path / "export", [scene_of_rows(n, revised=n < 3) for n in range(4)])
    out = tmp_path / "review.html"
    done = monopolylogue("view", str(scenes), "--review", "--out", str(out))
    assert (done.exit_code, done.stderr) == (0, "")
    assert len(packed(out.read_text(encoding="utf-8"))) == 4 + 4


def test_scenes_of_a_data_set_that_are_gone(monopolylogue, tmp_path):
    scenes = scenes_of_rows(tmp_path / "export", [scene_of_rows(1), scene_of_rows(2)])
    data = tmp_path / "data"
    assert monopolylogue("dataset", str(scenes), "--out", str(data)).exit_code == 0
    out = tmp_path / "page.html"
    scenes_of_rows(scenes, [scene_of_rows(1)])
    done = monopolylogue("view", str(data), "--review", "--out", str(out))
    no_page(done, "has rows of 1 scenes that are no longer where they were")
    (scenes / SCENES).unlink()
    done = monopolylogue("view", str(data), "--review", "--out", str(out))
    no_page(done, "which is not here; run this where `dataset` was run")
    (data / "data" / "train.jsonl").write_text("{}\n")
    done = monopolylogue("view", str(data), "--review", "--out", str(out))
    no_page(done, "train.jsonl, line 1 has the columns none")


def no_page(done, *words):
    refused_in_a_sentence(done, *words)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--review", "--rate"], "for --review or for --rate"),
        (["--pair", "a=b"], "--pair is for --rate"),
        (["--pair", "a=b", "--review"], "--pair is for --rate"),
        (["x.json"], "A page shows one record or folder"),
        (["x.json", "--review"], "A page shows one record or folder"),
        (["--review"], "is no folder"),
        (["--rate"], "--rate takes two files with answers"),
        (["--rate", "x.jsonl"], "There is no file x.jsonl"),
    ],
)
def test_options_that_do_not_fit(monopolylogue, tmp_path, more, sentence):
    out = tmp_path / "page.html"
    ours = answers(tmp_path, "ours", "abc")
    no_page(monopolylogue("view", ours, *more, "--out", str(out)), sentence)
    assert not out.exists()


def test_a_folder_of_neither_to_review_or_rate(monopolylogue, tmp_path):
    for option, sentence in (("--review", "holds no export"), ("--rate", "There is no file")):
        no_page(monopolylogue("view", str(tmp_path), option, "--out", str(tmp_path / "x.html")), sentence)
