"""One's own prompts, people and principles on the command line."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from cli.options import ModelChoice
from cli.options.own import own_prompts
from cli.work.open_session import step_through
from graph.session import Session
from graph.session_file import new_session, read_info
from prompts import OURS
from scene.cast import Given, read_cast
from scene.errors import InputError
from scene.nouns import Role
from scene.record import SceneRecord
from scene.settings import SceneSettings
from tests.prompts.german_scene import FOLDER, GERMAN, QUESTION, german
from tests.scripted_scene import player

MODEL = ("model", "engine", "dtype", "device")

COOK = "people: [{name: Köchin, traits: Sie ist laut., position: Sie will ihr Geld.}]"


@pytest.fixture
def people(tmp_path):
    path = tmp_path / "people.yaml"
    path.write_text(COOK, encoding="utf-8")
    return str(path)


def test_a_copy_can_be_played_with_until_it_is_broken(monopolylogue, tmp_path):
    folder = tmp_path / "own" / "prompts"
    assert f"{len(OURS.files)} files are in {folder}" in monopolylogue("prompts", "copy", str(folder)).stdout
    done = monopolylogue("prompts", "check", str(folder))
    assert (done.exit_code, OURS.digest() in done.stdout) == (0, True)
    (folder / "safe.yaml").write_text("user: Why?")
    (folder / "cast.yaml").write_text("user: {")
    done = monopolylogue("prompts", "check", str(folder))
    assert done.exit_code == 2
    assert f"{folder}/cast.yaml: is not valid YAML" in done.stdout
    assert f"{folder}/safe.yaml: user: lacks {{question}}\n" in done.stdout
    assert f"{folder} has 2 faults; mend them" in done.stderr


def test_a_copy_overwrites_nothing(monopolylogue, tmp_path):
    (tmp_path / "mine").write_text("x")
    for folder in (tmp_path, tmp_path / "mine", tmp_path / "mine" / "own"):
        done = monopolylogue("prompts", "copy", str(folder))
        assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_run_plays_with_own_prompts_and_people(monopolylogue, loader, people):
    loader.engine = german()
    done = monopolylogue("run", QUESTION, "--prompts", str(FOLDER), "--cast", people, "--json")
    record = SceneRecord.from_json(done.stdout)
    assert [role.name for role in record.cast][:3] == [
        "Ängstliche Mieterin",
        "Köchin",
        "Bäcker im Erdgeschoss",
    ]
    assert (record.prompt_digest, record.prompt_folder) == (GERMAN.digest(), str(FOLDER))
    assert record.given == ("r1",)


def test_compare_plays_with_them_twice(monopolylogue, loader, people):
    loader.engine = german()
    done = monopolylogue("compare", QUESTION, "--prompts", str(FOLDER), "--cast", people, "--json")
    assert SceneRecord.from_json(done.stdout).replay is not None


@pytest.mark.parametrize("command", ["run", "compare", "step", "export"])
@pytest.mark.parametrize("option", ["--prompts", "--cast"])
def test_what_can_t_be_used_is_one_sentence(monopolylogue, loader, tmp_path, command, option):
    more = ["--out", str(tmp_path / "scenes")] if command == "export" else []
    questions = tmp_path / "questions.txt"
    questions.write_text("Why?")
    done = monopolylogue(command, str(questions), option, str(tmp_path / "missing"), *more)
    assert (done.exit_code, loader.asked) == (2, [])
    if command != "step":  # which needs a terminal first
        assert "can't be read (No such file or directory)" in done.stderr
    assert done.stderr.count("\n") == 1


class TestExport:
    @pytest.fixture
    def export(self, monopolylogue, loader, tmp_path):
        loader.engine = german()
        questions = tmp_path / "questions.txt"
        questions.write_text(f"{QUESTION}\nWarum?\n", encoding="utf-8")
        out = tmp_path / "scenes"
        return lambda *options: monopolylogue("export", str(questions), "--out", str(out), *options)

    def test_the_manifest_names_them(self, export, people, tmp_path):
        assert export("--prompts", str(FOLDER), "--cast", people).exit_code == 0
        manifest = json.loads((tmp_path / "scenes" / "manifest.json").read_text())
        role = Role(id="r1", name="Köchin", traits="Sie ist laut.", position="Sie will ihr Geld.")
        assert manifest["prompt_digest"] == GERMAN.digest()
        assert manifest["prompt_folder"] == str(FOLDER)
        assert manifest["settings"]["cast"] == Given(cast=(role,)).digest
        done = export("--prompts", str(FOLDER), "--cast", people)
        assert "2 finished scenes and 0 failures of 2 questions; 0 to play" in done.stderr

    def test_an_export_is_not_gone_on_with_by_others(self, export, people, loader):
        export("--limit", "1", "--prompts", str(FOLDER), "--cast", people)
        loads = len(loader.asked)
        for options, said in (
            (["--cast", people], f"prompts was {GERMAN.digest()[:12]} and is now {OURS.digest()[:12]}"),
            (["--prompts", str(FOLDER)], "and is now None"),
        ):
            done = export(*options)
            assert (done.exit_code, len(loader.asked)) == (2, loads)
            assert said in done.stderr


class TestStep:
    @pytest.fixture
    def begun(self, tmp_path, people, monkeypatch):
        monkeypatch.setenv("MONOPOLYLOGUE_SESSIONS", str(tmp_path / "sessions"))
        folder, given = (
            tmp_path / "german",
            read_cast(Path(people), GERMAN.words.parts, SceneSettings.roles),
        )
        shutil.copytree(FOLDER, folder)
        choice = asdict(ModelChoice(**dict.fromkeys(MODEL, "x"), base_url=None, structured=True))
        prompt_folder = own_prompts(folder).folder
        return new_session(QUESTION, "", SceneSettings(), choice, prompt_folder=prompt_folder, given=given)

    async def test_a_session_keeps_them(self, begun, tmp_path, people):
        folder, given = (
            tmp_path / "german",
            read_cast(Path(people), GERMAN.words.parts, SceneSettings.roles),
        )
        async with Session.opened(begun, german(), own_prompts(folder)) as session:
            while session.stop.node is not None:
                await session.step()
            record = await session.record()
        assert record is not None
        assert (record.prompt_folder, record.given) == (str(folder), ("r1",))
        assert read_info(begun).given == given

    async def test_a_session_is_not_gone_on_with_by_others(self, begun, tmp_path, loader):
        folder = tmp_path / "german"
        async with Session.opened(begun, german(), own_prompts(folder)):
            pass
        (folder / "safe.yaml").write_text('user: "{question} Ja oder nein?"')
        with pytest.raises(InputError, match=r"begun with something else: prompts was .* and is now"):
            step_through(begun, None)
        shutil.rmtree(folder)
        with pytest.raises(InputError, match=f"{folder} can't be read"):
            step_through(begun, None)
        assert loader.asked == []


def test_evaluate_takes_principles(monopolylogue, loader, tmp_path):
    loader.engine = player()
    principles = tmp_path / "own.yaml"
    principles.write_text("- Be brief and kind.\n")
    questions = tmp_path / "questions.jsonl"
    questions.write_text('{"question": "Why?", "kind": "helpful"}\n')
    given = ["--system", "a=default,method=self_align", "--set", f"own={questions}", "--no-likelihood"]
    out = ["--out", str(tmp_path / "evaluation")]
    assert monopolylogue("evaluate", *given, *out, "--principles", str(principles)).exit_code == 0
    assert "- Be brief and kind.\n" in loader.engine.requests[-1].messages[-1].content
    done = monopolylogue("evaluate", *given, *out)
    assert done.exit_code == 2
    assert "was made with other settings: prompts was" in done.stderr
