"""A model's folder as a GGUF file says what the folder says."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM

from inference import inventory, loading
from inference.llama_engine import conversion
from inference.llama_engine.conversion import as_converted, convert, logits_of
from inference.llama_engine.gguf_file import write_gguf
from inference.loading import load_engine, pinned, suits_llama
from inference.models.local import transformers_folder
from inference.models.sources import GgufSource, resolve
from scene.errors import InputError, ModelLoadError
from tests.inference.llama_engine.tiny_gguf import SETTINGS, random_model
from tests.inference.tiny_llama import llama

TOKENS = [5 + 7 * at % 380 for at in range(60)]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MONOPOLYLOGUE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(loading, "_sees_accelerator", lambda: False)


@pytest.fixture
def folder(words, tmp_path):
    """`folder(model)`: the folder that a model is saved to, with the words."""

    def make(model, **config):
        path = tmp_path / "mine"
        model.save_pretrained(path)
        words.save_pretrained(path)
        file = path / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | config))
        return path

    return make


def right(model, tokens):
    with torch.inference_mode():
        return model(torch.tensor([tokens])).logits[0].float().numpy()


def apart(ours, theirs):
    """Mean divergence in nats, without the first token, after which the library is off."""
    ours, theirs = (torch.from_numpy(each[1:]).log_softmax(-1) for each in (ours, theirs))
    return float((theirs.exp() * (theirs - ours)).sum(-1).mean())


@pytest.mark.parametrize(
    "model",
    [
        lambda size: random_model("llama", size),
        lambda size: random_model("qwen2", size),
        lambda size: random_model("llama", size).to(torch.bfloat16),
        lambda size: llama(size + 3, **SETTINGS, tie_word_embeddings=True, attention_bias=True),
        lambda size: llama(size, **SETTINGS, head_dim=32),
    ],
    ids=["llama", "qwen2", "bfloat16", "tied, with biases", "larger heads"],
)
def test_the_file_computes_what_the_folder_does(model, words, folder, tmp_path):
    made = model(len(words))
    write_gguf(folder(made), "mine", tmp_path / "mine.gguf")
    (found,) = logits_of(tmp_path / "mine.gguf", [TOKENS])
    assert apart(found, right(made.float(), TOKENS)) < 1e-3


@pytest.mark.parametrize(("weights", "most"), [("q8_0", 0.1), ("q4_k_m", 1)])
def test_weights_are_made_smaller(weights, most, words, folder):
    made = random_model("llama", len(words))
    path = convert(resolve(str(folder(made))), weights)
    (found,) = logits_of(path, [TOKENS])
    assert apart(found, right(made, TOKENS)) < most
    assert path.stat().st_size < sum(each.numel() for each in made.parameters()) * 2


def test_what_was_converted_is_taken(words, folder, monkeypatch):
    mine = folder(random_model("llama", len(words)))
    source = resolve(str(mine))
    assert as_converted(source) == source
    path = convert(source)
    assert convert(source) == path
    assert as_converted(source) == GgufSource(id=str(mine), path=path)
    assert suits_llama(as_converted(source))
    engine = load_engine(str(mine))
    engine.close()
    assert (engine.identity.id, engine.identity.engine) == (str(mine), "llama")
    assert engine.identity.revision != pinned(str(mine))[1], "what it computes with was rounded"
    names = {(each.name, each.kind): each for each in inventory.inventory()}
    inventory.discard(names[str(mine), "GGUF file, q8_0"])
    assert as_converted(source) == source
    assert (mine / "model.safetensors").exists()


def test_elsewhere(words, folder, tmp_path):
    source = resolve(str(folder(random_model("llama", len(words)))))
    out = tmp_path / "new" / "mine.gguf"
    assert convert(source, out=out) == out
    assert as_converted(source) == source
    for taken in (out, tmp_path / "mine.bin"):
        with pytest.raises(InputError, match=r"exists already, or is not called \*.gguf"):
            convert(source, out=taken)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"model_type": "mistral"}, "it is a mistral, and only llama and qwen2"),
        (
            {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}},
            "positions by linear",
        ),
        ({"mlp_bias": True}, "biases in its MLP"),
        ({"vocab_size": 10}, "a vocabulary of another kind"),
    ],
)
def test_what_the_file_could_not_say(config, sentence, words, folder):
    source = resolve(str(folder(random_model("llama", len(words)), **config)))
    with pytest.raises(ModelLoadError, match=sentence):
        convert(source)
    assert not list((conversion.cache_folder() / "gguf").glob("*.gguf"))


def test_what_is_not_to_be_converted(gguf_path, words, folder, monkeypatch):
    with pytest.raises(ModelLoadError, match="is a GGUF file already"):
        convert(resolve(str(gguf_path)))
    source = resolve(str(folder(random_model("llama", len(words)))))
    with pytest.raises(InputError, match="no weights format 'int8'; give one of q8_0, q4_k_m"):
        convert(source, "int8")
    monkeypatch.setitem(conversion.WEIGHTS, "q8_0", 999)
    with pytest.raises(ModelLoadError, match="can't be quantized"):
        convert(source)


@pytest.mark.model
def test_the_tiny_model(tmp_path, monkeypatch, tiny_gguf):
    monkeypatch.delenv("MONOPOLYLOGUE_CACHE")
    mine = transformers_folder(resolve("tiny"))
    path = convert(resolve(str(mine)), out=tmp_path / "tiny.gguf")
    model = AutoModelForCausalLM.from_pretrained(mine, dtype=torch.float32)
    (found,) = logits_of(path, [TOKENS])
    assert apart(found, right(model, TOKENS)) < 0.01
