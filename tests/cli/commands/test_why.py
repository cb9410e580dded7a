"""`monopolylogue why` from the command line, on a random model."""

import json
import shutil
from pathlib import Path

import pytest

from finetune.train import train
from finetune.training import load_settings
from inference.scripted import ScriptedEngine
from scene.export import Export
from tests.cli.test_bad_input import refused
from tests.finetune.conftest import data, own_cache, tiny_random  # noqa: F401  # fixtures

pytestmark = pytest.mark.xdist_group("training")

QUESTION = "May I keep the ladder?"


@pytest.fixture(scope="module")
def adapter(tmp_path_factory, tiny_random, data) -> Path:  # noqa: F811
    out = tmp_path_factory.mktemp("why") / "adapter"
    settings = load_settings("cpu-small", {"max_steps": 2, "save_steps": 1, "dtype": "float32"})
    train(str(data()), str(tiny_random), out, settings, check=False)
    return out


@pytest.fixture
def says(monkeypatch):
    """`says(text)`: the adapter's own answer."""

    def say(text: str) -> None:
        monkeypatch.setattr(
            "cli.work.loading.load_engine", lambda *args, **ignored: ScriptedEngine(lambda _: text)
        )

    return say


def test_rows_are_shown_with_their_scenes_and_can_be_left_out(
    monopolylogue,
    adapter,
    data,  # noqa: F811
    says,
    tmp_path,
) -> None:
    says("Give it \x1b[31mback.")
    shown = monopolylogue("why", str(adapter), QUESTION, "--top", "2")
    assert shown.exit_code == 0, shown.output
    assert f"{QUESTION}\n\nGive it [31mback.\n\nTaught it most:\n" in shown.stdout
    done = monopolylogue("why", str(adapter), QUESTION, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["question"], told["answer"]) == (QUESTION, "Give it [31mback.")
    assert [one["step"] for one in told["checkpoints"]] == [1, 2]
    rows = told["rows"]
    for row in (*rows[:2], *rows[-2:]):
        assert f"{row['influence']:+.2f}  {row['row']}\n" in shown.stdout
        command, explain, folder, scene = row["explain"].split()
        assert f"explain: {row['explain']}\n" in shown.stdout
        assert (command, explain) == ("monopolylogue", "explain")
        (found,) = Export(Path(folder)).find(scene)
        assert row["row"].startswith("simulation") or row["question"] == found.question

    names = [row["row"] for row in rows]
    (tmp_path / "bad.txt").write_text("\ufeff" + "\n".join(names[:3]) + "\n\n", encoding="utf-8")
    export = str(data().parent / "export")
    for without in (str(tmp_path / "bad.txt"), ", ".join(names[:3])):
        again = monopolylogue(
            "dataset", export, "--near", "100", "--without", without, "--out", str(tmp_path / "data")
        )
        assert again.exit_code == 0, again.output
        assert "left out: 3 without: it was named to be left out" in again.stdout
        before, after = (
            (folder / "data" / "train.jsonl").read_text().splitlines()
            for folder in (data(), tmp_path / "data")
        )
        assert len(after) == len(before) - 3
        assert [line for line in before if line in after] == after


def test_an_answer_may_be_given_and_the_adapter_need_not_be_asked(monopolylogue, adapter, loader) -> None:
    done = monopolylogue("why", str(adapter), QUESTION, "--answer", "No.", "--json", "--checkpoints", "1")
    told = json.loads(done.stdout)
    assert (told["answer"], told["checkpoints"]) == ("No.", [{"step": 2, "weight": 1.0}])
    assert loader.asked == []


def test_a_missing_checkpoint_is_told(monopolylogue, adapter, tmp_path) -> None:
    shutil.copytree(adapter, tmp_path / "adapter", ignore=shutil.ignore_patterns("checkpoints"))
    done = monopolylogue("why", str(tmp_path / "adapter"), QUESTION, "--answer", "No.")
    assert done.exit_code == 0, done.output
    assert "No checkpoint is left" in done.stderr


def test_bad_input(monopolylogue, adapter, tiny_random, says, tmp_path) -> None:  # noqa: F811
    says(" ")
    shutil.copytree(adapter, tmp_path / "other", ignore=shutil.ignore_patterns("training.yaml"))
    (tmp_path / "base.gguf").write_bytes(b"GGUF")
    refused(monopolylogue("why", str(adapter), " \n"), "The question is empty")
    refused(monopolylogue("why", str(adapter), QUESTION, "--answer", ""), "--answer is empty")
    refused(monopolylogue("why", str(adapter), QUESTION), "answers with nothing")
    refused(monopolylogue("why", str(tmp_path / "no"), QUESTION), "There is no model")
    refused(monopolylogue("why", str(tiny_random), QUESTION), "is no adapter")
    refused(monopolylogue("why", str(tmp_path / "base.gguf"), QUESTION), "is no adapter")
    refused(monopolylogue("why", str(tmp_path / "other"), QUESTION), "has no training.yaml")
    refused(monopolylogue("why", str(adapter), QUESTION, "--data", "no/rows"), "lacks its rows")
