"""What the environment names is the same to the command and to the graph that Studio shows."""

import asyncio
import re

import click
import pytest
import typer
from langgraph.checkpoint.memory import InMemorySaver

import graph.studio
from cli.main import app
from cli.options import MODEL
from graph.build import build_graph
from inference.engine import ChatMessage, GenerationRequest
from inference.environment import BASE_URLS, PREFIX, WORDS
from scene.errors import EngineError, InputError
from scene.record import SceneRecord, record_settings
from scene.settings import SceneSettings, settings_in
from scene.state import SceneState
from tests.paths import ROOT
from tests.scripted_scene import model

URL = "http://127.0.0.1:8000/v1"
EXAMPLES = {
    "MODEL": "tiny",
    "ENGINE": "transformers",
    "DTYPE": "float32",
    "DEVICE": "cuda:1",
    "BASE_URL": URL,
    "NO_STRUCTURED": "1",
}


def variables(command: click.Command) -> dict[str, str | None]:
    """The variables that a command or one below it reads, each with the panel of its option."""
    found = {
        name: getattr(parameter, "rich_help_panel", None)
        for parameter in command.params
        for name in ([parameter.envvar] if isinstance(parameter.envvar, str) else parameter.envvar or ())
    }
    for below in getattr(command, "commands", {}).values():
        found |= variables(below)
    return found


def asked_by_studio(monkeypatch) -> dict:
    """What the served graph asks `load_engine` for when its first scene comes."""
    asked = {}

    def load(model, **options):
        asked.update(model=model, **options)
        raise EngineError("That is enough.")

    monkeypatch.setattr(graph.studio, "load_engine", load)
    engine = graph.studio._model().engine
    with pytest.raises(EngineError):
        asyncio.run(engine.generate(GenerationRequest(messages=(ChatMessage("user", "Why?"),), max_tokens=1)))
    assert engine.constrains is asked["structured"]
    return asked


def test_every_variable_of_the_model_is_compared_below():
    panel = {name for name, panel in variables(typer.main.get_command(app)).items() if panel == MODEL}
    assert panel == {PREFIX + name for name in EXAMPLES} | {*BASE_URLS}


@pytest.mark.parametrize(
    "given",
    [
        {},
        EXAMPLES,
        dict.fromkeys(EXAMPLES, ""),
        *({name: value} for name, value in EXAMPLES.items()),
        *({"NO_STRUCTURED": word} for word in (*WORDS, "Yes", " off ")),
    ],
)
def test_both_load_the_same_model(monopolylogue, loader, monkeypatch, given):
    for name, value in given.items():
        monkeypatch.setenv(PREFIX + name, value)
    assert monopolylogue("run", "Why?", "--json").exit_code == 0
    (asked,) = loader.asked
    del asked["on_progress"]
    assert asked_by_studio(monkeypatch) == asked


@pytest.mark.parametrize(
    ("ours", "everybody_s", "asked_of"),
    [(None, URL, URL), ("", URL, URL), (URL, "http://127.0.0.1:9/v1", URL), (URL, "", URL), ("", "", None)],
)
def test_the_address_of_a_server_is_that_of_other_programs_where_ours_is_not_set(
    monopolylogue, loader, monkeypatch, ours, everybody_s, asked_of
):
    for name, value in zip(BASE_URLS, (ours, everybody_s), strict=True):
        if value is not None:
            monkeypatch.setenv(name, value)
    assert monopolylogue("run", "Why?", "--json").exit_code == 0
    assert [asked["base_url"] for asked in loader.asked] == [asked_of]
    assert asked_by_studio(monkeypatch)["base_url"] == asked_of


NUMBERS = {"ROLES": "2", "STEPS": "4", "MAX_INTERACTIONS": "5", "TEMPERATURE": "0.7", "SEED": "9"}


@pytest.mark.parametrize("given", [{}, NUMBERS, {"ROLES": "3"}, dict.fromkeys(NUMBERS, "")])
def test_both_play_with_the_same_settings(monopolylogue, loader, monkeypatch, given):
    for name, value in given.items():
        monkeypatch.setenv(PREFIX + name, value)
    record = SceneRecord.from_json(monopolylogue("run", "Why?", "--json").stdout)
    scene = graph.studio.served(model())
    state = SceneState.model_validate(scene.invoke({"question": "Why?"}, context={}))
    assert record_settings(state.settings) == record.settings
    assert (state.settings.seed, state.answer) == (record.seed, record.answer)


def test_the_environment_s_settings_stay_with_a_scene_too(monkeypatch):
    monkeypatch.setenv(PREFIX + "ROLES", "3")
    settings = graph.studio.settings_class()
    assert settings_in(settings(steps=4)) == SceneSettings(roles=3, steps=4)
    scene = build_graph(model(), checkpointer=InMemorySaver(), context_schema=settings)
    on = {"configurable": {"thread_id": "1"}}
    scene.invoke({"question": "Why?"}, on, context={"steps": 4}, interrupt_before=["role_action"])
    for context in ({}, {"steps": 4}, None):  # a server sends an empty one
        scene.invoke(None, on, context=context, interrupt_before="*")
    assert scene.get_state(on).values["settings"] == SceneSettings(roles=3, steps=4)
    with pytest.raises(InputError, match="begun with steps=4"):
        scene.invoke(None, on, context={"steps": 2})


@pytest.mark.parametrize(
    ("value", "why"), [("many", "must be a number"), ("2.5", "must be a"), ("99", "between")]
)
def test_settings_that_no_scene_can_be_played_with(monkeypatch, value, why):
    monkeypatch.setenv(PREFIX + "ROLES", value)
    with pytest.raises(InputError, match=why):
        graph.studio.settings_class()


def test_both_refuse_a_switch_that_says_neither(monopolylogue, loader, monkeypatch):
    monkeypatch.setenv(PREFIX + "NO_STRUCTURED", "perhaps")
    assert monopolylogue("run", "Why?").exit_code == 2
    assert loader.asked == []
    with pytest.raises(InputError, match="MONOPOLYLOGUE_NO_STRUCTURED must be yes or no, not 'perhaps'"):
        graph.studio._model()


async def test_shapes_are_said_in_words_from_the_first_scene_on(monkeypatch):
    monkeypatch.setenv(PREFIX + "NO_STRUCTURED", "1")
    assert not graph.studio._model().constrains
    monkeypatch.delenv(PREFIX + "NO_STRUCTURED")
    assert graph.studio._model().constrains


def test_the_document_says_of_every_variable_whether_studio_reads_it():
    """A new one has to be given its place."""
    command = set(variables(typer.main.get_command(app)))
    code = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "inference").rglob("*.py")))
    code += "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "graph").rglob("*.py")))
    command |= {PREFIX + name for name in re.findall(r'(?:setting|switch|folder)\("([A-Z_]+)"', code)}
    text = (ROOT / "docs" / "studio.md").read_text(encoding="utf-8")
    _, _, table = text.partition("## What it reads from the environment")
    told = re.findall(rf"(?:{PREFIX}|OPENAI_BASE_)[A-Z_]+", table.partition("\n## ")[0])
    assert set(told) == command
