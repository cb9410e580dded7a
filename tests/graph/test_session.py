"""A scene that is stepped through: stops, time travel, changes by hand, and sessions on disk."""

import dataclasses
import logging
import resource
import sqlite3
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import pytest

import prompts
from graph.build import build_graph
from graph.play import play
from graph.session import Session
from graph.session_file import find_session, new_session, read_info, sessions
from inference.chat_model import EngineChatModel
from inference.scripted import ScriptedEngine
from nodes.role_init import PLANS
from scene.edit import from_yaml, to_yaml
from scene.errors import InputError, ReplyError
from scene.record import SceneRecord
from scene.settings import SceneSettings
from tests.scripted_scene import asked, player, user_text

QUESTION = "How can I pay my rent later?"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("MONOPOLYLOGUE_SESSIONS", str(tmp_path / "sessions"))
    return tmp_path / "sessions"


def begun(**settings) -> Path:
    return new_session(QUESTION, "", SceneSettings(**settings), {"model": "scripted"})


@asynccontextmanager
async def session(path: Path | None = None, engine: ScriptedEngine | None = None):
    async with Session.opened(path or begun(), engine or player()) as opened:
        yield opened


async def step_to(session: Session, node: str | None, times: int = 1) -> None:
    for _ in range(times):
        await session.step()
        while session.stop.node not in (node, None):
            await session.step()


def timeless(record: SceneRecord) -> dict:
    values = record.model_dump(exclude={"seconds", "cost"})
    for call in values["calls"]:
        del call["seconds"]
    return values


async def test_stepping_plays_the_same_scene():
    engine = player()
    stops = []
    async with session(engine=engine) as opened:
        assert await opened.record() is None
        while opened.stop.node:
            stops.append(opened.stop.node)
            await opened.step()
        record = await opened.record()
    assert stops[:5] == ["respond", "role_init", "role_action", "modulator_routing", "modulator_update"]
    assert stops[-2:] == ["summarize", "revise"]
    usual = await play(build_graph(EngineChatModel(engine=player())), QUESTION, model=engine.identity)
    assert timeless(record) == timeless(usual)
    assert {node: cost.calls for node, cost in record.cost.items()} == {
        node: cost.calls for node, cost in usual.cost.items()
    }


async def test_stops_say_who_is_next():
    async with session() as opened:
        await step_to(opened, "role_action", 2)
        assert opened.stop.acting == ("r0", "r1")
        assert str(opened.stop) == "turn 2, before role_action"
        await opened.step()
        assert (opened.stop.node, opened.stop.acting) == ("modulator_routing", ("r0", "r1"))


async def test_a_session_is_picked_up_where_it_was_left(caplog):
    path, engine = begun(roles=2), player()
    caplog.set_level(logging.WARNING)
    while True:  # a process of its own for every node, as it were
        async with session(path, engine) as opened:
            if opened.stop.node is None:
                break
            await opened.step()
        assert read_info(path).stands == str(opened.stop)
    async with session(path, engine) as opened:
        record = await opened.record()
    assert len(record.calls) == len(engine.requests)
    assert caplog.records == []


async def test_back_and_on_again_is_the_same_scene():
    engine = player()
    async with session(engine=engine) as opened:
        await step_to(opened, "modulator_update", 2)
        there = opened.stop.state
        assert await opened.back()
        assert opened.stop.node == "modulator_routing"
        assert await opened.back()
        assert (opened.stop.node, opened.stop.state.turn) == ("role_action", 2)
        await opened.step()
        await opened.step()
        assert opened.stop.state == there
        await step_to(opened, None)
        record = await opened.record()
    usual = await play(build_graph(EngineChatModel(engine=player())), QUESTION, model=engine.identity)
    assert timeless(record) == timeless(usual)


async def test_nothing_is_before_the_beginning():
    async with session() as opened:
        assert not await opened.back()
        await opened.step()
        assert await opened.back()
        assert not await opened.back()
        assert opened.stop.node == "respond"


async def test_the_past_is_where_it_is_picked_up():
    path = begun()
    async with session(path) as opened:
        await step_to(opened, "modulator_update")
        await opened.back()
        await opened.back()
    async with session(path) as opened:
        assert opened.stop.node == "role_action"
        assert opened.stop.state.events == []


async def test_edited_cast_is_played_on():
    path, engine = begun(), player()
    async with session(path, engine) as opened:
        await step_to(opened, "role_action")
        text = to_yaml(opened.stop.state).replace("Retired landlord", "Grumpy landlady")
        await opened.edit(from_yaml(text, opened.stop.state))
        assert opened.stop.node == "role_action"
        await step_to(opened, None)
        record = await opened.record()
    assert record.edited
    assert [role.name for role in record.cast][1] == "Grumpy landlady"
    assert "Grumpy landlady" in user_text(asked(engine, "role_action"))
    assert "Retired landlord" not in user_text(asked(engine, "routing", "role_action"))
    assert record.id != (await finished()).id


async def finished() -> SceneRecord:
    async with session() as opened:
        await step_to(opened, None)
        return await opened.record()


async def test_dropped_proposal_does_not_come_back():
    async with session() as opened:
        await step_to(opened, "modulator_routing", 2)
        state = opened.stop.state
        assert len(state.proposals) == 2
        await opened.edit(state.model_copy(update={"proposals": state.proposals[:1]}))
        assert opened.stop.node == "modulator_routing"
        assert opened.stop.acting == ("r0",)
        await opened.step()
        assert len(opened.stop.state.rulings) == 1


async def test_dropped_event_and_replaced_first_answer():
    engine = player()
    async with session(engine=engine) as opened:
        await opened.step()
        state = opened.stop.state
        await opened.edit(state.model_copy(update={"first_answer": "Just wait."}))
        await step_to(opened, "role_action", 3)
        state = opened.stop.state
        fewer = state.model_copy(update={"events": [event for event in state.events if event.id != "e1"]})
        await opened.edit(from_yaml(to_yaml(fewer), state))
        await step_to(opened, None)
        record = await opened.record()
    assert record.first_answer == "Just wait."
    assert "Just wait." in user_text(asked(engine, "plan"))
    assert [event.id for event in record.events] == [f"e{n}" for n in range(len(record.events))]


async def test_fork_is_a_session_of_its_own():
    path = begun()
    async with session(path) as opened:
        await step_to(opened, "role_action")
        await opened.step()
        other = find_session(await opened.fork())
        await step_to(opened, None)
    async with session(other) as opened:
        assert opened.stop.node == "modulator_routing"
        await step_to(opened, None)
        assert len((await opened.record()).calls) > 10
    assert {info.id for info in sessions()[0]} == {path.stem, other.stem}


async def test_a_node_that_fails_can_be_tried_again():
    replies = iter(["no plan", None])
    engine = player(plan=lambda request: next(replies, None))
    path = begun(retries=0)
    async with session(path, engine) as opened:
        await opened.step()
        with pytest.raises(ReplyError):
            await opened.step()
        assert opened.stop.node == "role_init"
        await step_to(opened, None)
        assert (await opened.record()).answer


async def test_calls_of_a_node_that_failed_are_seen_until_the_scene_moves_and_never_recorded():
    path, engine = begun(retries=2), player(plan="no plan")
    async with session(path, engine) as opened:
        await opened.step()
        with pytest.raises(ReplyError):
            await opened.step()
        assert len(await opened.calls()) == len(engine.requests)
        other = find_session(await opened.fork())
    for file in (path, other):
        async with session(file) as opened:  # another day, with a model that answers
            calls = await opened.calls()
            assert calls[0].call == "respond"
            assert [call.completion for call in calls if call.call == "plan"] == ["no plan"] * 3 * PLANS
    async with session(path) as opened:
        await opened.back()
        assert await opened.calls() == []
        await opened.step()
        assert [call.call for call in await opened.calls()] == ["respond"]
        await step_to(opened, None)
        assert "no plan" not in {call.completion for call in (await opened.record()).calls}


async def test_calls_of_a_node_that_was_run_are_not_those_before_it():
    async with session() as opened:
        await step_to(opened, "role_action")
        await opened.back()
        assert [call.call for call in await opened.calls()] == ["respond"]


@pytest.mark.parametrize("change", [{"plan": []}, {"budget": 0}])
async def test_without_anybody_to_act_the_summary_is_next(change):
    async with session() as opened:
        await step_to(opened, "role_action")
        await opened.edit(opened.stop.state.model_copy(update=change))
        assert str(opened.stop) == "before summarize"
        await step_to(opened, None)
        assert (await opened.record()).events == ()


async def test_interactions_left_do_not_fall_below_none():
    async with session() as opened:
        await step_to(opened, "modulator_routing", 2)
        await opened.edit(opened.stop.state.model_copy(update={"budget": 1}))
        await step_to(opened, "summarize")
        assert opened.stop.state.budget == 0


async def test_a_scene_that_makes_no_record_says_why():
    async with session() as opened:
        await opened.step()
        await opened.edit(opened.stop.state.model_copy(update={"first_answer": ""}))
        await step_to(opened, None)
        with pytest.raises(InputError, match="makes no record: first_answer: String should have"):
            await opened.record()


async def test_a_node_that_fails_in_the_past_leaves_the_scene_there():
    replies = iter([*[None] * PLANS, "no plan"])
    engine = player(plan=lambda request: next(replies, None))
    async with session(begun(retries=0), engine) as opened:
        await step_to(opened, "modulator_routing")
        while opened.stop.node != "role_init":
            await opened.back()
        with pytest.raises(ReplyError):
            await opened.step()
        assert opened.stop.node == "role_init"
        await step_to(opened, None)
        record = await opened.record()
    assert {node: cost.calls for node, cost in record.cost.items()} == {
        node: cost.calls for node, cost in (await finished()).cost.items()
    }


async def test_strict_msgpack_and_no_pickles():
    path = begun()
    async with session(path) as opened:
        await step_to(opened, None)
    rows = sqlite3.connect(path).execute(
        "SELECT DISTINCT type FROM checkpoints UNION SELECT DISTINCT type FROM writes"
    )
    assert {row[0] for row in rows} <= {"msgpack", "null", "empty"}


def played_by(engine: ScriptedEngine, /, **changes) -> ScriptedEngine:
    """An engine whose model is another one in some respect."""
    engine.identity = engine.identity.model_copy(update=changes)
    return engine


@pytest.mark.parametrize(
    ("before", "now", "difference"),
    [
        ({}, {"id": "other"}, "model was scripted and is now other"),
        ({"revision": "a"}, {"revision": "b"}, "model revision was a and is now b"),
        ({"engine": "gone"}, {"engine": "llama"}, "engine was gone and is now llama"),
        ({"details": {"dtype": "float32"}}, {"details": {}}, "dtype was float32 and is now None"),
    ],
)
async def test_a_session_is_not_gone_on_with_by_another_model(before, now, difference):
    path = begun()
    async with session(path, played_by(player(), **before)) as opened:
        await opened.step()
        other = find_session(await opened.fork())
    for file in (path, other):
        kept = read_info(file)
        with pytest.raises(
            InputError, match=f"{file.stem} was begun with something else: {difference}. Bring"
        ):
            async with session(file, played_by(player(), **now)):
                pass
        assert read_info(file) == kept
    async with session(path, played_by(player(), **before)) as opened:
        await opened.step()


async def test_a_session_is_not_gone_on_with_by_other_prompts(monkeypatch):
    path = begun()
    async with session(path):
        pass
    known = prompts.digest()
    monkeypatch.setattr(prompts.PromptSet, "digest", lambda _: "0123456789abcdef")
    with pytest.raises(
        InputError, match=f"prompts was {known[:12]} and is now 0123456789ab. Bring that back"
    ):
        async with session(path):
            pass
    assert read_info(path).prompt_digest == known


async def test_a_machine_is_not_what_a_session_is_played_with():
    path = begun()
    async with session(path, played_by(player(), details={"device": "cuda", "file": "a.gguf"})) as opened:
        await step_to(opened, "role_action")
    async with session(path, played_by(player(), details={"device": "cpu", "file": "b.gguf"})) as opened:
        await step_to(opened, None)
        record = await opened.record()
    assert record.model.details == {"device": "cuda", "file": "a.gguf"}


async def test_a_session_of_a_version_that_did_not_keep_what_plays_it():
    path = begun()
    async with session(path):
        pass
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE session SET info = json_remove(info, '$.played_by', '$.prompt_digest')")
    with pytest.raises(InputError, match="did not keep which model and prompts play it, so its record could"):
        async with session(path):
            pass
    with closing(sqlite3.connect(path)) as file, file:  # nothing had been played yet
        file.execute("UPDATE session SET info = json_remove(info, '$.at')")
    async with session(path, played_by(player(), id="other")) as opened:
        assert opened.info.played_by.id == "other"


def test_settings_survive(folder):
    settings = SceneSettings(roles=2, seed=9, top_p=0.5)
    info = read_info(new_session(QUESTION, "", settings, {"model": "m", "base_url": None}))
    assert SceneSettings(**info.settings) == settings
    assert dataclasses.asdict(settings) == info.settings
    assert info.model == {"model": "m", "base_url": None}


async def test_settings_that_were_changed_by_hand_hold():
    engine = player()
    async with session(engine=engine) as opened:
        await step_to(opened, "modulator_update")
        warmer = dataclasses.replace(opened.stop.state.settings, temperature=1.0, memory_limit=2)
        await opened.edit(opened.stop.state.model_copy(update={"settings": warmer}))
        cold = len(engine.requests)
        while opened.stop.node:
            await opened.step()
        record = await opened.record()
    assert {request.temperature for request in engine.requests[cold:]} == {1.0}
    assert (record.settings["temperature"], record.settings["memory_limit"]) == (1.0, 2)


def test_finding_sessions(folder):
    for name in ("aa11", "aa22"):
        begun().rename(folder / f"{name}.sqlite")
    assert find_session("aa1") == folder / "aa11.sqlite"
    with pytest.raises(InputError, match="could be aa11, aa22"):
        find_session("aa")
    with pytest.raises(InputError, match="There is no session zz"):
        find_session("zz")


def test_what_is_no_session(folder):
    folder.mkdir()
    (folder / "bad.sqlite").write_text("not a database")
    with pytest.raises(InputError, match="is no session"):
        read_info(folder / "bad.sqlite")


def test_one_bad_file_hides_no_session(folder):
    path = begun()
    (folder / "zz.sqlite").touch()
    with closing(sqlite3.connect(begun())) as other, other:
        other.execute("UPDATE session SET info = json_set(info, '$.settings.gone', 1)")
    found, unreadable = sessions()
    assert [info.id for info in found] == [path.stem]
    assert "no such table: session" in unreadable.pop("zz")
    assert "is no session of this version" in next(iter(unreadable.values()))


def test_a_session_goes_by_the_name_of_its_file(folder):
    begun().rename(folder / "mine.sqlite")
    assert [info.id for info in sessions()[0]] == ["mine"]


@contextmanager
def files_up_to(size: int):
    """As on a full disk: no file grows beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_leaves_no_half_session(folder):
    with files_up_to(4096), pytest.raises(InputError, match="can't be written"):
        begun()
    assert list(folder.iterdir()) == []
    path = begun()
    async with session(path) as opened:
        await opened.step()
        with files_up_to(4096), pytest.raises(InputError, match="can't be written"):
            await opened.fork()
        assert list(folder.glob("*.sqlite")) == [path]
        await opened.step()


async def test_edit_before_every_node():
    """Whatever it stops before, a change is kept and the same node runs next."""
    async with session() as opened:
        while (node := opened.stop.node) is not None:
            state = opened.stop.state
            await opened.edit(state.model_copy(update={"question": f"{state.question}?"}))
            assert opened.stop.node == node
            await opened.step()
        assert opened.stop.state.question.endswith("?" * 15)
        assert (await opened.record()).question == opened.stop.state.question
