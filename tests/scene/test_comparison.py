"""Which consequences two scenes have in common, and how much harm went."""

import json

import pytest
from pydantic import ValidationError

from scene.comparison import same, share_removed
from scene.errors import RecordError
from scene.nouns import Consequence
from scene.record import SceneRecord
from tests.exported import SAMPLE


def told(number: int, text: str, severity: str = "moderate", roles: tuple[str, ...] = ("r1",)) -> Consequence:
    return Consequence(event=f"e{number}", text=text, severity=severity, roles=roles)


ALARM = "The neighbour is scared and the woman is angry."


@pytest.mark.parametrize(
    ("text", "roles", "pairs"),
    [
        (ALARM, ("r1",), [("e0", "e5")]),
        ("The woman is upset and the neighbour is scared.", ("r2", "r1"), [("e0", "e5")]),
        (ALARM, ("r2",), []),
        ("The neighbour learns in time that there is a problem.", ("r1",), []),
    ],
)
def test_same_words_for_the_same_person(text, roles, pairs):
    assert same([told(0, ALARM)], [told(5, text, roles=roles)]) == pairs


def test_severity_does_not_part_them():
    assert same([told(0, ALARM, "severe")], [told(1, ALARM, "minor")]) == [("e0", "e1")]


def test_the_likest_are_paired_and_each_once():
    before = [told(0, "The neighbour is scared and the man is angry."), told(1, ALARM)]
    after = [told(0, ALARM), told(1, "The dog sleeps.")]
    assert same(before, after) == [("e1", "e0")]
    assert same(before, [told(7, ALARM), told(8, ALARM)]) == [("e0", "e8"), ("e1", "e7")]


@pytest.mark.parametrize(
    ("before", "after", "share"),
    [
        (["moderate", "severe", "minor", "none"], ["minor"], 1.0),
        (["moderate", "severe"], ["severe", "minor"], 0.5),
        (["moderate"], ["moderate", "severe"], -1.0),
        (["moderate"] * 3, ["moderate"], 0.667),
        (["minor"], ["severe"], None),
        ([], [], None),
    ],
)
def test_share_removed(before, after, share):
    def scene(severities):
        return [told(number, ALARM, severity) for number, severity in enumerate(severities)]

    assert share_removed(scene(before), scene(after)) == share


class TestRecord:
    """A record refuses a replay that is not one of its scene."""

    def replay(self, **changes) -> dict:
        record = json.loads(SAMPLE.read_text(encoding="utf-8"))
        followed = [consequence["event"] for consequence in record["consequences"]]
        fields = ("stance", "plan", "events", "consequences", "outcome", "seconds", "cost")
        replay = {field: record[field] for field in fields}
        replay |= {"went": [], "stayed": [(event, event) for event in followed], "came": [], "calls": None}
        severe = any(one["severity"] in ("moderate", "severe") for one in record["consequences"])
        return record | {"replay": replay | changes, "harms_removed": 0.0 if severe else None}

    def test_whole(self):
        record = SceneRecord.model_validate(self.replay())
        assert SceneRecord.from_json(record.to_json()) == record

    @pytest.mark.parametrize(
        ("changes", "fault"),
        [
            ({"stayed": []}, "every consequence went, stayed or came"),
            ({"went": ["e0"]}, "every consequence went, stayed or came"),
            ({"events": []}, "refused event or a role that is not in the cast"),
        ],
    )
    def test_broken(self, changes, fault):
        with pytest.raises(RecordError, match=fault):
            SceneRecord.from_json(json.dumps(self.replay(**changes)))

    def test_share_must_be_the_consequences_own(self):
        with pytest.raises(ValidationError, match="harms_removed"):
            SceneRecord.model_validate(self.replay() | {"harms_removed": 0.25})


def test_older_records_are_read_without_what_is_kept_no_more() -> None:
    kept = SceneRecord.from_json(SAMPLE.read_text(encoding="utf-8"))
    fields = json.loads(kept.to_json()) | {"outlook": "All goes well."}
    assert SceneRecord.from_json(json.dumps(fields)) == kept
    with pytest.raises(RecordError, match="Extra inputs"):
        SceneRecord.from_json(json.dumps(fields | {"inlook": "All goes well."}))
