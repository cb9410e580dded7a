"""LoRA adapters that others made: each is taken as PEFT means it, merged too, or refused with the reason."""

import json
import warnings
from pathlib import Path

import pytest
import torch
from peft import IA3Config, LoraConfig, PeftModel, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file

from finetune.merge import merge
from inference.quiet import quiet_transformers
from inference.transformers_engine.pretrained import load_pretrained
from scene.errors import ModelLoadError, UnusableAdapterError
from tests.inference.tiny_llama import llama, tokenizer

IDS = torch.arange(3, 40)[None]


@pytest.fixture
def words():
    return tokenizer()


@pytest.fixture
def made(words, tmp_path):
    """`made(config, tied=, grown=)`: folders of base and adapter, and the logits of the two by PEFT."""

    def make(config, *, tied: bool = False, grown: int = 0, save: bool | str = "auto"):
        base, folder = tmp_path / "base", tmp_path / "adapter"
        with quiet_transformers(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = llama(len(words), tie_word_embeddings=tied)
            model.save_pretrained(base)
            words.save_pretrained(base)
            if grown:
                words.add_tokens([f"<new{number}>" for number in range(grown)])
                model.resize_token_embeddings(len(words))
                words.save_pretrained(folder)
            torch.manual_seed(1)
            adapted = get_peft_model(model, config)
            with torch.no_grad():
                for weight in adapted.parameters():
                    if weight.requires_grad:
                        weight.add_(torch.randn_like(weight), alpha=0.05)
            adapted.save_pretrained(folder, save_embedding_layers=save)
        path = folder / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": str(base)}))
        with torch.no_grad():
            return base, folder, adapted.eval()(IDS).logits

    return make


def loaded(base: Path, adapter: Path | None = None):
    return load_pretrained(base, name="x", adapter=adapter, dtype="float32", device="cpu")


def lora(**settings):
    return LoraConfig(**{"r": 4, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"} | settings)


KINDS = {
    "plain": {},
    "dora": {"use_dora": True},
    "rslora": {"use_rslora": True, "lora_alpha": 3},
    "patterns": {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"v_proj": 1}},
    "bias": {"bias": "lora_only"},
    "pissa": {"init_lora_weights": "pissa"},
    "one layer": {"layers_to_transform": [1]},
    "head": {"modules_to_save": ["lm_head"]},
    "embedding": {"modules_to_save": ["embed_tokens"]},
    "both": {"modules_to_save": ["lm_head", "embed_tokens"]},
    "norm": {"modules_to_save": ["norm"]},
    "on head": {"target_modules": ["q_proj", "lm_head"]},
    "on embedding": {"target_modules": ["q_proj", "embed_tokens"]},
    "tokens": {"trainable_token_indices": [3, 5, 8]},
}


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_taken_as_peft_means_it_and_merged(kind, tied, made, tmp_path):
    base, adapter, right = made(lora(**KINDS[kind]), tied=tied)
    both = loaded(base, adapter).model
    torch.testing.assert_close(both(IDS).logits, right, atol=1e-4, rtol=1e-4)
    merge(str(adapter), tmp_path / "model")
    one = loaded(tmp_path / "model").model
    torch.testing.assert_close(one(IDS).logits, right, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("settings", [{"lora_bias": True}, {"layer_replication": [(0, 2), (0, 2)]}])
def test_what_can_not_be_merged_runs_as_it_is(settings, made, tmp_path):
    base, adapter, right = made(lora(**settings))
    both = loaded(base, adapter).model
    torch.testing.assert_close(both(IDS).logits, right, atol=1e-4, rtol=1e-4)
    with pytest.raises(UnusableAdapterError, match="can be run as it is"):
        merge(str(adapter), tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("settings", "tied"),
    [
        ({}, False),
        ({}, True),
        ({"modules_to_save": ["lm_head", "embed_tokens"]}, False),
        ({"modules_to_save": ["lm_head", "embed_tokens"]}, True),
        ({"target_modules": ["q_proj", "embed_tokens"]}, True),
        ({"target_modules": ["q_proj", "embed_tokens", "lm_head"]}, False),
    ],
)
def test_a_grown_vocabulary(settings, tied, made, words, tmp_path):
    base, adapter, right = made(lora(**settings), tied=tied, grown=3, save=True)
    both = loaded(base, adapter)
    assert both.model.config.vocab_size == len(words) == len(both.tokenizer)
    torch.testing.assert_close(both.model(IDS).logits, right, atol=1e-4, rtol=1e-4)
    merge(str(adapter), tmp_path / "model")
    one = loaded(tmp_path / "model")
    assert one.tokenizer.convert_tokens_to_ids("<new2>") == len(words) - 1
    torch.testing.assert_close(one.model(IDS).logits, right, atol=1e-3, rtol=1e-3)


def test_a_grown_vocabulary_that_was_not_saved_whole(made):
    base, adapter, _ = made(lora(target_modules=["q_proj", "embed_tokens"]), grown=3, save=True)
    with pytest.raises(ModelLoadError, match=r"brings an embedding of .* and no output layer of that size"):
        loaded(base, adapter)


def test_a_grown_vocabulary_that_was_not_saved(made):
    base, adapter, _ = made(lora(), grown=3, save=False)
    with pytest.raises(ModelLoadError, match=r"brings a tokenizer of .* and no embeddings for those it adds"):
        loaded(base, adapter)


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (
            IA3Config(task_type="CAUSAL_LM", target_modules=["k_proj"], feedforward_modules=[]),
            "is of type IA3",
        ),
        (PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4), "is of type PROMPT_TUNING"),
        (lora(alora_invocation_tokens=[5]), "is made with alora_invocation_tokens"),
    ],
)
def test_kinds_that_are_refused(config, why, made):
    base, adapter, _ = made(config)
    with pytest.raises(ModelLoadError, match=f"{why}; the engines here apply LoRA adapters alone"):
        loaded(base, adapter)


def test_weights_that_are_not_all_there(made):
    base, adapter, _ = made(lora(modules_to_save=["lm_head"]))
    path = adapter / "adapter_model.safetensors"
    weights = load_file(path)
    whole = dict(weights)
    del weights["base_model.model.lm_head.weight"]
    save_file(weights, path)
    with pytest.raises(ModelLoadError, match=r"lacks .*lm_head\.weight.* says it holds; copy it again"):
        loaded(base, adapter)
    save_file(whole | {"base_model.model.score.weight": torch.zeros(2)}, path)
    with pytest.raises(ModelLoadError, match="was trained for a different model"):
        loaded(base, adapter)
    path.rename(adapter / "adapter_model.bin")
    with pytest.raises(ModelLoadError, match="has no safetensors, only pickled weights"):
        loaded(base, adapter)


def test_an_adapter_that_its_bases_format_would_lose_is_not_merged(made, tmp_path):
    base, adapter, _ = made(lora())
    bare = llama(len(tokenizer())).to(torch.bfloat16)
    bare.save_pretrained(base)
    path = adapter / "adapter_model.safetensors"
    save_file({key: weight * 0.02 for key, weight in load_file(path).items()}, path)
    with pytest.raises(UnusableAdapterError, match="since the adapter itself changes"):
        merge(str(adapter), tmp_path / "model")
    assert not (tmp_path / "model").exists()
    assert isinstance(loaded(base, adapter).adapted, PeftModel)
