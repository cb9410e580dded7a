"""The scene as it is laid out: wide, narrow, and where colours mean nothing."""

import asyncio
import io
import re

import pytest
from rich.console import Console

from cli.views.display import SceneView
from graph import build_graph
from graph.play import play
from inference.chat_model import EngineChatModel
from scene.nouns import Event, ModelIdentity
from scene.record import SceneRecord
from tests.scripted_scene import player

FIRST = "Take the keys [red]at night[/red].\n\n```\ncar = None\n```"
FINAL = "Talk to him first."


@pytest.fixture(scope="module")
def record() -> SceneRecord:
    engine = player(respond=FIRST, revise=FINAL)
    model = ModelIdentity(id="scripted", revision=None, engine="scripted")
    return asyncio.run(play(build_graph(EngineChatModel(engine=engine)), "Why?", model=model))


def shown(record: SceneRecord, width: int, *, terminal: bool = True) -> str:
    file = io.StringIO()
    console = Console(
        force_terminal=terminal, color_system="256" if terminal else None, width=width, file=file
    )
    SceneView(console).record(record)
    return file.getvalue()


def plain(record: SceneRecord, width: int) -> list[str]:
    console = Console(force_terminal=True, width=width, file=io.StringIO(), record=True)
    SceneView(console).record(record)
    return console.export_text().splitlines()


def test_answers_are_side_by_side_on_a_wide_terminal(record):
    lines = plain(record, 120)
    assert any("Take the keys [red]at night[/red]." in line and FINAL in line for line in lines)


@pytest.mark.parametrize("width", [40, 80, 99])
def test_answers_are_stacked_on_a_narrow_one(record, width):
    lines = plain(record, width)
    assert not any("Take the keys" in line and FINAL in line for line in lines)
    first = next(i for i, line in enumerate(lines) if "─ First answer ─" in line)
    final = next(i for i, line in enumerate(lines) if "─ Final answer ─" in line)
    assert first < final
    assert all(len(line) <= width for line in lines)


def test_no_letter_is_lost_on_a_narrow_terminal(record):
    address = "https://example.org/" + "a" * 60
    told = record.model_copy(update={"plan": (f"I look at {address}.",), "situation": address})
    lines = plain(told, 40)
    assert all(len(line) <= 40 for line in lines)
    text = "".join("".join(lines).split())
    assert "…" not in text
    assert text.count("a" * 20) >= 2
    for role in record.cast:
        assert all(word in text for word in role.position.split())
    for node in record.cost:
        assert node in text


def test_severity_is_a_word_and_a_colour(record):
    assert "moderate" in "\n".join(plain(record, 120))
    assert re.search(r"\x1b\[1;[3-9][\d;]*mmoderate\x1b", shown(record, 120))


def test_refused_action_is_struck_out_with_its_reason(record):
    refused = Event(
        id="e0",
        turn=1,
        actor="r1",
        text="I fly away.",
        observers=(),
        admitted=False,
        reason="Nobody can fly.",
    )
    told = record.model_copy(update={"events": (refused,), "consequences": ()})
    text = shown(told, 120)
    assert "\x1b[2;9mI fly away.\x1b[0m" in text
    assert "refused: Nobody can fly." in text


def test_revision_that_was_not_accepted_is_mentioned(record):
    kept = record.model_copy(update={"answer": record.first_answer})
    assert "The revision was judged worse, so the first answer stays." in "\n".join(plain(kept, 120))


@pytest.mark.parametrize("width", [80, 120])
def test_an_answer_that_was_rejected_says_why(record, width):
    rejected = record.model_copy(update={"fate": "rejected", "request": "harmful", "risk": 0.875})
    lines = plain(rejected, width)
    assert any("The first answer was rejected: what is asked would hurt somebody." in line for line in lines)
    assert "  harmful, risk 0.88" in [line.rstrip() for line in lines]
    assert "The first answer was rejected" not in "\n".join(plain(record, width))


def test_the_request_of_an_old_record_has_no_risk(record):
    old = record.model_copy(update={"risk": None})
    assert "Request\n  harmless\n" in "\n".join(line.rstrip() for line in plain(old, 120))


def test_scene_that_was_changed_by_hand_says_so(record):
    changed = record.model_copy(update={"edited": True})
    assert "Changed by hand while it was stepped through." in "\n".join(plain(changed, 120))
    assert "by hand" not in "\n".join(plain(record, 120))


def test_text_of_an_old_record_is_cleaned_too(record):
    hostile = record.model_copy(update={"answer": "a\x1b[31mb\x9b32mc", "critique": "x\x1b]0;t\x07y"})
    assert "\x1b[31m" not in shown(hostile, 120)
    assert "\x1b]" not in shown(hostile, 120)
    assert "\x1b" not in shown(hostile, 120, terminal=False)


def test_piped_text_is_not_wrapped(record):
    long = record.model_copy(update={"answer": "word " * 100 + "end."})
    console = Console(width=80, file=io.StringIO(), record=True)
    SceneView(console).record(long)
    assert any(line.endswith("word word end.") for line in console.export_text().splitlines())


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({}, "Plan"),
        ({"stance": "declines"}, "Plan, had the request been granted"),
        ({"stance": "declines", "risk": None}, "Plan"),
    ],
    ids=["answered", "declined", "declined in a scene of before"],
)
def test_the_plan_of_a_refusal_is_that_of_somebody_who_got_it_elsewhere(record, changes, title):
    lines = [line.strip("─ ") for line in plain(record.model_copy(update=changes), 120)]
    assert title in lines
