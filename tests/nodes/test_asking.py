"""What a reply's pattern lets through, and what is made of a reply that can't be used."""

import re

import pytest
from pydantic import BaseModel

from inference.chat_model import EngineChatModel
from inference.scripted import ScriptedEngine
from nodes.asking import Asker, sentence, sentences
from scene.errors import ReplyError
from scene.settings import SceneSettings


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("The asker would know how to make soup.", True),
        ("It costs 3.5 euros, and he has 4.", True),
        ("It costs. He pays.", False),
        ("Does the asker know how to make soup?", False),
        ("the asker would know how to make soup.", False),
        ("The asker would know how to make soup", False),
        ('The asker says "soup" to the cook.', False),
        ("Yes.", False),
    ],
)
def test_a_sentence_is_one(text, fits) -> None:
    assert bool(re.fullmatch(sentence(), text)) == fits


def test_a_sentence_begins_as_asked() -> None:
    assert re.fullmatch(sentence("I [a-z]"), "I make soup for everybody.")
    assert not re.fullmatch(sentence("I [a-z]"), "We make soup for everybody.")


@pytest.mark.parametrize(("number", "fits"), [(1, True), (2, True), (3, False)])
def test_no_more_sentences_than_were_asked_for(number, fits) -> None:
    assert bool(re.fullmatch(sentences(2, "I "), " ".join(["I make soup."] * number))) == fits


class Reply(BaseModel):
    check: str


@pytest.mark.parametrize(
    ("said", "reason", "growth"),
    [
        ('{"check": "' + "It happens, it can't happen, " * 20, "the reply repeats itself", [1, 1, 1]),
        ('{"check": "It happens and', "Invalid JSON", [1, 2, 4]),
    ],
)
async def test_only_a_reply_that_gets_on_is_given_more_room(said, reason, growth) -> None:
    engine = ScriptedEngine(lambda request: said)
    asker = Asker(EngineChatModel(engine=engine), SceneSettings(retries=2), "role_init")
    with pytest.raises(ReplyError, match=reason):
        await asker.reply("request", {"question": "May I?"}, Reply)
    room = [request.max_tokens for request in engine.requests]
    assert [one // room[0] for one in room] == growth
