"""An adapter of ours on each local engine, over the tiny model."""

import asyncio
import json

import pytest

from finetune.train import train
from finetune.training import load_settings
from inference.engine import ChatMessage, Completion, GenerationRequest
from inference.loading import load_engine

ADVICE = "Ask your neighbour first."


def said(model: str, question: str, engine: str) -> Completion:
    """What a model answers on an engine, greedily."""
    loaded = load_engine(model, engine=engine)
    try:
        request = GenerationRequest(messages=(ChatMessage("user", question),), max_tokens=16)
        return asyncio.run(loaded.generate(request))
    finally:
        loaded.close()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_what_was_learned_is_said_on_other_engines_too(tmp_path) -> None:
    things = "ladder drill tent bicycle saw kettle piano lamp canoe barrow mower trailer".split()
    rows = [
        {
            "prompt": [{"role": "user", "content": f"Where can I borrow a {thing}?"}],
            "completion": [{"role": "assistant", "content": ADVICE}],
        }
        for thing in things
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    adapter = tmp_path / "adapter"
    train(str(tmp_path / "train.jsonl"), "tiny", adapter, load_settings("cpu-small", {"epochs": 8}))
    question = "Where can I borrow a hammer?"
    assert said("tiny", question, "llama").text != ADVICE
    for engine in ("transformers", "llama"):
        completion = said(str(adapter), question, engine)
        assert (completion.text, completion.finish_reason) == (ADVICE, "stop")
