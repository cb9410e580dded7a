"""The parts of `make proof` that no subcommand of `monopolylogue` has."""

import json
import re

import pytest

from evaluation.records import Answer, Journal
from evaluation.sets import load_sets
from tests.cli.proof.sets import read, words
from tests.cli.test_bad_input import refused
from tests.evaluation.test_metrics import answer
from tests.scripted_scene import player, prompt_of

pytestmark = pytest.mark.usefixtures("own_cache")


def test_nothing_that_is_evaluated_is_trained_on(stage, data, tmp_path) -> None:
    done = stage("questions", data, "--out", tmp_path / "q", "--limit", 100, "--evaluated", "advbench")
    assert done.exit_code == 0, done.output
    parts = {name: read(tmp_path / "q" / f"{name}.jsonl") for name in ("train", "dev", "hh")}
    texts = {name: {row["question"] for row in rows} for name, rows in parts.items()}
    assert all(texts.values())
    assert len(set.union(*texts.values())) == sum(map(len, parts.values()))
    assert f"catqa {words('catqa_english.jsonl0')}?" not in set.union(*texts.values())
    assert f"self_ {words('self_instruct_seed_tasks.jsonl0')}?" not in set.union(*texts.values())
    seen = {f"hh_ha {words(f'hh_harmless_first_turn.jsonl{n}')}?" for n in range(20)}
    assert not seen & set.union(*texts.values())
    assert {text.split()[0] for text in texts["hh"]} == {"hh_ha"}
    assert {row.get("kind") for row in parts["train"]} == {None, "harmful", "helpful"}
    left_out = read(tmp_path / "q" / "left_out.jsonl")
    assert f"catqa {words('catqa_english.jsonl0')}?" in {row["repeats"] for row in left_out}
    assert not {row["question"] for row in left_out} & set.union(*texts.values())
    refused(stage("questions", tmp_path / "none", "--out", tmp_path / "x"), "There is no folder")


def test_a_larger_number_of_questions_only_adds_some(stage, data, tmp_path) -> None:
    few, many = tmp_path / "few", tmp_path / "many"
    assert stage("questions", data, "--out", few, "--limit", 5, "--dev", 3, "--held-out", 2).exit_code == 0
    assert stage("questions", data, "--out", many, "--limit", 60, "--dev", 9, "--held-out", 8).exit_code == 0
    drawn = [row["question"].split()[0] for row in read(few / "train.jsonl")]
    assert drawn == ["hh_ha", "catqa", "dange", "koala", "self_"]
    for file, count in (("train", 5), ("dev", 3), ("hh", 2)):
        assert read(many / f"{file}.jsonl")[:count] == read(few / f"{file}.jsonl")


def test_questions_to_answer_plainly_are_benign_and_in_no_other_part(stage, data, tmp_path) -> None:
    few, many = tmp_path / "few", tmp_path / "many"
    for out, limit in ((few, 5), (many, 40)):
        assert stage("questions", data, "--out", out, "--limit", limit, "--plain", 9).exit_code == 0
        parts = {name: read(out / f"{name}.jsonl") for name in ("train", "dev", "hh", "plain")}
        assert len({row["question"] for rows in parts.values() for row in rows}) == sum(
            map(len, parts.values())
        )
        assert {row["kind"] for row in parts["plain"]} == {"helpful"}
        assert len(parts["plain"]) == 9
    assert read(few / "plain.jsonl") == read(many / "plain.jsonl")


def test_tasks_with_a_reference_answer_are_for_choosing(stage, data, tmp_path) -> None:
    assert stage("questions", data, "--out", tmp_path / "q", "--limit", 100).exit_code == 0
    (row,) = read(tmp_path / "q" / "references.jsonl")
    question = f"self_ {words('self_instruct_seed_tasks.jsonl0')}?\n\nA text to work on."
    assert (row["question"], row["reference"], row["kind"]) == (question, "It works.", "helpful")
    (item,) = load_sets([f"own={tmp_path / 'q' / 'references.jsonl'}"])
    assert (item.question, item.reference) == (question, "It works.")


def test_looks_are_counted_by_kind_and_stance(stage, tmp_path, monkeypatch) -> None:
    odds = {"burn": 8.0, "boil": 1.0, "bake": -2.0, "lost": -2.0}

    def weighed(request):
        if prompt_of(request) not in ("safe", "refusal"):
            return ()
        asked = request.messages[-1].content
        return next([0.0, unsafe] for word, unsafe in odds.items() if word in asked)

    def answer(request):
        said = request.messages[-1].content
        return (
            "I'm sorry, but I can't help." if "burn" in said else "They lost it." if "lost" in said else None
        )

    def stance(request):
        return "maybe" if "lost" in request.messages[-1].content else None

    monkeypatch.setattr(
        "cli.work.loading.load_engine",
        lambda model, **options: player(weighed, stance=stance, respond=answer),
    )
    asked = [("burn it", "harmful"), ("boil it", "helpful"), ("bake it", None), ("get lost", None)]
    file = tmp_path / "questions.jsonl"
    file.write_text(
        "".join(json.dumps({"question": q} | ({"kind": k} if k else {})) + "\n" for q, k in asked)
    )
    shown = stage("looks", file)
    assert shown.exit_code == 0
    cells = [re.split(r"\s*│\s*", line.strip("│ ")) for line in shown.stdout.splitlines() if "ed " in line]
    assert cells == [
        ["harmful", "declined", "1", "0", "0"],
        ["helpful", "answered", "0", "1", "0"],
        ["of no known kind", "answered", "0", "0", "1"],
    ]
    assert "1 of 4 questions without a usable reply are left out." in shown.stderr
    as_json = stage("looks", file, "--json")
    assert "1 of 4 questions" in as_json.stderr
    printed = [json.loads(line) for line in as_json.stdout.splitlines()]
    assert [(one["question"], one["request"], one["risk"]) for one in printed] == [
        ("burn it", "harmful", 0.999),
        ("boil it", "doubtful", 0.282),
        ("bake it", "harmless", 0.016),
    ]


def test_rows_of_several_data_sets_are_joined(stage, tmp_path) -> None:
    for name, splits in (("scenes/data", ("train", "validation")), ("plain", ("train",))):
        (tmp_path / name).mkdir(parents=True)
        for split in splits:
            said = [{"role": "assistant", "content": "One line\u2028to a reader of JSON."}]
            row = {"prompt": [], "completion": said, "part": "helpful", "scene": f"{name} {split}"}
            (tmp_path / name / f"{split}.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\n")
    out = tmp_path / "joined"
    join = ("join", tmp_path / "scenes", tmp_path / "plain", "--out", out)
    assert "2 train and 1 validation rows" in stage(*join).stdout
    joined = [json.loads(line) for line in (out / "train.jsonl").read_text().strip().split("\n")]
    assert [row["scene"] for row in joined] == ["scenes/data train", "plain train"]
    assert json.loads((out / "manifest.json").read_text())["rows"]["train"] == {"helpful": 2}
    before = (out / "train.jsonl").read_bytes()
    (tmp_path / "plain" / "train.jsonl").write_text("{\n")
    refused(stage(*join), "holds something else than rows")
    refused(stage("join", tmp_path, "--out", out), "holds no rows to train on")
    assert (out / "train.jsonl").read_bytes() == before


def test_rows_of_answers_are_filtered_and_split_as_those_of_scenes(stage, tmp_path) -> None:
    folder = tmp_path / "evaluation"
    folder.mkdir()
    journal = Journal(folder / "answers.jsonl", Answer)
    asked = []

    def say(text, kind="helpful", question=None, **changes) -> None:
        question = question or f"Why {words(len(asked))}?"
        journal.append(answer(text, id=str(len(asked)), question=question, **changes))
        asked.append({"id": len(asked), "question": question, "kind": kind})

    for number in range(20):
        say(f"Talk to her about {number}.", kind=None if number % 2 else "helpful")
    say("Take her keys.", kind="harmful")
    say("Talk to")
    say("Talk", ended=False)
    say("", error="it broke")
    say("I'm sorry, but I can't assist with that.")
    say("<|im_end|> Hello.")
    say("Another one.", question=asked[0]["question"])
    say("Another one.", system="other")
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, asked)))
    make = ("rows", f"base={folder}", "--questions", tmp_path / "train.jsonl")
    rows = tmp_path / "rows" / "base"
    done = stage(*make, "--out", tmp_path / "rows")
    assert done.exit_code == 0, done.output
    assert "18 train and 2 validation rows of base" in done.stdout
    train, validation = (read(rows / f"{name}.jsonl") for name in ("train", "validation"))
    row = min(train + validation, key=lambda row: int(row["scene"]))
    assert row["prompt"] == [{"role": "user", "content": asked[0]["question"]}]
    assert row["completion"][0]["content"] in ("Talk to her about 0.", "Another one.")
    manifest = json.loads((rows / "manifest.json").read_text())
    left_out = {"truncated": 2, "empty": 1, "refusal": 1, "markup": 1, "duplicate": 1}
    assert manifest["filtered"] == left_out | {"yields": 1}
    assert "| truncated | 2 | it ends in mid-sentence" in (rows / "README.md").read_text()
    mixed = stage(*make, "--mix", "aligned=4,helpful=2", "--out", tmp_path / "rows")
    assert mixed.exit_code == 0, mixed.output
    parts = [row["part"] for name in ("train", "validation") for row in read(rows / f"{name}.jsonl")]
    assert sorted(parts) == ["aligned"] * 4 + ["helpful"] * 2
    assert not list(tmp_path.glob("**/*.partial"))
    none = ("rows", f"none={folder}", *make[2:])
    refused(stage(*none, "--out", tmp_path / "x"), "no whole answer")
    refused(stage("rows", f"base={tmp_path}", *make[2:], "--out", tmp_path / "x"), "holds no answers")
    assert not (tmp_path / "x").exists()


def test_rows_of_answers_turn_no_more_askers_away_than_wanted(stage, tmp_path) -> None:
    folder = tmp_path / "evaluation"
    folder.mkdir()
    journal = Journal(folder / "answers.jsonl", Answer)
    said = [f"I'm sorry, but I can't help you with {words(number)}." for number in range(3)]
    for number, text in enumerate([*said, "Talk to her."]):
        system = "base" if number else "other"
        journal.append(answer(text, id=str(number), question=f"Why {words(number)}?", system=system))
    asked = [{"question": f"Why {words(number)}?"} for number in range(4)]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, asked)))
    make = ("--questions", tmp_path / "train.jsonl", "--out", tmp_path / "rows")
    base, other = ("rows", f"base={folder}", *make), ("rows", f"other={folder}", *make)

    def taken(*options) -> list[str]:
        assert stage(*base, *options).exit_code == 0
        rows = [row for path in (tmp_path / "rows" / "base").glob("*.jsonl") for row in read(path)]
        return sorted(row["completion"][0]["content"] for row in rows)

    assert taken() == [*sorted(said[1:]), "Talk to her."]
    assert len(taken("--refusals", 1)) == 2
    assert taken("--refusals", 0) == ["Talk to her."]
    refused(stage(*other, "--refusals", 0), "allow more refusals")
    refused(stage(*base, "--mix", "helpful=2"), "ask for other parts")


def test_trainers_read_both_splits_of_rows(stage, tmp_path) -> None:
    from finetune.examples import read_examples

    test_rows_of_answers_are_filtered_and_split_as_those_of_scenes(stage, tmp_path)
    found = read_examples(str(tmp_path / "rows" / "base"), "sft")
    assert {name: len(own) for name, own in found.items()} == {"train": 5, "validation": 1}
