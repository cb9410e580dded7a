"""The tiny model in four bits: as good as torch's of the same weights, which are not rounded on the way."""

import numpy as np
import pytest
import torch

from inference.engine import ChatMessage
from inference.llama_engine.adapter import adapter_file, applicable
from inference.llama_engine.context import LlamaContext, Piece
from inference.llama_engine.limits import STEP_TOKENS
from inference.llama_engine.model import LlamaModel
from inference.models.gguf_header import read_header
from inference.models.local import transformers_folder
from inference.models.sources import resolve
from inference.transformers_engine.pretrained import load_pretrained
from scene.nouns import ModelIdentity
from tests.inference.llama_engine.tiny_gguf import tuned

pytestmark = pytest.mark.model

PROMPT = (ChatMessage("user", "My neighbour plays loud music at night. What can I do about it?"),)
REPLY = (
    "You could talk to your neighbour first, and tell him kindly that you can't sleep. If that does not "
    "help, write to your landlord. It is best to stay polite: you will live beside each other for years."
)


@pytest.fixture(scope="module")
def loaded():
    return load_pretrained(transformers_folder(resolve("tiny")), name="tiny", dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def tokens(loaded):
    tokenizer = loaded.tokenizer
    chat = [{"role": message.role, "content": message.content} for message in PROMPT]
    prompt = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prompt, prompt + REPLY)]
    return ids[1], len(ids[0])


@pytest.fixture(scope="module")
def right(loaded, tokens):
    with torch.inference_mode():
        return loaded.model(torch.tensor([tokens[0]])).logits[0].numpy()


@pytest.fixture(scope="module")
def tiny(tiny_gguf):
    made = LlamaModel(tiny_gguf, "tiny")
    yield made
    made.close()


def logits_of(model, tokens, chunk, rows=1, adapter=None):
    """Logits of every token, of the last of so many equal rows that are computed side by side."""
    context = LlamaContext(
        model, cells=1024, sequences=rows, batch_tokens=chunk * rows, threads=1, adapter=adapter
    )
    found = []
    for at in range(0, len(tokens), chunk):
        piece = tokens[at : at + chunk]
        pieces = [Piece(row, piece, len(piece) if row == rows - 1 else 0) for row in range(rows)]
        found.append(context.compute(pieces).copy())
    context.close()
    return np.concatenate(found)


@pytest.mark.parametrize(("chunk", "rows"), [(1, 1), (16, 1), (STEP_TOKENS, 1), (10, 3)])
def test_logits(tiny, tokens, right, chunk, rows):
    """With 32 tokens a pass and more they are not: STEP_TOKENS is the most."""
    found = logits_of(tiny, tokens[0], chunk, rows)
    # Position 0 is off where weights are repacked; no prompt is so short that it mattered.
    for ours, torch_s in zip(found[1:], right[1:], strict=True):
        assert np.corrcoef(ours, torch_s)[0, 1] > 0.995


def test_scores(tiny, tokens, right):
    ids, start = tokens
    scores = []
    for logits in (logits_of(tiny, ids, STEP_TOKENS), right):
        each = torch.from_numpy(logits[start - 1 : -1]).log_softmax(dim=-1)
        scores.append(each.gather(1, torch.tensor(ids[start:])[:, None]).mean().item())
    assert scores[0] == pytest.approx(scores[1], abs=0.03)


def test_what_an_adapter_changes(loaded, tiny, tiny_gguf, tokens, right, tmp_path, monkeypatch):
    monkeypatch.setenv("MONOPOLYLOGUE_CACHE", str(tmp_path))
    model = tuned(loaded.model, tmp_path / "adapter", "tiny", r=4, lora_alpha=16)
    with torch.inference_mode():
        expected = model(torch.tensor([tokens[0]])).logits[0].numpy() - right
    model.unload()
    adapter = applicable(resolve(str(tmp_path / "adapter")))
    identity = ModelIdentity(id="adapter", revision="0" * 64, engine="llama")
    path = adapter_file(adapter, identity, read_header(tiny_gguf))
    with_it = logits_of(tiny, tokens[0], STEP_TOKENS, adapter=(tiny.adapter(path, "adapter"), 1.0))
    changed = with_it - logits_of(tiny, tokens[0], STEP_TOKENS)
    found = [np.corrcoef(*pair)[0, 1] for pair in zip(changed[1:], expected[1:], strict=True)]
    assert np.mean(found) > 0.95
