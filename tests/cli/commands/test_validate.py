"""`monopolylogue validate` with a scripted model: what it plays, writes, says and refuses."""

import json
from pathlib import Path

import pytest

import cli.work.loading
import cli.work.validating
from inference.engine import GenerationRequest
from inference.scripted import ScriptedEngine
from scene.export import Export
from tests.cli.test_bad_input import refused
from tests.scripted_scene import asked, player

SMALL = ("--roles", "1", "--steps", "2", "--max-interactions", "1")
ROWS = [
    {
        "id": f"{kind}{number}",
        "kind": kind,
        "split": "tune" if number else "test",
        "question": f"{kind} {number}?",
    }
    for kind in ("harmful", "helpful")
    for number in range(3)
]


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "validation"


@pytest.fixture
def engines() -> list[ScriptedEngine]:
    """The models that were loaded, each of which is closed after its seed."""
    return []


@pytest.fixture
def validate(monopolylogue, engines, tmp_path, out, monkeypatch):
    """`validate("--limit", "2")`: what the command does with `ROWS`, small scenes and no picture."""
    monkeypatch.setattr(
        cli.work.validating, "write_plot", lambda validation, path: path.write_text("undrawn")
    )

    def invoke(*arguments, rows=ROWS, make=player):
        def load(model, **options):
            engines.append(make())
            return engines[-1]

        monkeypatch.setattr(cli.work.loading, "load_engine", load)
        source = write(tmp_path / "questions.jsonl", rows)
        return monopolylogue("validate", str(source), "--out", str(out), *SMALL, *arguments)

    return invoke


def declining(word: str) -> ScriptedEngine:
    """Turns away what holds a word, and finds that it would hurt somebody."""

    def decline(request: GenerationRequest) -> str | None:
        return "I'm sorry, but I can't help with that." if word in request.messages[-1].content else None

    def safe(request: GenerationRequest) -> str:
        return "no" if word in request.messages[-1].content else "yes"

    return player(respond=decline, safe=safe)


def test_a_model_that_tells_both_kinds_apart(validate, out):
    done = validate("--json", make=lambda: declining("harmful"))
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert json.loads((out / "validation.json").read_text()) == result
    assert (out / "validation.png").exists()
    assert (result["questions"], result["scenes"]) == ({"harmful": 3, "helpful": 3}, 6)
    assert {split: one["value"] for split, one in result["signals"]["decision"].items()} == {
        "all": 1, "test": 1, "tune": 1,
    }  # fmt: skip
    assert result["signals"]["refusal"]["tune"]["n"] == 4
    assert not any(result["styles"].values())
    assert result["verdict"]["fit"] is None
    assert "it takes 20 of each kind, and of one there are 3" in result["verdict"]["sentence"]
    assert result["shares"]["failed"]["value"] == 0
    assert result["shares"]["agreement"] is None
    assert result["cost"]["calls"] > 0
    kinds = [record.kind for record in Export(out / "seed-0").scenes()]
    assert sorted(kinds) == ["harmful"] * 3 + ["helpful"] * 3


def test_tables_and_one_sentence(validate, out):
    done = validate("--seeds", "1,2")
    assert done.exit_code == 0, done.stderr
    assert "first answer, by its words" in done.stdout
    assert "by style" not in done.stdout
    assert "questions decided alike under every seed" in done.stdout
    *_, written, sentence = done.stdout.splitlines()
    assert written == f"Written to {out}."
    assert sentence.startswith("Too few questions to say whether scripted is fit to rehearse")


def test_styles_and_a_verdict_by_the_plain_one(validate):
    rows = [row | {"style": "plain" if row["id"][-1] == "1" else "veiled"} for row in ROWS]
    result = json.loads(validate("--json", rows=rows, make=lambda: declining("harmful 1")).stdout)
    assert {style: one["value"] for style, one in result["styles"]["decision"].items()} == {
        "veiled": 0.5, "plain": 1,
    }  # fmt: skip
    assert 0.5 < result["signals"]["decision"]["all"]["value"] < 1
    assert "it takes 20 plain ones of each kind, and of one there are 1" in result["verdict"]["sentence"]
    assert "The same by style" in validate(rows=rows).stdout


def test_it_goes_on_seed_by_seed(validate, engines, out):
    assert validate("--limit", "2").exit_code == 0
    assert {record.question_id for record in Export(out / "seed-0").scenes()} == {"harmful0", "helpful0"}
    assert validate("--seeds", "0,1").exit_code == 0
    assert [len(asked(engine, "respond")) for engine in engines] == [2, 4, 6]
    done = validate("--seeds", "0,1", "--json")
    assert sum(len(engine.requests) for engine in engines[3:]) == 0
    agreement = json.loads(done.stdout)["shares"]["agreement"]
    assert (agreement["value"], agreement["n"]) == (1, 6)


def test_scenes_that_break_off(validate, out):
    def fails(request: GenerationRequest) -> str | None:
        return "" if "harmful 1?" in request.messages[-1].content else None

    done = validate("--json", make=lambda: player(respond=fails))
    assert done.exit_code == 3, done.stderr  # one of six
    result = json.loads(done.stdout)
    assert (result["scenes"], result["shares"]["failed"]["value"]) == (5, pytest.approx(1 / 6))
    assert result["signals"]["decision"]["all"]["n"] == 5
    done = validate("--seeds", "5", make=lambda: player(respond=""))
    assert done.exit_code == 1
    assert "Not one scene came to its end" in done.stderr


def without(row: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in row.items() if key != name}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], ("holds no question",)),
        (ROWS[:3], ("holds no helpful question",)),
        (ROWS[:1], ("holds no helpful question",)),
        ([*ROWS, ROWS[0] | {"kind": "odd"}], ("questions.jsonl, line 7", "says 'odd'")),
        ([ROWS[0], without(ROWS[4], "kind"), ROWS[5]], ("questions.jsonl, line 2: it has no kind",)),
    ],
)
def test_questions_that_tell_nothing(validate, engines, out, rows, words):
    refused(validate(rows=rows), *words)
    assert engines == []
    assert not out.exists()


def test_a_data_set_with_several_subsets_and_splits(monopolylogue, own_cache, tmp_path, out):
    configs = ""
    for name in ("first", "second"):
        files = ""
        for split, rows in (("train", ROWS), ("test", ROWS[:3])):
            write(tmp_path / f"{name}-{split}.jsonl", rows)
            files += f"  - split: {split}\n    path: {name}-{split}.jsonl\n"
        configs += f"- config_name: {name}\n  data_files:\n{files}"
    (tmp_path / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    command = ("validate", str(tmp_path), "--out", str(out))
    refused(monopolylogue(*command), "has the subsets first, second; choose one with --subset")
    refused(
        monopolylogue(*command, "--subset", "first"), "has the splits train, test; choose one with --split"
    )
    refused(monopolylogue(*command, "--subset", "first", "--split", "test"), "holds no helpful question")
    refused(monopolylogue("validate", "--subset", "first", "--out", str(out)), "has no subset or split")


def test_a_folder_of_other_questions(validate):
    validate()
    refused(
        validate(rows=[row | {"id": f"x{row['id']}"} for row in ROWS]), "belong to questions that are not"
    )


def test_seeds_are_numbers(validate):
    refused(validate("--seeds", "one"), "--seeds takes whole numbers")


def test_the_shipped_questions(monopolylogue, loader, out):
    """The picture is drawn too."""
    done = monopolylogue("validate", "--limit", "4", "--out", str(out), *SMALL)
    assert done.exit_code == 0, done.stderr
    assert (out / "validation.png").read_bytes().startswith(b"\x89PNG")
    names = {record.question_id for record in Export(out / "seed-0").scenes()}
    assert names == {"harmful-01", "helpful-01", "harmful-49", "helpful-49"}
