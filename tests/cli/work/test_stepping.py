"""The screen of `step`, driven by keys in this process."""

import io
import re
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, nullcontext
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text
from textual.containers import VerticalScroll
from textual.pilot import Pilot
from textual.widgets import OptionList, Static

import prompts
from cli.views.step_view import Calls, Lines
from cli.work.open_session import step_through
from cli.work.stepping import Stepping
from graph.session import Session
from graph.session_file import find_session, new_session
from scene.errors import InputError
from scene.record import SceneRecord
from scene.settings import SceneSettings
from scene.state import SceneState
from tests.hostile import HOSTILE, hostile_record
from tests.scripted_scene import player

WRITABLE = HOSTILE.encode(errors="ignore").decode()
"""Without the half characters, which no file of text holds."""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("MONOPOLYLOGUE_SESSIONS", str(tmp_path))
    return tmp_path


@asynccontextmanager
async def stepping(tmp_path, engine=None, size=(100, 40)) -> AsyncIterator[tuple[Stepping, Pilot]]:
    path = new_session("May I?", "", SceneSettings(), {})
    async with Session.opened(path, engine or player()) as session:
        app = Stepping(session, tmp_path / "scene.json", tmp_path)
        async with app.run_test(size=size) as pilot:
            yield app, pilot


def shown(app: Stepping, name: str) -> str:
    return str(app.screen.query_one(f"#{name}", Static).content)


async def press(app: Stepping, pilot: Pilot, *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await app.workers.wait_for_complete()
        await pilot.pause()


async def test_next_back_turn_and_on(tmp_path):
    async with stepping(tmp_path) as (app, pilot):
        assert "before respond" in shown(app, "where")
        assert "The model answers the question plainly." in shown(app, "stop")
        await press(app, pilot, "n", "n")
        assert "turn 1, before role_action" in shown(app, "where")
        assert "r0 Worried tenant" in shown(app, "stop")
        await press(app, pilot, "t")
        assert "turn 2, before role_action" in shown(app, "where")
        assert "saw e0 Worried tenant: I take step 1" in shown(app, "stop")
        await press(app, pilot, "b")
        assert "turn 1, before modulator_update" in shown(app, "where")
        await press(app, pilot, "r")
        assert "at the end" in shown(app, "where")
        await press(app, pilot, "n")
        assert "The scene has ended" in shown(app, "said")


async def test_record_is_saved_at_the_end_alone(tmp_path):
    async with stepping(tmp_path) as (app, pilot):
        await press(app, pilot, "s")
        assert "run on to the end first" in shown(app, "said")
        await press(app, pilot, "r", "s")
        assert "Saved to" in shown(app, "said")
    SceneRecord.from_json((tmp_path / "scene.json").read_text())


async def test_calls_show_prompt_and_reply(tmp_path):
    async with stepping(tmp_path) as (app, pilot):
        await press(app, pilot, "c")
        assert app.screen.query_one(OptionList).option_count == 1
        await press(app, pilot, "escape", "n", "c")
        await press(app, pilot, "n", "s")  # keys of the screen below
        assert "user\nMay I?" in shown(app, "call")
        assert "reply\nTalk to your landlord early" in shown(app, "call")


async def test_fork(tmp_path):
    async with stepping(tmp_path) as (app, pilot):
        await press(app, pilot, "n", "f")
        name = shown(app, "said").partition("--resume ")[2][:8]
    assert find_session(name).exists()


async def test_failure_is_said_and_the_scene_stands(tmp_path):
    async with stepping(tmp_path, player(plan="no plan")) as (app, pilot):
        await press(app, pilot, "r")
        assert "It did not work: role_init, role r0: plan" in shown(app, "said")
        assert shown(app, "said").endswith("The scene stands where it stood; c shows the replies.")
        assert "before role_init" in shown(app, "where")
        await press(app, pilot, "c")
        assert "reply\nno plan" in shown(app, "call")


def test_long_lines_go_on_below_their_beginning():
    console = Console(width=20, file=io.StringIO(), color_system=None)
    console.print(Lines((Text("Title"), Text("   saw " + "a word " * 5), Text())))
    assert [line.rstrip() for line in console.file.getvalue().splitlines()] == [
        "Title", "   saw a word a word", "   a word a word a", "   word", ""
    ]  # fmt: skip


async def test_a_stop_is_seen_from_its_top_and_the_answer_comes_first(tmp_path):
    async with stepping(tmp_path, size=(80, 24)) as (app, pilot):
        await press(app, pilot, "t", "end")
        scroll = app.query_one(VerticalScroll)
        assert scroll.scroll_offset.y > 0
        await press(app, pilot, "r")
        assert scroll.scroll_offset.y == 0
        text = shown(app, "stop")
        assert text.index("Answer") < text.index("Critique") < text.index("Last events") < text.index("Cast")


async def test_hostile_text_is_shown_as_it_is(tmp_path):
    hostile = "[red]Do[/red] [link=http://x]y[/] \x1b[31mit\x07 \u202eback :smile: [@click=app.quit]z[/]"
    async with stepping(tmp_path, player(respond=hostile)) as (app, pilot):
        await press(app, pilot, "n")
        assert "[red]Do[/red] [link=http://x]y[/] [31mit back :smile: [@click=app.quit]z[/]" in shown(
            app, "stop"
        )


FIXED = "id actor observers event roles severity outcome verdict stance request fate inbox".split()


def filled(values: Any) -> Any:
    """Such a text in every place but ids and words of a fixed set."""
    if isinstance(values, dict):
        return {key: value if key in FIXED else filled(value) for key, value in values.items()}
    if isinstance(values, list):
        return [filled(value) for value in values]
    return WRITABLE if isinstance(values, str) else values


async def test_hostile_scene_does_nothing_to_the_terminal(tmp_path):
    """Whatever a session's file holds, the screens show characters, and none of them acts."""
    async with stepping(tmp_path) as (app, pilot):
        await press(app, pilot, "r")
        session = app._session
        state = SceneState.model_validate(filled(session.stop.state.model_dump(mode="json")))
        cast = [role.model_copy(update={"name": f"{role.id} {WRITABLE}"}) for role in state.cast]
        await session.edit(state.model_copy(update={"cast": cast}))
        app._show()
        app._say(WRITABLE)
        await pilot.pause()
        for name in ("stop", "said"):
            assert "[red]rich[/red] [link=https://example.com]markup[/link]" in shown(app, name)
        seen = [app.export_screenshot(), shown(app, "stop"), shown(app, "said")]
        calls = hostile_record().calls
        app.push_screen(Calls([calls[0], *(await session.calls())[:1], calls[0]]))
        await pilot.pause()
        assert "[red]rich[/red]" in shown(app, "call")
        options = app.screen.query_one(OptionList)
        titles = [str(options.get_option_at_index(index).prompt) for index in range(options.option_count)]
        assert titles[0].startswith("turn 1 respond: </script>")
        for text in (*seen, *titles, shown(app, "call"), app.export_screenshot()):
            assert not set(text) & set("\x1b\x9b\x07\x00\u202e\u2066\u200f\ud800")


async def test_other_prompts_are_refused_before_a_model_is_loaded(tmp_path, loader, monkeypatch):
    async with stepping(tmp_path) as (app, _):
        path = find_session(app._session.info.id)
    monkeypatch.setattr(prompts.PromptSet, "digest", lambda _: "0123456789abcdef")
    with pytest.raises(InputError, match=r"prompts was .* and is now 0123456789ab"):
        step_through(path, None)
    assert loader.asked == []


def test_sessions_are_listed_whole_on_a_narrow_terminal(monopolylogue, folder):
    question = "May I read my son's diary, at https://example.org/diary/of/a/son/of/fourteen, or may I not?"
    path = new_session(question, "", SceneSettings(), {})
    for width in ("40", "60", "80"):
        listed = monopolylogue("step", "--list", env={"COLUMNS": width}).stdout
        assert max(map(len, listed.splitlines())) <= int(width)
        assert path.stem in listed
        assert "…" not in listed
        for letter in set(question) - {" "}:
            assert listed.count(letter) >= question.count(letter)


def test_hostile_sessions_are_listed_as_they_are(monopolylogue, folder):
    with closing(sqlite3.connect(new_session(WRITABLE, "", SceneSettings(), {}))) as file, file:
        stands = "[red]at\x1b[31m the\u202e end"
        file.execute("UPDATE session SET info = json_set(info, '$.stands', ?)", (stands,))
    (folder / "[red]a\x1b[31m\u202eb.sqlite").touch()
    done = monopolylogue("step", "--list", env={"COLUMNS": "300"})
    assert done.exit_code == 0
    assert "[red]at[31m the end" in done.stdout
    assert "</script><script>window.owned = 1</script>" in done.stdout
    assert "[red]a[31mb" in done.stdout
    assert "unreadable" in done.stdout
    assert "is no session (no such table: session)" in done.stderr
    assert re.search("^[0-9a-f]{8} {2,}20", done.stdout, re.MULTILINE)  # no question takes the room of an id
    assert not set(done.stdout + done.stderr) & set("\x1b\x9b\x07\x00\u202e\u2066\u200f")


@pytest.mark.parametrize(
    ("key", "broken"),
    [
        (
            "b",
            "CREATE TRIGGER full BEFORE UPDATE ON session BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
        ),
        ("c", "ALTER TABLE steps RENAME TO moved"),
        ("f", "UPDATE session SET info = 5; DROP TABLE session"),
    ],
)
async def test_a_broken_file_is_said_and_the_session_goes_on(tmp_path, key, broken):
    async with stepping(tmp_path) as (app, pilot):
        await press(app, pilot, "n", "n")
        with closing(sqlite3.connect(find_session(""))) as file:
            file.executescript(broken)
        await press(app, pilot, key)
        assert "It did not work: " in shown(app, "said")
        assert "The scene stands where it stood." in shown(app, "said")
        assert "turn 1, before role_action" in shown(app, "where")


async def test_small_window(tmp_path):
    async with stepping(tmp_path, size=(40, 10)) as (app, pilot):
        await press(app, pilot, "n", "t", "end")
        assert "before role_action" in shown(app, "where")


@pytest.fixture
def editor(tmp_path, monkeypatch):
    """`editor("sed ...")`: what $EDITOR does with the file named by $1."""

    def use(command: str) -> None:
        script = tmp_path / "editor"
        script.write_text(f"#!/bin/sh\n{command}\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("EDITOR", str(script))
        monkeypatch.delenv("VISUAL", raising=False)

    monkeypatch.setattr(Stepping, "suspend", lambda self: nullcontext())
    return use


async def test_edit_is_checked_and_a_wrong_one_kept(tmp_path, editor):
    async with stepping(tmp_path) as (app, pilot):
        await press(app, pilot, "n", "n")
        editor("sed -i 's/name: Postman/nom: Grumpy postman/' \"$1\"")
        await press(app, pilot, "e")
        assert "cast.3.name: Field required" in shown(app, "said")
        (draft,) = tmp_path.glob("*.yaml")
        assert draft.read_text().startswith("# Not right yet: cast.3.name: Field required")
        assert "Grumpy postman" in draft.read_text()
        assert "e goes on with your text" in shown(app, "where")
        await press(app, pilot, "n")
        assert "e goes on with your text" not in shown(app, "where")
        await press(app, pilot, "b")
        editor("sed -i 's/nom: /name: /' \"$1\"")
        await press(app, pilot, "e")
        assert shown(app, "said") == "Changed."
        assert "Grumpy postman" in shown(app, "stop")
        assert not draft.exists()


FULL = "CREATE TRIGGER full BEFORE INSERT ON checkpoints BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"


@pytest.mark.parametrize(
    ("does", "said", "kept"),
    [
        ("printf 'cast: []' > \"$1\"", "cast: This can't be empty any more.", b"cast: []"),
        ("printf 'turn: 0' > \"$1\"", "turn: This is at least 1, not 0.", b"turn: 0"),
        ("printf '%3000s' | tr ' ' '[' > \"$1\"", "not valid YAML", b"[" * 3000),
        ("printf 'goal: caf\\351' > \"$1\"", "This is not UTF-8", b"goal: caf\xe9"),
        ("printf 'goal: x' > \"$1\"; exit 3", "ended with exit code 3.", b"goal: x"),
        ('rm "$1"', "The editor left no file, so nothing was changed.", None),
        ("exit 3", "ended with exit code 3.", None),
        ("printf 'goal: 2024-13-45' > \"$1\"", "the disk is full.", b"goal: 2024-13-45"),
    ],
)
async def test_an_edit_that_fails_keeps_the_text(tmp_path, editor, does, said, kept):
    async with stepping(tmp_path) as (app, pilot):
        await press(app, pilot, "n", "n")
        before = app._session.stop
        if "full" in said:
            with closing(sqlite3.connect(find_session(""))) as file:
                file.execute(FULL)
        editor(does)
        await press(app, pilot, "e")
        assert said in shown(app, "said")
        assert ("Your text is kept" in shown(app, "said")) == (kept is not None)
        assert app._session.stop == before
        drafts = [draft.read_bytes().splitlines()[-1] for draft in tmp_path.glob("*.yaml")]
        assert drafts == ([] if kept is None else [kept])
        editor('printf "goal: 2024-13-45" > "$1"')
        with closing(sqlite3.connect(find_session(""))) as file:
            file.execute("DROP TRIGGER IF EXISTS full")
        await press(app, pilot, "e")
        assert shown(app, "said") == "Changed."
        assert app._session.stop.state.goal == "2024-13-45"
        assert list(tmp_path.glob("*.yaml")) == []


async def test_comments_of_ones_own_outlive_a_refusal(tmp_path, editor):
    async with stepping(tmp_path) as (app, pilot):
        editor('printf "# Why not?\\ngaol: x\\n# Not yet.\\n" > "$1"')
        await press(app, pilot, "e")
        editor("true")
        await press(app, pilot, "e")
        (draft,) = tmp_path.glob("*.yaml")
        first, *rest = draft.read_text().splitlines()
        assert first.startswith("# Not right yet: There is no channel 'gaol'")
        assert rest == ["# Why not?", "gaol: x", "# Not yet."]


async def test_edit_dropped_or_without_an_editor(tmp_path, editor, monkeypatch):
    async with stepping(tmp_path) as (app, pilot):
        editor(': > "$1"')
        await press(app, pilot, "e")
        assert shown(app, "said") == "Nothing was changed."
        monkeypatch.setenv("EDITOR", "/no/such/editor")
        await press(app, pilot, "e")
        assert "/no/such/editor can't be started" in shown(app, "said")
        editor("true")
        await press(app, pilot, "e")
        assert shown(app, "said") == "Nothing was changed."
