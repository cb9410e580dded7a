"""A LoRA adapter on all matrices of a layer does what PEFT does with it."""

import asyncio

import numpy as np
import pytest
import torch

from inference import inventory, loading
from inference.llama_engine.adapter import adapter_file, applicable
from inference.llama_engine.context import LlamaContext, Piece
from inference.llama_engine.model import LlamaModel
from inference.loading import bring, load_engine, suits_llama
from inference.models.gguf_header import read_header
from inference.models.sources import resolve
from scene.errors import InputError, ModelLoadError
from scene.nouns import ModelIdentity
from tests.inference.llama_engine.tiny_gguf import SETTINGS, random_model, tuned, write_gguf
from tests.inference.tiny_llama import ask, text_of, tokenizer
from tests.inference.tiny_llama import llama as random_llama


def refused(match, model):
    with pytest.raises(InputError, match=match) as error:
        load_engine(str(model), engine="llama")
    assert "\n" not in str(error.value)


TOKENS = [5 + 7 * at % 380 for at in range(60)]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MONOPOLYLOGUE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(loading, "_sees_accelerator", lambda: False)


@pytest.fixture
def on_llama(words, gguf_path, tmp_path):
    """`on_llama(...)`: a model in torch with an adapter, and the folder of that over the same in GGUF."""

    def make(**settings):
        folder = tmp_path / "adapter"
        return tuned(random_model("llama", len(words)), folder, gguf_path, **settings), folder

    return make


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [
        ("llama", {"r": 8, "lora_alpha": 16}),
        ("llama", {"r": 5, "lora_alpha": 4, "use_rslora": True}),
        ("qwen2", {"r": 12, "lora_alpha": 24, "target_modules": ["q_proj", "k_proj", "down_proj"]}),
    ],
)
def test_as_peft_does(architecture, settings, words, tmp_path):
    bare = random_model(architecture, len(words))
    path = write_gguf(bare, words, tmp_path / "random.gguf")
    right = tuned(random_model(architecture, len(words)), tmp_path / "adapter", path, **settings)
    adapter = applicable(resolve(str(tmp_path / "adapter")))
    identity = ModelIdentity(id="adapter", revision="0" * 64, engine="llama")
    model = LlamaModel(path, "random")
    pointer = model.adapter(adapter_file(adapter, identity, read_header(path)), "adapter")
    context = LlamaContext(model, cells=256, sequences=3, batch_tokens=31, threads=1, adapter=(pointer, 1.0))
    with torch.inference_mode():
        expected, before = (each(torch.tensor([TOKENS])).logits[0].numpy() for each in (right, bare))
    for at in range(0, 60, 10):
        pieces = [Piece(sequence, TOKENS[at : at + 10], 10) for sequence in range(3)]
        for logits in context.compute(pieces).reshape(3, 10, -1):
            assert np.abs(logits - expected[at : at + 10]).max() < 0.1
    assert np.abs(expected - before).max() > 1, "the adapter changes something"
    context.close()
    model.close()


def test_from_its_folder_to_an_answer(on_llama, words):
    right, folder = on_llama(r=4, lora_alpha=8)
    request = ask("Who would be harmed?", 12)
    prompt = words.apply_chat_template(
        [{"role": "user", "content": "Who would be harmed?"}], add_generation_prompt=True, return_tensors="pt"
    )["input_ids"]
    with torch.inference_mode():
        expected = right.generate(input_ids=prompt, do_sample=False, max_new_tokens=12)[0, prompt.shape[1] :]
    made = []
    for engine in ("auto", "llama"):
        loaded = load_engine(str(folder), engine=engine, threads=1)
        try:
            assert (loaded.identity.id, loaded.identity.engine) == (str(folder), "llama")
            assert asyncio.run(loaded.generate(request)).text == text_of(words, expected.tolist())
        finally:
            loaded.close()
        (entry,) = (each for each in inventory.inventory() if each.kind == inventory.ADAPTER)
        made.append((entry.name, entry.path, entry.path.stat().st_mtime_ns))
    assert made[0] == made[1], "it is made once"
    assert made[0][0] == str(folder)
    leftover = entry.path.with_name(entry.path.name + ".partial")
    leftover.write_bytes(b"GGUF")
    assert ("unfinished", 4) in {(each.kind, each.size) for each in inventory.inventory()}
    for each in inventory.inventory():
        if each.kind != inventory.TOKENIZER:
            inventory.discard(each)
    assert not leftover.exists()
    assert not entry.path.exists()
    assert [each.kind for each in inventory.inventory()] == [inventory.TOKENIZER]


def test_it_brings_its_own_chat_template(on_llama, monkeypatch):
    _, folder = on_llama(r=8)
    (folder / "chat_template.jinja").write_text("{{ messages[0].content }}")
    loaded = load_engine(str(folder), threads=1)
    try:
        assert asyncio.run(loaded.generate(ask("abc", 1))).prompt_tokens < 4
    finally:
        loaded.close()


def test_auto(on_llama, gguf_path, llama, adapter):
    _, folder = on_llama(r=8)
    assert suits_llama(resolve(str(folder)))
    assert not suits_llama(resolve(str(folder)), dtype="float32")
    assert bring(str(folder)) == gguf_path
    assert not suits_llama(resolve(str(adapter(llama(), name="other")))), "its base is no GGUF file"
    for settings in ({"use_dora": True}, {"target_modules": ["lm_head"]}, {"modules_to_save": ["lm_head"]}):
        on_llama(r=8, **settings)
        assert not suits_llama(resolve(str(folder))), "transformers applies it"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"use_dora": True}, r"^The adapter .* is no plain LoRA \(.*magnitude.*\); use the engine `transf"),
        (
            {"target_modules": ["lm_head"]},
            r"changes lm_head, which the engine `llama` leaves as it is",
        ),
        ({"modules_to_save": ["lm_head"]}, r"is no plain LoRA \(.*lm_head\.weight\); use the engine"),
    ],
)
def test_what_would_be_left_out(settings, why, on_llama):
    refused(why, on_llama(r=8, **settings)[1])


def test_tokens_that_its_base_does_not_have(on_llama, words):
    _, folder = on_llama(r=8)
    grown = tokenizer()
    grown.save_pretrained(folder)
    load_engine(str(folder), engine="llama", threads=1).close()
    grown.add_tokens(["<mine>"])
    grown.save_pretrained(folder)
    refused("brings tokens that .*random.gguf does not have, which the engine `llama` can't add", folder)


def test_an_adapter_for_another_model(words, gguf_path, tmp_path):
    said = "was trained for a different model than its adapter_config.json names; correct base_model_name"
    for name, shape in (
        ("deep", {"num_hidden_layers": 3}),
        ("wide", {"hidden_size": 96}),
        ("odd", {"hidden_size": 20, "num_attention_heads": 2}),
    ):
        other = random_llama(len(words), **(SETTINGS | shape))
        tuned(other, tmp_path / name, gguf_path, r=8)
        refused(said, tmp_path / name)
        assert not list((tmp_path / "cache" / "adapters").glob("*.partial"))


def test_an_adapter_over_a_folder(llama, adapter):
    refused("runs GGUF files of the architectures llama and qwen2 without .*llama is none", adapter(llama()))


def test_no_adapter(gguf_path, tmp_path):
    model = LlamaModel(gguf_path, "random")
    (tmp_path / "none.gguf").write_bytes(b"GGUF")
    for path in (tmp_path / "none.gguf", gguf_path, tmp_path / "missing.gguf"):
        with pytest.raises(ModelLoadError, match="adapter none"):
            model.adapter(path, "none")
    model.close()
