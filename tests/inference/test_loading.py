import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from huggingface_hub.errors import GatedRepoError

from inference.engine import ChatMessage, Engine, GenerationRequest
from inference.loading import load_engine, pinned
from inference.models import local
from inference.models.embedded import TINY
from inference.models.local import folder_digest, transformers_folder
from inference.models.sources import HubSource
from inference.transformers_engine import placement
from inference.transformers_engine.placement import attend_without_plans
from inference.transformers_engine.pretrained import context_tokens, load_pretrained
from scene.errors import InputError, ModelLoadError, ModelNotFoundError

HELLO = GenerationRequest(messages=(ChatMessage("user", "Hello."),), max_tokens=4)

Make = Callable[..., Path]


def refused(match: str, model: Path | str, **options: Any) -> None:
    with pytest.raises(InputError, match=match) as error:
        load_engine(str(model), **options)
    assert "\n" not in str(error.value)


async def test_a_folder(llama: Make, capfd: pytest.CaptureFixture[str]):
    folder = llama()
    capfd.readouterr()
    stages: list[tuple[str, int, int]] = []
    engine = load_engine(
        str(folder), dtype="float32", device="cpu", on_progress=lambda *stage: stages.append(stage)
    )
    try:
        assert engine.identity.id == str(folder)
        assert engine.identity.revision == folder_digest(folder)
        assert pinned(str(folder)) == (engine.identity.id, engine.identity.revision)
        assert engine.identity.engine == "transformers"
        assert engine.identity.details == {"dtype": "float32", "device": "cpu"}
        completion = await engine.generate(HELLO)
        assert completion.prompt_tokens == len("<|user|>Hello.<|assistant|>") + 1
    finally:
        engine.close()
    assert stages == [("load", 0, 1), ("load", 1, 1)]
    assert capfd.readouterr() == ("", "")


def test_context_and_padding_come_from_the_folder(llama: Make):
    loaded = load_pretrained(llama(), name="x", dtype="bfloat16", device="cpu")
    assert context_tokens(loaded.model, loaded.tokenizer, "x") == 256
    assert (str(loaded.model.dtype), str(loaded.model.device)) == ("torch.bfloat16", "cpu")
    assert loaded.tokenizer.pad_token == "<end>"
    assert loaded.tokenizer.padding_side == "left"
    assert not loaded.model.training


@pytest.mark.parametrize(("device", "planned"), [("cuda", False), ("cpu", True)])
def test_attention_on_cuda_is_not_planned_for_every_length(device: str, planned: bool, monkeypatch) -> None:
    import torch

    asked: list[bool] = []
    monkeypatch.setattr(torch.backends.cuda, "enable_cudnn_sdp", asked.append)
    attend_without_plans(torch.device(device))
    assert asked == ([] if planned else [False])


def test_a_model_is_loaded_onto_its_device_with_such_attention(llama: Make, monkeypatch) -> None:
    places: list[str] = []
    monkeypatch.setattr(
        "inference.transformers_engine.pretrained.attend_without_plans",
        lambda device: places.append(str(device)),
    )
    load_pretrained(llama(), name="x", device="cpu")
    assert places == ["cpu"]


# --- what can't be loaded ---


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"engine": "vllm"}, "There is no engine 'vllm'; give one of auto, transformers, llama, openai"),
        ({"dtype": "int4"}, "There is no dtype 'int4'; give one of auto, bfloat16"),
        ({"device": "tpu"}, "There is no device 'tpu'; give auto, cpu"),
        ({"device": "cuda:x"}, "There is no device 'cuda:x'"),
        ({"device": "cuda:99"}, "This machine has no device 'cuda:99'"),
    ],
)
def test_options_nobody_knows(options: dict[str, str], said: str, llama: Make):
    refused(said, llama(), **options)


def test_a_model_nobody_knows():
    with pytest.raises(ModelNotFoundError):
        load_engine("no-such-model")


@pytest.mark.parametrize("name", ["a" * 300, "~nobody-here/x"])
def test_a_name_that_no_file_can_have(name: str):
    refused("There can be no model", name)


def test_a_cache_in_nobodys_home(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MONOPOLYLOGUE_CACHE", "~nobody-here/x")
    refused("MONOPOLYLOGUE_CACHE names no folder", "tiny")


def test_no_chat_template(llama: Make):
    refused(
        r"has no chat template; choose an instruction-tuned model, or add a chat_template",
        llama(template=None),
    )


def test_a_missing_shard(llama: Make):
    folder = llama(shard="8KB")
    shard = sorted(folder.glob("model-*.safetensors"))[1]
    shard.unlink()
    refused(rf"lacks the weights '{shard.name}'; download the model again", folder)


def test_an_index_that_points_elsewhere(llama: Make):
    folder = llama(shard="8KB")
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"]["lm_head.weight"] = "../other.safetensors"
    (folder.parent / "other.safetensors").write_bytes(b"")
    index.write_text(json.dumps(content))
    refused(r"lacks the weights '../other.safetensors'", folder)
    index.write_text("{")
    refused(r"has a damaged model.safetensors.index.json", folder)


def test_damaged_and_missing_weights(llama: Make):
    folder = llama()
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    for content in (whole[:-100], whole[:50], b"", b"\xff" * 100):
        weights.write_bytes(content)
        refused("has a damaged model.safetensors; download the model again", folder)
    weights.unlink()
    refused(r"holds no weights \(model.safetensors is missing\)", folder)
    (folder / "pytorch_model.bin").write_bytes(b"")
    refused("has no safetensors, only pickled weights", folder)


def test_weights_are_never_made_up(llama: Make):
    from safetensors.torch import load_file, save_file

    folder = llama()
    weights = load_file(folder / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    refused(r"lacks weights that its config.json asks for, such as lm_head.weight", folder)


@pytest.mark.parametrize(
    "config",
    ["{", "{}", '{"model_type": "nobody"}', '{"model_type": "x", "auto_map": {"AutoConfig": "a.B"}}'],
)
def test_a_config_transformers_does_not_take(config: str, llama: Make):
    folder = llama()
    (folder / "config.json").write_text(config)
    refused(r"llama can't be loaded \(", folder)


@pytest.mark.parametrize(
    "setting",
    [{"hidden_size": "16"}, {"num_attention_heads": 0}, {"num_hidden_layers": None}, {"dtype": "none"}],
    ids=str,
)
def test_a_config_that_makes_no_sense(setting: dict[str, object], llama: Make):
    folder = llama()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | setting))
    refused(r"llama can't be loaded \(", folder)


def test_quantized_weights_whose_scales_would_be_left_out(llama: Make):
    import torch
    from safetensors.torch import load_file, save_file

    folder = llama()
    weights = load_file(folder / "model.safetensors")
    for name in [name for name in weights if name.endswith("proj.weight")]:
        weights[name] = weights[name].to(torch.float8_e4m3fn)
        weights[f"{name}_scale"] = torch.ones(1)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    refused("quantized weights of a kind that transformers does not know", folder)


def test_a_folders_code_is_not_run(llama: Make, tmp_path: Path):
    folder = llama()
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    refused("can't be loaded", folder)
    assert not (tmp_path / "ran").exists()


def test_out_of_memory_is_one_sentence(llama: Make, monkeypatch: pytest.MonkeyPatch):
    from transformers import AutoModelForCausalLM

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory")

    folder = llama()
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", fail)
    refused("does not fit into memory; choose a smaller model", folder)


def test_a_file_called_gguf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MONOPOLYLOGUE_CACHE", str(tmp_path))
    path = tmp_path / "model.gguf"
    path.write_bytes(b"not a model")
    for engine in ("auto", "transformers", "llama"):
        refused("model.gguf is not a readable GGUF file", path, engine=engine)


# --- adapters ---


async def test_an_adapter(llama: Make, adapter: Make):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = llama()
    folder = adapter(base)
    engine = load_engine(str(folder), dtype="float32")
    try:
        await engine.generate(HELLO)
        assert engine.identity.id == str(folder)
    finally:
        engine.close()
    both = load_pretrained(base, name="x", adapter=folder, dtype="float32", device="cpu")
    loaded = both.model
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    ids = torch.arange(1, 9)[None]
    with torch.no_grad():
        before = plain(ids).logits
        with pytest.warns(FutureWarning, match="is_gradient_checkpointing"):
            expected = PeftModel.from_pretrained(plain, folder)(ids).logits
        assert torch.allclose(loaded(ids).logits, expected)
    assert not torch.allclose(before, expected)


def test_an_adapter_brings_its_own_chat_template(llama: Make, adapter: Make):
    from transformers import AutoTokenizer

    base = llama(template=None)
    folder = adapter(base)
    refused("has no chat template", folder)
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.chat_template = "{{ messages[0].content }}"
    tokenizer.save_pretrained(folder)
    load_engine(str(folder)).close()
    (folder / "tokenizer.json").unlink()
    load_engine(str(folder)).close()


def test_an_adapter_for_itself(llama: Make, adapter: Make, tmp_path: Path):
    refused("which takes no adapters", adapter(llama(), says=str(tmp_path / "adapter")))


@pytest.mark.parametrize("other", [{"hidden": 32}, {"layers": 2}], ids=["wider", "deeper"])
def test_an_adapter_for_another_model(other: dict[str, int], llama: Make, adapter: Make):
    base = llama("base")
    said = "was trained for a different model"
    refused(said, adapter(llama("other", **other), says=str(base)))
    refused(said, adapter(base, says=str(llama("again", **other)), name="reverse"))


def test_an_adapter_whose_layers_the_base_does_not_have(llama: Make, adapter: Make):
    folder = adapter(llama())
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"target_modules": ["c_attn"]}))
    refused("was trained for a different model", folder)


def test_an_adapter_without_or_with_damaged_weights(llama: Make, adapter: Make):
    folder = adapter(llama())
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    refused("has a damaged adapter_model.safetensors", folder)
    weights.unlink()
    refused(r"holds no weights \(adapter_model.safetensors is missing\)", folder)


# --- identity ---


def test_the_digest_follows_the_weights_not_the_place(llama: Make, tmp_path: Path):
    folder = llama()
    before = folder_digest(folder)
    os.utime(folder / "model.safetensors", (1, 1))
    (folder / "README.md").write_text("notes")
    (folder / "metrics.json").write_text('{"train_runtime": 1.5}')
    (folder / "loss.json").write_text("[]")
    moved = folder.rename(tmp_path / "moved")
    assert folder_digest(moved) == before
    weights = moved / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1
    weights.write_bytes(content)
    assert folder_digest(moved) != before


def test_the_digest_of_a_large_file_sees_both_ends_and_the_size(tmp_path: Path):
    path = tmp_path / "model.safetensors"
    size = 20 * 2**20
    digests = set()
    for change in (None, 0, size - 1):
        content = bytearray(size)
        if change is not None:
            content[change] = 1
        path.write_bytes(content)
        digests.add(folder_digest(tmp_path))
    path.write_bytes(bytes(size + 1))
    digests.add(folder_digest(tmp_path))
    assert len(digests) == 4


# --- which engine, where ---


@pytest.mark.parametrize(
    ("abilities", "expected"),
    [({"avx512_f": True}, "float32"), ({"avx512_bf16": True}, "bfloat16"), ({"bf16": True}, "bfloat16")],
)
def test_bfloat16_only_where_the_processor_has_it(
    abilities: dict[str, bool], expected: str, monkeypatch: pytest.MonkeyPatch
):
    import torch

    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: abilities)
    assert placement.pick_dtype("auto", torch.device("cpu")) == getattr(torch, expected)
    assert placement.pick_dtype("float16", torch.device("cpu")) == torch.float16


# --- the hub ---


def test_a_hub_model_that_cannot_be_downloaded(monkeypatch: pytest.MonkeyPatch):
    source = HubSource(id="org/name", repo="org/name", commit="0" * 40)
    with pytest.raises(ModelLoadError, match="can't be downloaded from the hub and is not whole"):
        transformers_folder(source)

    def gated(*_: object, **__: object) -> None:
        response = httpx.Response(403, request=httpx.Request("GET", "https://hub.invalid"))
        raise GatedRepoError("gated", response=response)

    monkeypatch.setattr(local, "snapshot_download", gated)
    with pytest.raises(ModelLoadError, match="only to those who asked"):
        transformers_folder(source)


def test_a_hub_model_that_was_downloaded_loads_offline(
    llama: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As `hf download` leaves it: snapshots/COMMIT and refs/main in the hub's cache."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    repo = tmp_path / "hub" / "models--org--name"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(commit)
    (repo / "snapshots").mkdir()
    llama().rename(repo / "snapshots" / commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    engine = load_engine("org/name")
    engine.close()
    assert (engine.identity.id, engine.identity.revision) == ("org/name", commit)


# --- for real ---


@pytest.mark.model
@pytest.mark.parametrize("engine", ["transformers", "llama"])
async def test_tiny_answers(engine: str, tiny_engine: Callable[[str], Engine]):
    loaded = tiny_engine(engine)
    assert loaded.identity.id == "tiny"
    assert loaded.identity.revision == TINY.sha256
    messages = (ChatMessage("user", "What is the capital of Italy?"),)
    completion = await loaded.generate(GenerationRequest(messages=messages, max_tokens=48))
    assert "Italy" in completion.text
    assert completion.finish_reason == "stop"
