"""`monopolylogue compare` with a scripted model: both scenes, what changed, and the record of it."""

import pytest

from scene.record import SceneRecord
from tests.graph.test_replay import FINAL, FIRST, cautious
from tests.scripted_scene import player
from viewer.page import scene_page

QUESTION = "May I keep the rent back until the heating works?"


def test_shows_both_scenes_and_what_changed(monopolylogue, loader):
    loader.engine = cautious()
    done = monopolylogue("compare", QUESTION)
    assert done.exit_code == 0
    first, _, again = done.stdout.partition("Once more, on the final answer")
    assert "I keep the rent and ring him up." in first
    assert f"Final answer\n{FINAL}" in first
    assert "I ask for a later date and ring him up." in again
    assert "Cast" not in again
    went, _, rest = again.partition("What became of the consequences")[2].partition("stayed")
    assert "went    moderate for Retired landlord: The landlord can't pay the bank." in went
    assert "stayed  none" in f"stayed{rest}"
    assert "came    no harm for Retired landlord: The landlord knows when the rent comes." in rest
    assert "0 on the final one. Removed: 100%." in rest
    assert "played again" in rest


def test_answer_that_stays(monopolylogue, loader):
    loader.engine = player(effect="nobody is worse off")
    out = monopolylogue("compare", QUESTION).stdout
    assert "The first answer stays, so the same would follow from it again." in out


def test_json_and_file_are_the_record(monopolylogue, loader, tmp_path):
    loader.engine = cautious()
    file = tmp_path / "scene.json"
    done = monopolylogue("compare", QUESTION, "--json", "--no-calls", "--out", str(file))
    record = SceneRecord.from_json(done.stdout)
    assert file.read_text() == done.stdout
    assert (record.first_answer, record.answer, record.harms_removed) == (FIRST, FINAL, 1.0)
    assert record.replay.calls is None


def breaking(request):
    """A plan for the first answer alone: the replay can't begin."""
    return "no plan" if FINAL in request.messages[-1].content else None


def test_replay_that_breaks_off(monopolylogue, loader):
    loader.engine = player(respond=FIRST, revise=FINAL, plan=breaking)
    done = monopolylogue("compare", QUESTION)
    assert done.exit_code == 1
    kept, fault = done.stderr.splitlines()[-2:]
    assert kept.endswith("Only the scene on the first answer was finished; it is in no file.")
    assert "The scene broke off at role_init, role r0: plan" in fault


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_replay_that_breaks_off_leaves_the_first_scene(monopolylogue, loader, tmp_path, options):
    loader.engine = player(respond=FIRST, revise=FINAL, plan=breaking)
    out, page = tmp_path / "scene.json", tmp_path / "scene.html"
    done = monopolylogue("compare", QUESTION, "--out", str(out), "--page", str(page), *options)
    assert done.exit_code == 1
    assert f"first answer was finished; it is kept in {out} and {page}." in done.stderr
    record = SceneRecord.from_json(out.read_text())
    assert (record.answer, record.replay, record.harms_removed) == (FINAL, None, None)
    assert page.read_text(encoding="utf-8") == scene_page(record)
    if options:
        assert done.stdout == out.read_text()


def test_first_scene_is_printed_where_the_replay_breaks_off(monopolylogue, loader):
    loader.engine = player(respond=FIRST, revise=FINAL, plan=breaking)
    done = monopolylogue("compare", QUESTION, "--json")
    assert done.exit_code == 1
    assert SceneRecord.from_json(done.stdout).answer == FINAL


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_ctrl_c_in_the_replay_leaves_the_first_scene(monopolylogue, loader, tmp_path, options):
    def interrupting(request):
        if FINAL in request.messages[-1].content:
            raise KeyboardInterrupt
        return None

    loader.engine = player(respond=FIRST, revise=FINAL, plan=interrupting)
    out = tmp_path / "scene.json"
    done = monopolylogue("compare", QUESTION, "--out", str(out), *options)
    assert done.exit_code == 130
    said = f"Interrupted. Only the scene on the first answer was finished; it is kept in {out}."
    assert done.stderr.splitlines()[-1] == said
    assert SceneRecord.from_json(out.read_text()).answer == FINAL


def test_page_is_that_of_the_record(monopolylogue, loader, tmp_path):
    loader.engine = cautious()
    out, page = tmp_path / "scene.json", tmp_path / "scene.html"
    done = monopolylogue("compare", QUESTION, "--out", str(out), "--page", str(page))
    assert done.exit_code == 0
    html = page.read_text(encoding="utf-8")
    assert html == scene_page(SceneRecord.from_json(out.read_text()))
    assert "Once more, on the final answer" in html


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("missing/scene.html", "give --page a file in a folder that can"),
        ("", "is a folder; give --page the name of a file"),
        ("scene.json", "is to hold the record as well; give --page another name"),
    ],
)
def test_page_that_cannot_be_written(monopolylogue, loader, tmp_path, name, sentence):
    out = tmp_path / "scene.json"
    done = monopolylogue("compare", QUESTION, "--out", str(out), "--page", str(tmp_path / name))
    assert (done.exit_code, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert loader.asked == []
    assert not out.exists()
