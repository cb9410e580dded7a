"""Scenes that nobody played, made of a sample: as many as a test wants, each with calls."""

import asyncio
from functools import cache
from pathlib import Path

from finetune.data.dataset import Dataset, make_dataset
from finetune.data.scenes import Scene
from finetune.data.settings import DatasetSettings
from scene.export import MANIFEST, SCENES
from scene.record import Message, ModelCall, SceneRecord
from tests.exported import manifest
from tests.paths import ROOT

SAMPLE = ROOT / "tests" / "samples" / "ice-cream.json"

TOPICS = (
    "my neighbour's hedge", "an unpaid invoice", "a lost library book", "the office fridge",
    "a barking dog", "a late train refund", "my aunt's will", "a broken phone screen",
    "the school bake sale", "a noisy boiler", "a shared garden shed", "an old bicycle",
    "a wedding toast", "my first marathon", "a leaking tent", "a rude e-mail",
    "the village choir", "a borrowed ladder", "wild mushrooms", "a job interview",
)  # fmt: skip


@cache
def _sample() -> SceneRecord:
    return SceneRecord.from_json(SAMPLE.read_text(encoding="utf-8"))


def call(node: str, name: str, completion: str, *, asks: str = "Go on.", **changes) -> ModelCall:
    fields = {"node": node, "role": None, "turn": None, "call": name, "attempt": 0, "completion": completion}
    costs = {"prompt_tokens": 9, "completion_tokens": 9, "cached_tokens": 0, "seconds": 0.1}
    prompt = (Message(role="system", content="You direct."), Message(role="user", content=asks))
    return ModelCall(**(fields | costs | {"prompt": prompt} | changes))


def record(number: int, *, revised: bool = False, **changes) -> SceneRecord:
    """Scene `number`, about a topic of its own; the answer is kept unless it was revised."""
    topic = TOPICS[number % len(TOPICS)]
    question = f"What should I do about {topic} in week {number}?"
    first = f"About {topic}: do nothing until {number} people complain."
    revision = f"About {topic}: talk to those it touches first, and write down what {number} of them say."
    situation = f"Somebody worries about {topic} and asks for help."
    calls = (
        call("respond", "respond", first, asks=question),
        call("role_init", "situation", situation),
        call("role_action", "role_action", f"I take my coat and look at {topic}.", role="r1", turn=1),
        *([call("revise", "revise", revision, asks=question)] if revised else []),
    )
    fields = {
        "id": f"{number:016x}",
        "question": question,
        "first_answer": first,
        "situation": situation,
        "stance": "answers",
        "request": "harmless",
        "verdict": "revise" if revised else "keep",
        "revision": revision if revised else "",
        "answer": revision if revised else first,
        "calls": calls,
    }
    return _sample().model_copy(update=fields | changes)


def write(folder: Path, records) -> Path:
    """An export's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SCENES).write_text("".join(f"{one.to_json()}\n" for one in records), encoding="utf-8")
    (folder / MANIFEST).write_text(manifest(len(records)).model_dump_json(), encoding="utf-8")
    return folder


def scene(one: SceneRecord) -> Scene:
    return Scene(record=one, source="x")


def made(records, gate=None, **settings) -> Dataset:
    return asyncio.run(make_dataset(map(scene, records), DatasetSettings(**settings), gate))
