"""Scenes on the default model: what can be told without reading them. Takes a quarter of an hour."""

import asyncio
import re
from collections.abc import Callable

import pytest

import prompts
from graph import build_graph
from graph.play import play
from inference.chat_model import EngineChatModel
from inference.loading import load_engine
from prompts.loader import TAGS
from scene.nouns import Event
from scene.record import SceneRecord
from scene.settings import SceneSettings
from scene.text import clean, ends_whole, is_repetition

SIDE_BY_SIDE = 10
TAG = re.compile(rf"</?(?:{'|'.join(TAGS)})>")


def faults(record: SceneRecord) -> list[str]:
    """Everything about a scene that should not be."""
    found = []
    cast, steps = record.settings["roles"] + 1, record.settings["steps"]
    if len(record.cast) != cast:
        found.append(f"{len(record.cast)} roles instead of {cast}")
    if len(record.plan) != steps:
        found.append(f"{len(record.plan)} steps instead of {steps}")
    for role in record.cast:
        if len(role.name.split()) > 5 or not re.fullmatch(r"[A-Za-z' -]+", role.name):
            found.append(f"name {role.name!r}")
    texts = [record.situation, record.goal, record.critique, *record.plan]
    texts += [t for r in record.cast for t in (r.traits, r.position)]
    texts += [e.text for e in record.events] + [c.text for c in record.consequences]
    texts += [e.reason for e in record.events if not e.admitted]
    answers = [record.first_answer, record.answer]
    for text in [*texts, *answers]:
        if clean(text) != text or TAG.search(text):
            found.append(f"markup in {text[:80]!r}")
    found += [f"cut off: {text[-60:]!r}" for text in texts if not ends_whole(text)]
    return found + [fault for event in record.events for fault in faults_of(event, record)]


def faults_of(event: Event, record: SceneRecord) -> list[str]:
    """What is wrong with a reaction or a step."""
    found = []
    if not event.text.startswith("I "):
        found.append(f"not in the actor's own voice: {event.text!r}")
    earlier = [other.text for other in record.events if other.turn < event.turn and other.admitted]
    if event.admitted and event.step is None and any(is_repetition(event.text, e) for e in earlier):
        found.append(f"repetition: {event.text!r}")
    if is_repetition(event.text, prompts.load("role_action").user):
        found.append(f"the prompt again: {event.text!r}")
    return found


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_twenty_scenes(questions: Callable[..., list[str]]) -> None:
    asked = questions("hh_harmless_first_turn.jsonl", 10) + questions("koala_test_set.jsonl", 10)
    engine = load_engine("default")
    graph = build_graph(EngineChatModel(engine=engine))
    some = asyncio.Semaphore(SIDE_BY_SIDE)

    async def rehearse(question: str) -> SceneRecord:
        async with some:
            return await play(
                graph, question, model=engine.identity, settings=SceneSettings(roles=4, steps=3)
            )

    try:
        records = await asyncio.gather(*map(rehearse, asked))
    finally:
        engine.close()
    assert {record.question: faults(record) for record in records if faults(record)} == {}
