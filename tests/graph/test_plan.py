"""What is left to play: nothing twice, nothing forgotten, nothing of another export."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import prompts
from graph.plan import check_unchanged, chosen, new_manifest, plan
from scene.errors import ExportError
from scene.export import Contents
from scene.record import scene_id
from scene.settings import SceneSettings
from scene.tables.questions import Question, QuestionSet
from scene.tables.rows import BadRow
from tests.exported import MODEL, failure

QUESTIONS = [Question(id=str(number), text=f"Question {number}?") for number in range(6)]
SETTINGS = SceneSettings(seed=3)


def key(question: Question, settings: SceneSettings = SETTINGS) -> str:
    return scene_id(
        question.text, question.first_answer, settings, MODEL, prompts.digest(), question_id=question.id
    )


def contents(done: list[Question], failed: list[Question], attempt: int = 0) -> Contents:
    return Contents(
        done={key(question) for question in done},
        failed={
            key(question): failure(0, attempt).model_copy(update={"id": key(question)}) for question in failed
        },
    )


@given(data=st.data())
def test_every_question_is_done_failed_or_to_be_played(data):
    places = data.draw(st.lists(st.sampled_from(["done", "failed", "open"]), min_size=6, max_size=6))
    retry = data.draw(st.booleans())
    by = {
        place: [q for q, where in zip(QUESTIONS, places, strict=True) if where == place] for place in places
    }
    done, failed = by.get("done", []), by.get("failed", [])
    todo = plan(QUESTIONS, SETTINGS, MODEL, contents(done, failed), retry_failed=retry)
    assert (todo.questions, todo.done, todo.failed) == (6, len(done), 0 if retry else len(failed))
    assert todo.done + todo.failed + len(todo.jobs) == 6
    open_ = by.get("open", []) + (failed if retry else [])
    assert [job.question for job in todo.jobs] == [q for q in QUESTIONS if q in open_]
    assert {job.id for job in todo.jobs} == set(map(key, open_))


def test_a_retry_has_the_same_id_and_another_attempt():
    todo = plan(QUESTIONS, SETTINGS, MODEL, contents([], QUESTIONS[:1], attempt=1), retry_failed=True)
    assert [job.attempt for job in todo.jobs] == [2, 0, 0, 0, 0, 0]
    assert todo.jobs[0].id == key(QUESTIONS[0])


def test_questions_that_read_the_same_are_told_apart_by_their_ids():
    twins = [Question(id="a", text="Why?"), Question(id="b", text="Why?")]
    assert len({job.id for job in plan(twins, SETTINGS, MODEL, Contents()).jobs}) == 2


@pytest.mark.parametrize("place", ["done", "failed"])
def test_scenes_of_other_questions_are_refused(place):
    held = {"done": [], "failed": [], place: QUESTIONS}
    with pytest.raises(ExportError, match="2 of the scenes in the folder belong to questions"):
        plan(QUESTIONS[:4], SETTINGS, MODEL, contents(**held))


def test_finished_scenes_keep_their_kind_so_another_one_is_refused():
    held = contents(QUESTIONS[:3], QUESTIONS[3:4])
    held.kinds = {key(question): "harmful" for question in QUESTIONS[:2]} | {key(QUESTIONS[2]): None}
    asked = [replace(question, kind="harmful") for question in QUESTIONS[:2]] + QUESTIONS[2:]
    assert len(plan(asked, SETTINGS, MODEL, held).jobs) == 2
    with pytest.raises(ExportError, match=r"2 finished scenes .* \(the first, 0 was harmful and is now None"):
        plan(QUESTIONS, SETTINGS, MODEL, held)


def test_questions_may_be_added():
    assert len(plan(QUESTIONS, SETTINGS, MODEL, contents(QUESTIONS[:4], [])).jobs) == 2


def test_chosen():
    assert chosen(QUESTIONS, None, None) == QUESTIONS
    assert chosen(QUESTIONS, None, 2) == QUESTIONS[:2]
    shuffled = chosen(QUESTIONS, 1, None)
    assert shuffled != QUESTIONS
    assert sorted(shuffled, key=lambda question: question.id) == QUESTIONS
    assert chosen(QUESTIONS, 1, 3) == shuffled[:3]


def test_changed_settings_are_refused_with_the_difference():
    found = QuestionSet(questions=QUESTIONS, malformed=[BadRow("line 3", "it is no object")])

    def made(**changes):
        options = {"settings": SETTINGS, "model": MODEL, "kind": None, "keep_calls": True} | changes
        return new_manifest(
            "questions.jsonl", found, 6, options.pop("settings"), options.pop("model"), **options
        )

    assert made().malformed == ("line 3: it is no object",)
    check_unchanged(None, made(), "scenes")
    check_unchanged(made(), made(), "scenes")
    for changes, difference in [
        ({"settings": SceneSettings(seed=4)}, "seed was 3 and is now 4"),
        ({"settings": SceneSettings(seed=3, roles=2)}, "roles was 4 and is now 2"),
        ({"model": MODEL.model_copy(update={"id": "other"})}, "model was scripted and is now other"),
        ({"kind": "harmful"}, "kind was None and is now harmful"),
        ({"keep_calls": False}, "keep_calls was True and is now False"),
    ]:
        with pytest.raises(ExportError) as caught:
            check_unchanged(made(), made(**changes), "scenes")
        assert str(caught.value) == (
            f"scenes was begun with other settings: {difference}. "
            "Give the old ones to go on with it, or another --out to begin anew."
        )
