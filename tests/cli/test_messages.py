"""A conversation given to a command: --messages, what is refused of it, and where it is shown."""

import json
from pathlib import Path
from typing import Any

import pytest

from scene.record import SceneRecord
from tests.cli.test_bad_input import refused
from tests.scripted_scene import asked, player

CHAT = [
    {"role": "system", "content": "Answer in rhymes."},
    {"role": "user", "content": "My rent is due."},
    {"role": "assistant", "content": "To whom?"},
    {"role": "user", "content": "A landlord. How do I tell him?"},
]


@pytest.fixture
def chat(tmp_path: Path) -> Path:
    path = tmp_path / "chat.json"
    path.write_text(json.dumps(CHAT))
    return path


@pytest.mark.parametrize("shape", ["list", "request", "anthropic", "stdin", "indented"])
def test_a_scene_is_played_in_its_conversation(monopolylogue, loader, chat: Path, shape: str) -> None:
    loader.engine = player()
    given: dict[str, Any] = {}
    if shape == "request":
        chat.write_text(json.dumps({"model": "x", "messages": CHAT}))
    if shape == "anthropic":
        chat.write_text(json.dumps({"system": CHAT[0]["content"], "messages": CHAT[1:]}))
    if shape == "indented":
        chat.write_text("\ufeff" + json.dumps(CHAT, indent=1), encoding="utf-16-le")
    if shape == "stdin":
        given = {"input": json.dumps(CHAT)}
    done = monopolylogue("run", "--messages", "-" if given else str(chat), "--json", **given)
    record = SceneRecord.from_json(done.stdout)
    assert (record.question, record.system) == (CHAT[3]["content"], CHAT[0]["content"])
    assert [turn.model_dump() for turn in record.history] == CHAT[1:3]
    (first,) = asked(loader.engine, "respond")
    assert [{"role": one.role, "content": one.content} for one in first.messages] == CHAT


def test_what_was_said_before_is_shown(monopolylogue, loader, chat: Path) -> None:
    loader.engine = player()
    out = monopolylogue("run", "--messages", str(chat)).stdout
    shown = out.index("Conversation\nSystem prompt: Answer in rhymes."), out.index("Assistant: To whom?")
    assert shown[0] < shown[1] < out.index("Question\nA landlord.")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "holds no messages; write them as JSON"),
        ("Why?", "holds no messages; write them as JSON"),
        ('{"messages": "Why?"}', "holds no messages; write them as JSON"),
        ("[]", "chat.json: The last message has to be the user's"),
        (json.dumps(CHAT[:3]), "chat.json: The last message has to be the user's"),
        ('["Why?"]', "chat.json: Message 1 is of nobody known"),
        ('[{"role": "tool", "content": "3"}]', "chat.json: Message 1 is of nobody known"),
        (
            '[{"role": "user", "content": [{"type": "image_url"}]}]',
            "Message 1 has a part of the type 'image_url'",
        ),
        ('[{"role": "user", "content": " "}]', "chat.json: The question is empty"),
        (
            json.dumps([CHAT[1], {"role": "assistant", "content": None}, CHAT[3]]),
            "Turn 2 of the conversation is empty",
        ),
        (json.dumps([*CHAT[1:3] * 40, CHAT[3]]), "There are 80 turns before the question; at most 64"),
        (json.dumps([{"role": "user", "content": "x" * 16_001}]), "The question has 16,001 characters"),
        (
            json.dumps([*CHAT[1:3], CHAT[0], CHAT[3]]),
            "Message 3 is a system prompt; it has to stand before the turns",
        ),
        ("x" * 1_000_001, "holds more than 1,000,000 bytes"),
    ],
)
def test_what_is_no_conversation_is_refused_in_a_sentence(
    monopolylogue, chat: Path, text: str, sentence: str
) -> None:
    chat.write_text(text)
    refused(monopolylogue("run", "--messages", str(chat)), sentence)


def test_a_question_comes_from_one_place(monopolylogue, chat: Path) -> None:
    refused(monopolylogue("run"), "There is no question; give one, or a conversation with --messages FILE.")
    refused(monopolylogue("compare", "Why?", "--messages", str(chat)), "not both")
    refused(monopolylogue("run", "--messages", str(chat.parent / "none.json")), "can't be read (No such file")
    refused(
        monopolylogue("ask", "--model", "x"), "Give a file of questions, or one conversation with --messages"
    )


def test_models_are_asked_in_the_conversation(monopolylogue, loader, chat: Path) -> None:
    loader.engine = player()
    done = monopolylogue("ask", "--messages", str(chat), "--model", "x", "--json")
    assert json.loads(done.stdout)["before"] == CHAT[:3]
    (request,) = loader.engine.requests
    assert [{"role": one.role, "content": one.content} for one in request.messages] == CHAT
    loader.engine = player()
    assert "Assistant: To whom?" in monopolylogue("ask", "--messages", str(chat), "--model", "x").stdout
