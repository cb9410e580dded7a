"""`monopolylogue view`: one file, or one sentence that says why not."""

import os

import pytest

from scene.export import MANIFEST, SCENES, Counts
from tests.exported import SAMPLE, failure, record
from tests.scene.test_export import lines, write
from tests.viewer.reading import Page
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


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_out_in_a_folder_that_is_closed(monopolylogue, tmp_path):
    tmp_path.chmod(0o500)
    refused(monopolylogue, tmp_path, SAMPLE, "can't be written")
