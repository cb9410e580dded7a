"""`monopolylogue run` with a scripted model: what it shows, prints, writes and passes on."""

import asyncio
import stat
from pathlib import Path

import pytest

from inference.engine import ChatMessage, GenerationRequest
from prompts import OURS
from scene.errors import EngineError, PromptTooLongError
from scene.record import SceneRecord
from tests.scripted_scene import player, prompt_of

QUESTION = "May I keep the rent back until the heating works?"


def refuse_landlord(request: GenerationRequest) -> str | None:
    """The modulator refuses what the landlord does, and only that."""
    action = request.messages[-1].content.rpartition("Retired landlord: ")[2]
    if "I walk over" not in action:
        return None
    return "no, the landlord is out of town"


def test_shows_the_scene(monopolylogue, loader):
    loader.engine = player(
        respond="Pay half of it.", revise="Ask first.", critique=f"{OURS.words.help}a talk."
    )
    done = monopolylogue("run", QUESTION)
    assert done.exit_code == 0
    out = done.stdout
    assert QUESTION in out
    for name in ("Worried tenant", "Retired landlord", "Night baker", "Postman", "Court clerk"):
        assert name in out
    assert "Turn 1  Worried tenant (r0): I take step 1 with" in out
    assert "→ seen by " in out
    assert "↳ moderate for " in out
    assert f"{OURS.words.help}a talk." in out
    assert "Revise the first answer. The plan was carried out" in out
    assert "First answer\nPay half of it." in out
    assert "Final answer\nAsk first." in out
    assert "whole scene" in out
    assert "Played by scripted (scripted), seed 0" in out


def test_refused_action_is_shown_with_its_reason(monopolylogue, loader):
    loader.engine = player(routing=refuse_landlord)
    out = monopolylogue("run", QUESTION).stdout
    assert "→ refused: The landlord is out of town." in out


def test_kept_answer_is_shown_once(monopolylogue, loader):
    loader.engine = player(
        consequence="r3 (time): The postman has a quiet day.", effect="nobody is worse off", respond="Pay it."
    )
    out = monopolylogue("run", QUESTION).stdout
    assert "↳ no harm for Postman: The postman has a quiet day." in out
    assert "Answer\nPay it.\nThe first answer stays." in out
    assert "Final answer" not in out


def test_no_escape_codes_and_no_spinner_outside_a_terminal(monopolylogue, loader):
    done = monopolylogue("run", QUESTION)
    assert "\x1b" not in done.output
    assert "⠋" not in done.output
    assert done.stderr == "Loading default\n"


def test_json_is_one_line_and_nothing_else(monopolylogue, loader):
    done = monopolylogue("run", QUESTION, "--json")
    assert done.exit_code == 0
    assert done.stdout.count("\n") == 1
    record = SceneRecord.from_json(done.stdout)
    assert record.question == QUESTION
    assert record.calls
    assert done.stderr == "Loading default\n"


def test_no_calls(monopolylogue, loader):
    record = SceneRecord.from_json(monopolylogue("run", QUESTION, "--json", "--no-calls").stdout)
    assert record.calls is None
    assert record.cost["respond"].calls == 1


def test_out_replaces_the_file(monopolylogue, loader, tmp_path):
    file = tmp_path / "scene.json"
    file.write_text("old")
    file.chmod(0o640)
    done = monopolylogue("run", QUESTION, "--out", str(file), "--json")
    assert done.exit_code == 0
    assert file.read_text() == done.stdout
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [file]


def test_out_goes_where_a_link_points(monopolylogue, loader, tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "real" / "scene.json")
    assert monopolylogue("run", QUESTION, "--out", str(link)).exit_code == 0
    assert link.is_symlink()
    SceneRecord.from_json((tmp_path / "real" / "scene.json").read_text())


def test_scene_is_not_lost_when_the_file_fails_in_the_end(monopolylogue, loader, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()

    def remove_folder(request: GenerationRequest) -> str | None:
        if folder.exists():
            folder.rmdir()
        return None

    loader.engine = player(respond=remove_folder)
    done = monopolylogue("run", QUESTION, "--out", str(folder / "scene.json"), "--json")
    assert done.exit_code == 2
    SceneRecord.from_json(done.stdout)
    assert "can't be written" in done.stderr


@pytest.mark.parametrize("text", [QUESTION.encode(), b"\xef\xbb\xbf" + QUESTION.encode() + b"\r\n"])
def test_question_from_standard_input(monopolylogue, loader, text):
    done = monopolylogue("run", "-", "--json", input=text)
    assert SceneRecord.from_json(done.stdout).question == QUESTION


def test_given_answer_is_rehearsed(monopolylogue, loader):
    record = SceneRecord.from_json(monopolylogue("run", QUESTION, "--answer", "Just do it.", "--json").stdout)
    assert record.first_answer == "Just do it."
    assert "respond" not in record.cost
    assert "respond" not in map(prompt_of, loader.engine.requests)


def test_options_reach_the_scene_and_the_model(monopolylogue, loader):
    done = monopolylogue(
        "run", QUESTION, "--json", "--roles", "2", "--steps", "2", "--max-interactions", "1", "--seed", "7",
        "--temperature", "0.5", "--model", "m", "--engine", "transformers", "--dtype", "float32",
        "--device", "cpu", "--base-url", "http://h/v1", "--no-structured", "--think", "64",
    )  # fmt: skip
    record = SceneRecord.from_json(done.stdout)
    assert (len(record.cast), len(record.plan), len(record.events)) == (3, 2, 1)
    assert (record.seed, record.settings["temperature"]) == (7, 0.5)
    assert record.settings["think_tokens"] == 64
    assert {request.think_tokens for request in loader.engine.requests if not request.shaped} >= {64}
    assert record.outcome == "interaction_limit"
    (asked,) = loader.asked
    del asked["on_progress"]
    assert asked == {
        "model": "m", "engine": "transformers", "dtype": "float32", "device": "cpu",
        "base_url": "http://h/v1", "structured": False,
    }  # fmt: skip


def test_environment_is_between_option_and_default(monopolylogue, loader):
    env = {"MONOPOLYLOGUE_ROLES": "1", "MONOPOLYLOGUE_MODEL": "tiny", "MONOPOLYLOGUE_ENGINE": ""}
    record = SceneRecord.from_json(monopolylogue("run", QUESTION, "--json", env=env).stdout)
    assert len(record.cast) == 2
    loader.engine = player()
    record = SceneRecord.from_json(monopolylogue("run", QUESTION, "--json", "--roles", "3", env=env).stdout)
    assert len(record.cast) == 4
    assert [(asked["model"], asked["engine"]) for asked in loader.asked] == [("tiny", "auto")] * 2


def test_hostile_text_is_printed_as_it_is(monopolylogue, loader):
    loader.engine = player(
        respond="[red]Do it[/red] \x1b[31mnow\x1b[0m </div> :smile: [link=http://x]y[/link] [/]",
        situation="The asker is [bold]bold[/bold].",
    )
    done = monopolylogue("run", "Why [blink]\x1b]0;title\x07 </question> [/red] ?")
    assert done.exit_code == 0
    assert "\x1b" not in done.output
    assert "\x07" not in done.output
    assert "Why [blink]]0;title </question> [/red] ?" in done.stdout
    assert "[red]Do it[/red] [31mnow[0m </div> :smile: [link=http://x]y[/link] [/]" in done.stdout
    assert "The asker is [bold]bold[/bold]." in done.stdout


def test_failed_scene_is_one_sentence(monopolylogue, loader):
    loader.engine = player(plan="no plan")
    done = monopolylogue("run", QUESTION, "--json")
    assert done.exit_code == 1
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("monopolylogue: The scene broke off at role_init, role r0: ")
    assert last.endswith("; try another --seed or a larger model.")


def test_a_prompt_that_does_not_fit_is_one_sentence(monopolylogue, loader):
    def refuse(request: GenerationRequest) -> str:
        raise PromptTooLongError(900, request.max_tokens, 512)

    loader.engine = player(plan=refuse)
    done = monopolylogue("run", QUESTION, "--json")
    assert (done.exit_code, done.stdout) == (2, "")
    last = done.stderr.splitlines()[-1]
    assert last.startswith("monopolylogue: role_init, role r0: A prompt of 900 tokens and a reply of up to ")
    assert last.endswith("512-token context window; shorten the question or choose another model.")


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (EngineError("The model failed: no."), 1, "The model failed: no."),
        (MemoryError(), 2, "Memory ran out; take a smaller model or close other programs."),
        (
            OSError(28, "No space left on device"),
            2,
            "The disk is full; free some space and run the command again.",
        ),
        (PermissionError(13, "Permission denied", "/x/y"), 2, "/x/y can't be used (Permission denied)."),
    ],
)
def test_errors_while_loading(monopolylogue, loader, monkeypatch, error, code, sentence):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("cli.work.loading.load_engine", fail)
    done = monopolylogue("run", QUESTION)
    assert (done.exit_code, done.stdout, done.stderr) == (code, "", f"monopolylogue: {sentence}\n")


def test_engine_is_closed(monopolylogue, loader):
    monopolylogue("run", QUESTION)
    request = GenerationRequest(messages=(ChatMessage("user", "Still there?"),), max_tokens=1)
    with pytest.raises(EngineError, match="closed"):
        asyncio.run(loader.engine.generate(request))


def test_out_is_relative_to_the_current_folder(monopolylogue, loader, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert monopolylogue("run", QUESTION, "--out", "scene.json").exit_code == 0
    assert Path("scene.json").is_file()
