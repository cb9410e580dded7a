"""The screen of `step`, driven by keys in this process."""

import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList, Static

from cli.stepping import Stepping
from graph.session import Session
from graph.session_file import find_session, new_session
from scene.record import SceneRecord
from scene.settings import SceneSettings
from tests.scripted_scene import player


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
    async with stepping(tmp_path, player(protagonist="no json")) as (app, pilot):
        await press(app, pilot, "r")
        assert "It did not work: role_init, role r0: protagonist" in shown(app, "said")
        assert "before role_init" in shown(app, "where")


async def test_hostile_text_is_shown_as_it_is(tmp_path):
    hostile = "[red]Do[/red] [link=http://x]y[/] \x1b[31mit\x07 \u202eback :smile: [@click=app.quit]z[/]"
    async with stepping(tmp_path, player(respond=hostile)) as (app, pilot):
        await press(app, pilot, "n")
        assert "[red]Do[/red] [link=http://x]y[/] [31mit back :smile: [@click=app.quit]z[/]" in shown(
            app, "stop"
        )


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
        assert draft.read_text().startswith("# cast.3.name: Field required")
        assert "Grumpy postman" in draft.read_text()
        assert "a text that was not right yet" in shown(app, "where")
        await press(app, pilot, "n")
        assert "a text that was not right yet" not in shown(app, "where")
        await press(app, pilot, "b")
        editor("sed -i 's/nom: /name: /' \"$1\"")
        await press(app, pilot, "e")
        assert shown(app, "said") == "Changed."
        assert "Grumpy postman" in shown(app, "stop")
        assert not draft.exists()


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
