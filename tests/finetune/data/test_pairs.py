"""Twins in a data set: both of a pair or none, in one split, where they came out opposite."""

import asyncio
import json

import pytest

from finetune.data.dataset import make_dataset, mixed
from finetune.data.pairs import declined, unlike
from finetune.data.rows import Row
from finetune.data.scenes import TWIN, Scene, read_scenes
from finetune.data.settings import DatasetSettings
from finetune.data.split import validation_questions
from finetune.data.write import write_dataset
from scene.errors import InputError
from scene.export import FAILURES, MANIFEST
from scene.record import Message
from tests.exported import failure, manifest
from tests.finetune.scenes import TOPICS, record, write

WAYS = (
    "quarrel",
    "grief",
    "fear",
    "debt",
    "a fire",
    "a fall",
    "an illness",
    "a loss of trust",
    "hunger",
    "shame",
)


def refusal(number: int) -> str:
    topic, way = TOPICS[number % len(TOPICS)], WAYS[number % len(WAYS)]
    return f"I can't help with {topic}: {way} would come of it for those around. Talk to them first."


def pair(number: int, *, harm: str = "rejected", harmless: str = "kept"):
    """A harmful question, with number 2n, and its harmless twin, with number 2n + 1."""
    question = f"How do I ruin {TOPICS[number % len(TOPICS)]} in week {number}?"
    return (
        half(2 * number, f"q{number}", harm, question, "harmful"),
        half(2 * number + 1, f"q{number}{TWIN}", harmless, question.replace("ruin", "mend"), "helpful"),
    )


def half(number: int, name: str, how: str, question: str, kind: str):
    """A scene whose first answer was kept, revised, or rejected since what is asked would hurt somebody."""
    fields = {"question_id": name, "question": question, "kind": kind, "fate": how}
    fields["request"] = "harmful" if how == "rejected" else "harmless"
    if how == "rejected":
        fields |= {"revision": refusal(number), "answer": refusal(number)}
    return record(number, revised=how != "kept", **fields)


def made(records, **settings):
    scenes = [Scene(record=one, source="scenes.jsonl, line 1") for one in records]
    options = {"twins": True, "mix": {"aligned": 99, "helpful": 99}} | settings
    return asyncio.run(make_dataset(scenes, DatasetSettings(**options)))


def ids(dataset) -> set[int]:
    return {int(row.scene, 16) for own in dataset.splits.values() for row in own}


def test_both_of_a_pair_or_none() -> None:
    records = [
        *pair(0),
        *pair(1, harmless="revised"),
        *pair(2, harm="revised"),  # done, and so is its twin
        *pair(3, harmless="rejected"),
        *pair(4)[:1],  # its twin was never played, and nobody knows that there is one
        *pair(5)[1:],
        record(40),
    ]
    dataset = made(records)
    assert ids(dataset) == {0, 1, 2, 3, 8, 40}
    assert {int(one.row.scene, 16): one.reason for one in dataset.rejected} == {
        4: "granted", 5: "granted", 6: "declined", 7: "refusal", 11: "half",
    }  # fmt: skip
    assert dataset.twins == {
        "pairs": 4, "opposite": 2, "granted": 1, "declined": 1, "alone": 1, "taken": 2,
    }  # fmt: skip
    assert ids(made(records, twins=False)) >= {4, 5, 6, 11}


@pytest.mark.parametrize("fault", ["Talk to", "I can't help with that. " * 20])
def test_where_one_row_is_left_out_the_other_is(fault) -> None:
    harm, harmless = pair(0)
    dataset = made([harm.model_copy(update={"revision": fault, "answer": fault}), harmless, *pair(1)])
    assert ids(dataset) == {2, 3}
    assert dataset.filtered["half"] == {"helpful": 1}


@pytest.mark.parametrize(
    ("mix", "refusals", "taken"),
    [
        ({"aligned": 2, "helpful": 99}, None, 2),
        ({"aligned": 99, "helpful": 1}, None, 1),
        ({"aligned": 99, "helpful": 99}, 3, 3),
        ({"aligned": 99, "helpful": 99}, 99, 5),
    ],
)
def test_a_mix_takes_whole_pairs(mix, refusals, taken) -> None:
    dataset = made([one for n in range(5) for one in pair(n)], mix=mix, refusals=refusals, near=100.0)
    assert dataset.twins["taken"] == taken
    assert len(ids(dataset)) == 2 * taken
    with pytest.raises(InputError, match="mix has no room"):
        made(pair(0, harmless="revised"), mix={"aligned": 1})


def test_a_row_without_a_pair_is_mixed_as_ever() -> None:
    one = Row(part="aligned", scene="a", call=None, question="?", prompt=(), completion="So.")
    assert mixed([one, one, one], {"aligned": 2}) == [one, one]


@pytest.mark.parametrize("seed", range(5))
def test_both_are_in_one_split(seed) -> None:
    records = [one for n in range(10) for one in pair(n)]
    dataset = made(records, seed=seed, validation=0.3, near=100.0)
    assert set(dataset.splits) == {"train", "validation"}
    for own in dataset.splits.values():
        numbers = {int(row.scene, 16) for row in own}
        assert {number ^ 1 for number in numbers} == numbers


def test_near_copies_of_both_stay_with_them() -> None:
    together = [("How do I mend it?", "What is a quince?")]
    questions = ["How do I mend it?", "How do I mend it??", "What is a quince?", "What is a quince??", "Why?"]
    for seed in range(9):
        apart = validation_questions(questions, 0.5, seed, threshold=88.0, together=together)
        assert apart in ({"Why?"}, set(questions[:-1]))


def test_pairs_are_told_by_their_export(tmp_path) -> None:
    first, second = pair(0), [one.model_copy(update={"id": f"{n:016x}"}) for n, one in enumerate(pair(0), 90)]
    folders = [write(tmp_path / name, records) for name, records in (("a", first), ("b", second[1:]))]
    dataset = asyncio.run(make_dataset(read_scenes(folders), DatasetSettings(twins=True, near=100.0)))
    assert {91} == {int(one.row.scene, 16) for one in dataset.rejected if one.row.part != "simulation"}


def test_two_exports_of_the_same_pairs_give_whole_ones(tmp_path) -> None:
    records = [one for n in range(6) for one in pair(n)]
    again = [one.model_copy(update={"id": f"{n:016x}"}) for n, one in enumerate(records, 100)]
    dataset = made([*records, *again])  # in one file the later one of a name counts
    scenes = [
        Scene(record=one, source=f"{name}, line 1")
        for name, own in (("a", records), ("b", again))
        for one in own
    ]
    dataset = asyncio.run(
        make_dataset(scenes, DatasetSettings(twins=True, mix={"aligned": 99, "helpful": 99}))
    )
    assert dataset.twins["taken"] == 6
    assert "half" not in dataset.filtered


@pytest.mark.parametrize("state", ["failed", "pending"])
def test_a_question_whose_twin_has_no_scene_yet_is_left_out(tmp_path, state) -> None:
    source = write(tmp_path / "export", [*pair(0), *pair(1)[:1], record(40, question_id="q40")])
    (source / MANIFEST).write_text(manifest(5).model_dump_json())
    if state == "failed":
        lost = failure(9).model_copy(update={"question_id": f"q1{TWIN}"})
        (source / FAILURES).write_text(f"{lost.model_dump_json()}\n")
    dataset = asyncio.run(
        make_dataset(read_scenes([source]), DatasetSettings(twins=True, mix={"aligned": 9, "helpful": 9}))
    )
    # In an export that has not ended, nobody knows which questions have a twin.
    assert ids(dataset) == ({0, 1, 40} if state == "failed" else {0, 1})


@pytest.mark.parametrize(
    ("changes", "away"),
    [
        ({}, False),
        ({"stance": "declines"}, True),
        ({"verdict": "revise", "revision": "Do it so.", "answer": "Do it so."}, False),
        ({"verdict": "revise", "revision": "Do it so.", "answer": "Do it so.", "stance": "declines"}, False),
        ({"revision": refusal(1), "answer": refusal(1)}, True),
        ({"revision": "It would hurt her.", "answer": "It would hurt her.", "request": "harmful"}, True),
    ],
)
def test_who_was_turned_away_in_the_end(changes, away) -> None:
    assert declined(record(1, **changes)) is away


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("I'm sorry, but I can't assist with that.", "I cannot help you with this.", True),
        ("I can't tell you how to stab a balloon.", "I can’t tell you how to stab the balloon. Rest.", True),
        ("I won't help to open her letters: she trusts you.", "I won't help to open his letters.", True),
        ("I won't help to open her letters: she trusts you.", "I won't help to forge a signature.", False),
        ("I can't help with the keys of your father.", "I can't help with the debt of a tenant.", False),
        ("I understand. I can't help to spoil a test.", "I can't help to spoil a test. Talk.", True),
        ("Do it like this, and then rest.", "Do it like this, and then rest.", False),
    ],
)
def test_refusals_in_the_same_words(one, other, alike) -> None:
    rows = [
        Row(
            part="aligned",
            scene=str(n),
            call=None,
            question="?",
            prompt=(Message(role="user", content="?"),),
            completion=text,
        )
        for n, text in enumerate((one, other))
    ]
    kept, rejected = unlike(rows)
    assert (len(kept), [one.reason for one in rejected]) == ((1, ["alike"]) if alike else (2, []))


def test_a_refusal_in_the_words_of_another_takes_its_twin_along() -> None:
    harm, harmless = pair(1)
    said = refusal(0)
    dataset = made([*pair(0), harm.model_copy(update={"revision": said, "answer": said}), harmless])
    assert len(ids(dataset)) == 2
    assert {name: sum(parts.values()) for name, parts in dataset.filtered.items()} == {"half": 1, "alike": 1}


def test_what_is_named_goes_with_its_twin() -> None:
    records = [one for n in range(3) for one in pair(n)]
    name = next(row.id for row in made(records).splits["train"] if row.part == "aligned")
    dataset = made(records, without=(name,))
    assert len(ids(dataset)) == 4
    assert dataset.filtered == {"without": {"aligned": 1, "helpful": 1}}


def test_the_card_counts_them(tmp_path) -> None:
    write_dataset(made([*pair(0), *pair(2, harm="revised")]), tmp_path / "data")
    card = (tmp_path / "data" / "README.md").read_text()
    assert "Of 2 pairs of a question and its twin" in card
    assert "1 came out opposite, 1 were both answered and 0 both turned away" in card
    assert "| granted | 2 | its question and the twin of that are both answered |" in card
    assert json.loads((tmp_path / "data" / "manifest.json").read_text())["twins"]["taken"] == 1
    write_dataset(made([record(40)], twins=False), tmp_path / "data")
    assert "twin" not in (tmp_path / "data" / "README.md").read_text()


def test_without_pairs_there_is_nothing_to_tell_apart() -> None:
    with pytest.raises(InputError, match="No two of the scenes are those of a question and its twin"):
        made([record(1), record(2)])
