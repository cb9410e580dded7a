"""From a name to an engine on llama.cpp, and the reasons why not."""

import asyncio

import pytest

from inference import inventory, loading
from inference.engine import ChatMessage, GenerationRequest
from inference.llama_engine import library
from inference.loading import bring, load_engine, suits_llama
from inference.models.sources import resolve
from scene.errors import InputError, ModelLoadError
from tests.inference.tiny_llama import ask


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MONOPOLYLOGUE_CACHE", str(tmp_path / "cache"))


def refused(match, model, **options):
    with pytest.raises(InputError, match=match) as error:
        load_engine(str(model), **options)
    assert "\n" not in str(error.value)


def test_a_file(gguf_path, monkeypatch):
    monkeypatch.setattr(loading, "_sees_accelerator", lambda: False)
    stages = []
    for engine in ("llama", "auto"):
        made = load_engine(
            str(gguf_path), engine=engine, threads=1, on_progress=lambda *stage: stages.append(stage)
        )
        try:
            assert made.identity.engine == "llama"
            assert made.identity.id == str(gguf_path)
            assert made.identity.details == {"device": "cpu", "file": "random.gguf"}
            assert len(made.identity.revision) == 64
            assert made.constrains
            assert asyncio.run(made.generate(ask("Hello", 3))).prompt_tokens > 5
        finally:
            made.close()
    assert stages == [("load", 0, 1), ("load", 1, 1)] * 2
    assert bring(str(gguf_path)) == gguf_path
    (tokenizer,) = inventory.inventory()
    assert (tokenizer.name, tokenizer.kind, tokenizer.engines) == ("random.gguf", "tokenizer", ())
    inventory.discard(tokenizer)
    assert inventory.inventory() == []


def test_a_cut_off_file(gguf_path, tmp_path):
    for left in (100, 20_000, -1_000):
        path = tmp_path / f"cut{left}.gguf"
        path.write_bytes(gguf_path.read_bytes()[:left])
        refused("cut", path, engine="llama")


def test_what_it_does_not_do(gguf_path, tmp_path, monkeypatch):
    refused("runs on the cpu and takes no dtype; use", gguf_path, engine="llama", dtype="float32")
    refused("runs on the cpu", gguf_path, engine="llama", device="cuda")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "config.json").write_text("{}")
    refused("runs GGUF files of the architectures llama and qwen2", tmp_path / "folder", engine="llama")
    path = tmp_path / "other.gguf"
    length = b"\x05\0\0\0\0\0\0\0"
    path.write_bytes(gguf_path.read_bytes().replace(length + b"llama", length + b"gemma", 1))
    refused("is none; use another engine", path, engine="llama")
    monkeypatch.setattr(library, "version", lambda name: "0.1.6")
    library.load_library.cache_clear()
    refused("needs ik-llama-cpp-python", gguf_path, engine="llama")
    library.load_library.cache_clear()


def test_auto(gguf_path, monkeypatch, llama):
    monkeypatch.setattr(loading, "_sees_accelerator", lambda: False)
    source = resolve(str(gguf_path))
    assert suits_llama(source)
    assert suits_llama(resolve("default"))
    assert suits_llama(source, device="cpu")
    assert not suits_llama(source, dtype="float32")
    assert not suits_llama(source, device="cuda")
    assert not suits_llama(resolve(str(llama())))
    monkeypatch.setattr(loading, "_sees_accelerator", lambda: True)
    assert not suits_llama(source)
    assert suits_llama(source, device="cpu")
    monkeypatch.setattr(loading, "_sees_accelerator", lambda: False)
    monkeypatch.setattr(loading, "is_usable", lambda: False)
    assert not suits_llama(source)


@pytest.mark.parametrize(("usable", "picked"), [(True, "llama"), (False, "transformers")])
def test_auto_takes_it_before_others(gguf_path, monkeypatch, usable, picked):
    monkeypatch.setattr(loading, "_sees_accelerator", lambda: False)
    monkeypatch.setattr(loading, "is_usable", lambda: usable)
    monkeypatch.setattr(loading, "load_llama", lambda *_: "llama")
    monkeypatch.setattr(loading, "_transformers", lambda *_: "transformers")
    assert loading.load_engine(str(gguf_path)) == picked


def test_a_damaged_header_is_said(tmp_path):
    path = tmp_path / "none.gguf"
    path.write_bytes(b"GGUF")
    with pytest.raises(ModelLoadError):
        load_engine(str(path))


@pytest.mark.model
def test_the_tiny_model(monkeypatch, tiny_gguf):
    monkeypatch.delenv("MONOPOLYLOGUE_CACHE")
    made = load_engine("tiny", engine="llama")
    chat = (ChatMessage("user", "Name the capital of France in one word."),)
    try:
        said = asyncio.run(made.generate(GenerationRequest(messages=chat, max_tokens=8)))
        chosen = asyncio.run(
            made.generate(GenerationRequest(messages=chat, max_tokens=8, choices=("Paris", "Rome")))
        )
    finally:
        made.close()
    assert said.completion_tokens <= 8
    assert said.text
    assert chosen.text in ("Paris", "Rome")


def test_a_file_whose_positions_are_stretched(gguf_path, tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "_sees_accelerator", lambda: False)
    file = tmp_path / "stretched.gguf"
    file.write_bytes(gguf_path.read_bytes().replace(b"output_norm.weight", b"rope_freqs.weight\0"))
    refused("stretched as in Llama 3.1", file, engine="llama")
    assert not suits_llama(resolve(str(file)), "auto", "auto")
    assert suits_llama(resolve(str(gguf_path)), "auto", "auto")
