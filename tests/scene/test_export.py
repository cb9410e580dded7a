"""Reading an export: counts that have to add up, lines that have to be whole, rows that can be found."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from scene.errors import ExportError
from scene.export import FAILURES, MANIFEST, SCENES, Contents, Counts, Export, Manifest
from scene.record import SceneRecord
from tests.exported import failure, key, manifest, not_rehearsed_again, record


def write(folder: Path, scenes: str = "", failures: str = "", **changes: object) -> Path:
    (folder / SCENES).write_text(scenes)
    (folder / FAILURES).write_text(failures)
    (folder / MANIFEST).write_text(manifest(9, **changes).model_dump_json())
    return folder


def lines(*rows) -> str:
    return "".join(f"{row.model_dump_json()}\n" for row in rows)


def counts(done: int, failed: int, questions: int = 9) -> Counts:
    return Counts(questions=questions, done=done, failed=failed, pending=questions - done - failed)


def test_counts_have_to_add_up():
    with pytest.raises(ValidationError, match="do not add up"):
        Counts(questions=3, done=1, failed=1, pending=0)


def test_more_replays_failed_than_there_are_scenes():
    with pytest.raises(ValidationError, match="more replays failed than scenes are done"):
        Counts(questions=1, done=0, failed=1, pending=0, replays_failed=1)


def test_replays_that_failed_are_counted(tmp_path):
    export = Export(write(tmp_path, lines(record(1), not_rehearsed_again(2), not_rehearsed_again(3))))
    assert (export.contents.replays_failed, export.manifest.counts.replays_failed) == (2, 0)
    assert list(export.scenes())[1] == not_rehearsed_again(2)


def test_a_replay_that_failed_removed_nothing():
    with pytest.raises(ValidationError, match="a replay that failed removed no harm"):
        SceneRecord.model_validate(dict(not_rehearsed_again(1)) | {"harms_removed": 0.5})


def test_records_and_failures(tmp_path):
    export = Export(write(tmp_path, lines(record(1), record(2)), lines(failure(3))))
    assert list(export.scenes()) == [record(1), record(2)]
    assert export.failures() == [failure(3)]
    assert export.contents.totals.calls == 2 * sum(cost.calls for cost in record(1).cost.values())
    assert not export.contents.superseded


@pytest.mark.parametrize("cut", [1, 50, -1])
def test_torn_last_line_is_passed_over(tmp_path, cut):
    whole = lines(record(1))
    export = Export(write(tmp_path, whole + lines(record(2))[:cut], lines(failure(3)) + "{}"[:1]))
    assert [scene.id for scene in export.scenes()] == [key(1)]
    assert export.contents.torn == [SCENES, FAILURES]
    assert export.contents.sizes[SCENES] == len(whole)


def test_last_line_of_zeros_as_a_power_cut_leaves_them(tmp_path):
    export = Export(write(tmp_path, lines(record(1)) + "\0" * 100 + "\n"))
    assert export.contents.torn == [SCENES]


@pytest.mark.parametrize(
    ("scenes", "failures", "fault"),
    [
        ("half a li\n" + lines(record(1)), "", "scenes.jsonl, line 1 is damaged"),
        (lines(record(1)) + '{"schema_version": 2}\n', "", "line 2 is damaged .schema_version"),
        (lines(record(1), record(1)), "", f"has scene {key(1)} twice"),
        ("", "{}\n", "failures.jsonl, line 1 is damaged"),
    ],
)
def test_damage_is_named(tmp_path, scenes, failures, fault):
    with pytest.raises(ExportError, match=fault):
        Export(write(tmp_path, scenes, failures))


def test_a_record_that_is_none(tmp_path):
    line = record(1).model_dump_json().replace('"verdict":"', '"verdict":"un')
    with pytest.raises(ExportError, match=r"line 1 is damaged .*verdict"):
        list(Export(write(tmp_path, line + "\n")).scenes())


def test_the_latest_failure_counts_until_a_scene_makes_it_good(tmp_path):
    again = lines(failure(1), failure(2), failure(3), failure(2, attempt=1))
    export = Export(write(tmp_path, lines(record(1)), again))
    assert export.failures() == [failure(2, attempt=1), failure(3)]
    assert export.contents.superseded


@pytest.mark.parametrize(
    ("state", "said", "fine"),
    [
        ("running", counts(0, 0), True),
        ("running", counts(2, 1), True),
        ("running", counts(3, 0), False),
        ("stopped", counts(1, 1), False),
        ("finished", counts(2, 1, 3), True),
        ("running", counts(0, 0, 2), False),
    ],
)
def test_manifest_is_checked_against_the_files(tmp_path, state, said, fine):
    write(tmp_path, lines(record(1), record(2)), lines(failure(3)), state=state, counts=said)
    if fine:
        assert Export(tmp_path).manifest.counts == said
    else:
        with pytest.raises(ExportError, match="holds 2 scenes and 1 failures, where"):
            Export(tmp_path)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, "holds no export"),
        ("", "is damaged"),
        ("{}", "schema_version|state"),
        ('{"schema_version": 2}', "schema_version"),
    ],
)
def test_manifest_that_is_none(tmp_path, text, fault):
    if text is not None:
        (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(ExportError, match=fault):
        Export(tmp_path)


def test_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    for name in ("missing", "file"):
        with pytest.raises(ExportError, match="that `export` wrote"):
            Export(tmp_path / name)


def test_rows_are_found(tmp_path):
    rows = record(0xABCD << 48), record(0xABCE << 48), failure(0xABCF << 48)
    export = Export(write(tmp_path, lines(*rows[:2]), lines(rows[2])))
    for row, found in [
        (rows[0].id, rows[:1]),
        ("abce", rows[1:2]),
        ("@2", rows[1:2]),
        ("@3", ()),
        (rows[2].question_id, rows[2:]),
        ("abcf00", rows[2:]),
        ("abc", ()),
        ("", ()),
        (rows[1].question_id, rows[1:2]),
    ]:
        assert tuple(export.find(row)) == found, row


def test_a_question_id_goes_before_a_scene_id(tmp_path):
    named = record(2).model_copy(update={"question_id": key(1)[:8]})
    assert Export(write(tmp_path, lines(record(1), named))).find(key(1)[:8]) == [named]


def test_every_record_of_a_question_is_found(tmp_path):
    twins = record(1), record(2).model_copy(update={"question_id": "q1"})
    assert Export(write(tmp_path, lines(*twins))).find("q1") == list(twins)


def test_what_changed_between_two_manifests():
    old = manifest(1)
    new = old.model_copy(
        update={
            "settings": {"roles": 3, "seed": 0, "steps": 2},
            "model": old.model.model_copy(update={"revision": "b", "details": {"device": "cuda"}}),
            "prompt_digest": "e",
            "source": "elsewhere.jsonl",
        }
    )
    assert old.changes(old) == []
    assert old.changes(new) == [
        "roles was 4 and is now 3",
        "model revision was None and is now b",
        "prompts was d and is now e",
        "steps was None and is now 2",
    ]


def test_a_manifest_is_read_as_written():
    assert Manifest.model_validate_json(manifest(3).model_dump_json(indent=2)) == manifest(3)


def test_contents_of_nothing(tmp_path):
    assert Contents.read(tmp_path) == Contents(sizes={SCENES: 0, FAILURES: 0})
