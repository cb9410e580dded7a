"""`monopolylogue compare` with a scripted model: both scenes, what changed, and the record of it."""

import json

from scene.record import SceneRecord
from tests.graph.test_replay import FINAL, FIRST, cautious
from tests.scripted_scene import player

QUESTION = "May I keep the rent back until the heating works?"


def test_shows_both_scenes_and_what_changed(monopolylogue, loader):
    loader.engine = cautious()
    done = monopolylogue("compare", QUESTION)
    assert done.exit_code == 0
    first, _, again = done.stdout.partition("Once more, on the final answer")
    assert "I keep the rent in week 0." in first
    assert f"Final answer\n{FINAL}" in first
    assert "I ask for a later date in week 0." in again
    assert "Cast" not in again
    went, _, rest = again.partition("What became of the consequences")[2].partition("stayed")
    assert "went    moderate for Retired landlord: The landlord can't pay the bank." in went
    assert "stayed  none" in f"stayed{rest}"
    assert "came    no harm for Retired landlord: The landlord knows when the rent comes." in rest
    assert "0 on the final one. Removed: 100%." in rest
    assert "played again" in rest


def test_answer_that_stays(monopolylogue, loader):
    harmless = json.dumps({"text": "All is well.", "falls_on": ["r3"], "effect": "nobody is worse off"})
    loader.engine = player(consequence=harmless)
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


def test_replay_that_breaks_off(monopolylogue, loader):
    def plan(request):
        return "no json" if FINAL in request.messages[-1].content else None

    loader.engine = player(respond=FIRST, revise=FINAL, plan=plan)
    done = monopolylogue("compare", QUESTION)
    assert done.exit_code == 1
    assert "The scene broke off at role_init, role r0: plan" in done.stderr
