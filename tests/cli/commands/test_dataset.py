"""`monopolylogue dataset` from the command line."""

import json
from pathlib import Path

import httpx
import pytest
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

import prompts
from inference.scripted import ScriptedEngine
from scene.record import Message
from tests.cli.test_bad_input import refused
from tests.finetune.scenes import call, record, write


def test_rows_are_counted_and_written(monopolylogue, tmp_path) -> None:
    records = [record(n, revised=n % 2 == 0) for n in range(10)]
    source = write(tmp_path / "export", records)
    done = monopolylogue(
        "dataset",
        str(source),
        "--out",
        str(tmp_path / "data"),
        "--mix",
        "aligned=9,helpful=3",
        "--near",
        "100",
    )
    assert done.exit_code == 0, done.output
    assert "too few: 5 of 9 aligned rows" in done.stdout
    assert "Written to" in done.stdout
    manifest = json.loads((tmp_path / "data" / "manifest.json").read_text())
    assert manifest["shortfalls"] == {"aligned": {"wanted": 9, "there": 5}}
    assert manifest["surplus"] == {"helpful": 2}


@pytest.mark.parametrize(("name", "found"), [("messages", True), ("prompt-completion", False)])
def test_says_where_other_trainers_find_the_rows(monopolylogue, tmp_path, name, found) -> None:
    source, out = write(tmp_path / "export", [record(1)]), tmp_path / "data"
    done = monopolylogue("dataset", str(source), "--out", str(out), "--format", name)
    assert done.exit_code == 0, done.output
    assert (
        f"LLaMA-Factory finds the rows by {out / 'dataset_info.json'}, Axolotl by" in done.stdout
    ) is found
    assert (out / "axolotl.yaml").exists() is found


def test_examples_are_kept_where_that_is_asked_for(monopolylogue, tmp_path) -> None:
    shown = [
        Message(role=role, content=text)
        for example in prompts.load("role_action").examples
        for role, text in (("user", example.user), ("assistant", example.reply))
    ]
    asked = call("role_action", "role_action", "I stay.").prompt
    one = call("role_action", "role_action", "I stay.", prompt=(asked[0], *shown, asked[-1]))
    source = write(tmp_path / "export", [record(1, calls=(one,))])
    whole = ["system", *["user", "assistant"] * (len(shown) // 2), "user"]
    for more, roles in (((), ["system", "user"]), (("--examples",), whole)):
        done = monopolylogue(
            "dataset", str(source), "--out", str(tmp_path / "data"), "--mix", "simulation=1", *more
        )
        assert done.exit_code == 0, done.output
        (line,) = (tmp_path / "data" / "data" / "train.jsonl").read_text().splitlines()
        row = json.loads(line)
        assert ([message["role"] for message in row["prompt"]], row["call"]) == (roles, 0)


def test_gate_asks_the_model_that_is_named(monopolylogue, monkeypatch, tmp_path) -> None:
    asked = []

    def prefer_the_old(request):
        said = request.messages[-1].content
        return "the first" if said.index("do nothing") < said.index("talk to") else "the second"

    def load(name, **options):
        asked.append((name, ScriptedEngine(prefer_the_old)))
        return asked[-1][1]

    monkeypatch.setattr("cli.work.loading.load_engine", load)
    source = write(tmp_path / "export", [record(1, revised=True), record(2)])
    out = tmp_path / "data"
    done = monopolylogue("dataset", str(source), "--out", str(out), "--gate", "--model", "judge")
    assert done.exit_code == 0, done.output
    ((name, engine),) = asked
    assert (name, len(engine.requests)) == ("judge", 2)
    assert "left out: 1 gate: asked in both orders, the model prefers the first answer" in done.stdout
    kept = [json.loads(line) for line in (out / "rejected.jsonl").read_text().splitlines()]
    assert [row["scene"] for row in kept if row["reason"] == "gate"] == [record(1).id]


class Hub:
    """Stands in for `HfApi` and remembers what it was given."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.asked: list[tuple[str, dict]] = []
        self.files: dict[str, bytes] = {}

    def __call__(self) -> "Hub":
        return self

    def create_repo(self, repo_id: str, **options) -> str:
        self.asked.append((repo_id, options))
        if self.fault is not None:
            raise self.fault
        return f"https://hub.test/datasets/{repo_id}"

    def upload_folder(self, *, repo_id: str, repo_type: str, folder_path: Path) -> None:
        self.asked.append((repo_id, {"repo_type": repo_type}))
        found = (path for path in folder_path.rglob("*") if path.is_file())
        self.files = {str(path.relative_to(folder_path)): path.read_bytes() for path in found}


def test_push_to_hub(monopolylogue, monkeypatch, tmp_path) -> None:
    hub = Hub()
    monkeypatch.setattr("huggingface_hub.HfApi", hub)
    source, out = write(tmp_path / "export", [record(n) for n in range(4)]), tmp_path / "data"
    command = ("dataset", str(source), "--out", str(out), "--push-to-hub", "me/scenes")
    done = monopolylogue(*command)
    assert done.exit_code == 0, done.output
    assert "Uploaded to https://hub.test/datasets/me/scenes" in done.stdout
    private = {"repo_type": "dataset", "private": True, "exist_ok": True}
    assert hub.asked == [("me/scenes", private), ("me/scenes", {"repo_type": "dataset"})]
    written = (path for path in out.rglob("*") if path.is_file())
    assert hub.files == {str(path.relative_to(out)): path.read_bytes() for path in written}
    assert {"README.md", "manifest.json", "data/train.jsonl"} <= hub.files.keys()


@pytest.mark.parametrize(
    "fault",
    [
        httpx.ConnectError("Name or service not known"),
        HfHubHTTPError("401 Client Error", response=httpx.Response(401, request=httpx.Request("POST", "x"))),
        HFValidationError("Repo id must use alphanumeric chars"),
        OfflineModeIsEnabled("offline mode is enabled"),
    ],
)
def test_a_hub_that_does_not_take_it(monopolylogue, monkeypatch, tmp_path, fault) -> None:
    monkeypatch.setattr("huggingface_hub.HfApi", Hub(fault))
    source, out = write(tmp_path / "export", [record(1)]), tmp_path / "data"
    command = ("dataset", str(source), "--out", str(out), "--push-to-hub", "me/scenes")
    done = monopolylogue(*command)
    (line,) = done.stderr.splitlines()
    assert (done.exit_code, f"({str(fault).splitlines()[0]})" in line) == (2, True)
    assert "Uploaded" not in done.stdout
    assert (out / "manifest.json").exists()


def test_bad_input(monopolylogue, tmp_path) -> None:
    empty = write(tmp_path / "empty", [])
    out = str(tmp_path / "data")
    refused(monopolylogue("dataset", str(tmp_path / "none"), "--out", out), "can't be read")
    refused(monopolylogue("dataset", str(tmp_path), "--out", out), "holds no export")
    refused(monopolylogue("dataset", str(empty), "--out", out), "the export is empty")
    refused(monopolylogue("dataset", str(empty), "--out", out, "--format", "csv"), "no format 'csv'")
    refused(monopolylogue("dataset", str(empty), "--out", str(empty)), "something else")
    refused(monopolylogue("dataset", str(empty), "--out", out, "--without", " ,"), "names no rows")
    (tmp_path / "rows.txt").write_bytes(b"\xff")
    refused(
        monopolylogue("dataset", str(empty), "--out", out, "--without", str(tmp_path / "rows.txt")),
        "can't be read",
    )
