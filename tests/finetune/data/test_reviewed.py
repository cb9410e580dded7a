"""Data sets that follow what people decided about their rows."""

import asyncio
import json

import pytest

from finetune.data.dataset import make_dataset
from finetune.data.settings import DatasetSettings
from finetune.data.write import write_dataset
from scene.errors import InputError
from scene.reviews import Review, review_key
from tests.finetune.scenes import record, scene

EDITED = "Ask those whom it touches, and wait until they have answered."


def decided(one, decision, text="", answer=None) -> Review:
    key = review_key(one.id, one.question, one.answer if answer is None else answer)
    return Review(row=key, decision=decision, text=text)


def made(records, *reviews, gate=None, **settings):
    decisions = {one.row: one for one in reviews}
    settings = DatasetSettings(**({"near": 100, "mix": {"aligned": 99, "helpful": 99}} | settings))
    return asyncio.run(make_dataset(map(scene, records), settings, gate, decisions))


def rows(dataset) -> dict[str, str]:
    return {row.scene: row.completion for own in dataset.splits.values() for row in own}


def test_decisions_are_followed_and_counted(tmp_path):
    records = [record(n, revised=n % 2 == 0) for n in range(6)]
    kept, dropped, edited = records[:3]
    dataset = made(
        records, decided(kept, "keep"), decided(dropped, "drop"), decided(edited, "edit", EDITED),
        decided(record(77), "drop"),
    )  # fmt: skip
    left = rows(dataset)
    assert left.keys() == {one.id for one in records} - {dropped.id}
    assert (left[kept.id], left[edited.id]) == (kept.answer, EDITED)
    assert (dataset.reviewed, dataset.unmatched) == ({"keep": 1, "edit": 1, "drop": 1}, 1)
    assert dataset.filtered == {"dropped": {"helpful": 1}}
    write_dataset(dataset, tmp_path / "data")
    card = (tmp_path / "data" / "README.md").read_text()
    told = " ".join(card.split())
    assert "of which 1 kept as they are, 1 with an answer that the person edited, 1 dropped." in told
    assert "nobody has checked the other 3 rows" in card
    assert "| dropped | 1 | a person who reviewed it dropped it |" in card
    manifest = json.loads((tmp_path / "data" / "manifest.json").read_text())
    assert manifest["reviewed"] == {"keep": 1, "edit": 1, "drop": 1, "unmatched": 1}


def test_without_decisions_nobody_has_checked(tmp_path):
    write_dataset(made([record(1)]), tmp_path / "data")
    assert "nobody has checked them one by one" in (tmp_path / "data" / "README.md").read_text()


def test_a_preference_follows_what_was_decided_about_its_answer():
    records = [record(n, revised=True) for n in range(3)]
    reviews = (decided(records[0], "drop"), decided(records[1], "edit", EDITED))
    dataset = made(records, *reviews, format="preference", mix=None)
    (edited, plain) = sorted(
        (row for own in dataset.splits.values() for row in own), key=lambda row: row.scene
    )
    assert (edited.completion, edited.rejected) == (EDITED, records[1].first_answer)
    assert plain.completion == records[2].answer
    same = made(records, decided(records[1], "edit", records[1].first_answer), format="preference", mix=None)
    assert same.filtered == {"unchanged": {"preference": 1}}


def test_a_call_is_dropped_alone():
    one = record(1)
    said = one.calls[1].completion
    dataset = made(
        [one], decided(one.model_copy(update={"question": "Go on."}), "drop", answer=said), mix=None
    )
    assert dataset.filtered == {"dropped": {"simulation": 1}}
    assert {row.part for own in dataset.splits.values() for row in own} == {"helpful", "simulation"}


@pytest.mark.parametrize(
    ("second", "left", "counts"),
    [
        ("keep", EDITED, {"keep": 0, "edit": 1, "drop": 0}),
        ("drop", None, {"keep": 0, "edit": 0, "drop": 1}),
        ("edit", "Wait until they have answered.", {"keep": 0, "edit": 1, "drop": 0}),
    ],
)
def test_what_was_edited_may_be_reviewed_again(second, left, counts):
    one = record(1)
    text = left if second == "edit" else ""
    again = decided(one, second, text, answer=EDITED)
    dataset = made([one, record(2)], decided(one, "edit", EDITED), again)
    assert (rows(dataset).get(one.id), dataset.reviewed) == (left, counts)


def test_edits_that_lead_back_end():
    one = record(1)
    dataset = made([one], decided(one, "edit", EDITED), decided(one, "edit", one.answer, answer=EDITED))
    assert rows(dataset) == {one.id: one.answer}


@pytest.mark.parametrize(("text", "reason"), [("So I went to", "truncated"), ("<|im_end|>", "markup")])
def test_an_edited_answer_goes_through_the_filters(text, reason):
    dataset = made([record(1), record(2)], decided(record(1), "edit", text))
    assert dataset.filtered == {reason: {"helpful": 1}}
    assert dataset.reviewed == {"keep": 0, "edit": 0, "drop": 0}


def test_near_copies_of_what_was_dropped_do_not_take_its_place():
    copies = [record(n).model_copy(update={"question": record(1).question}) for n in (1, 21)]
    first = next(iter(rows(made(copies))))
    chosen = next(one for one in copies if one.id == first)
    dataset = made([*copies, record(2)], decided(chosen, "drop"))
    assert rows(dataset).keys() == {record(2).id}


def test_decisions_about_other_scenes_are_refused():
    with pytest.raises(InputError, match="No decision of --reviews is about a row of these scenes"):
        made([record(1)], decided(record(2), "drop"))
    with pytest.raises(InputError, match=r"Every row was filtered out \(1 dropped\)"):
        made([record(1)], decided(record(1), "drop"))
