import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from safetensors import SafetensorError

from inference.models import convert
from inference.models.cache import cache_folder
from inference.models.convert import MARKER, hf_folder
from inference.models.gguf_header import read_header
from inference.models.gguf_tokenizer import tokenizer_folder
from scene.errors import ModelLoadError

TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
READ = {
    "In 2024, 1234 people paid $56.78!": [
        788, 216, 34, 32, 34, 36, 28, 216, 33, 34, 35, 36, 701, 5940, 1885, 37, 38, 30, 39, 40, 17
    ],
    "don't  go\n\n": [12420, 982, 216, 685, 1116],
    "Café 日本 😀": [51, 1939, 2756, 17097, 241, 115, 40993, 40303, 218],
    "١٢٣ ½ ²": [164, 111, 164, 112, 164, 113, 216, 16738, 216, 19133],
}  # fmt: skip
"""The tiny model's tokens of texts."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "tiny_gguf" not in request.fixturenames:
        monkeypatch.setenv("MONOPOLYLOGUE_CACHE", str(tmp_path / "cache"))


def write_gguf(path: Path, *, leave_out: str = "", pre: str = "smollm", architecture: str = "llama") -> Path:
    """A random llama of 32 dimensions and one layer, in float32."""
    from tokenizers import pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*TOKENS, *letters, "12"]
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(256)
    writer.add_embedding_length(32)
    writer.add_block_count(1)
    writer.add_feed_forward_length(64)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, 3, *[1] * (len(letters) + 1)])
    writer.add_token_merges(["1 2"])
    writer.add_eos_token_id(2)
    writer.add_chat_template("{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}")
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (len(tokens), 32),
        "output_norm.weight": (32,),
        "blk.0.attn_norm.weight": (32,),
        "blk.0.ffn_norm.weight": (32,),
        **{f"blk.0.attn_{name}.weight": (32, 32) for name in ("q", "k", "v", "output")},
        "blk.0.ffn_gate.weight": (64, 32),
        "blk.0.ffn_up.weight": (64, 32),
        "blk.0.ffn_down.weight": (32, 64),
    }
    random = np.random.default_rng(0)
    for name, shape in shapes.items():
        if name != leave_out:
            writer.add_tensor(name, random.standard_normal(shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "small.gguf")


def test_the_header_needs_no_vocabulary(file: Path):
    header = read_header(file)
    assert (header.architecture, header.context_tokens) == ("llama", 256)
    assert header.values["tokenizer.ggml.pre"] == "smollm"
    assert header.values["tokenizer.ggml.eos_token_id"] == 2
    assert "tokenizer.ggml.tokens" not in header.values


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GGUF",
        b"PK\x03\x04" + b"\0" * 40,
        struct.pack("<4sIQQ", b"GGUF", 3, 0, 9),
        b"version https://git",
    ],
)
def test_what_is_no_gguf_file(content: bytes, tmp_path: Path):
    path = tmp_path / "a.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelLoadError, match=r"a.gguf is not a readable GGUF file"):
        hf_folder(path)


def test_a_header_cut_anywhere_is_refused(file: Path):
    whole = file.read_bytes()
    for length in range(24, 3000, 7):
        file.write_bytes(whole[:length])
        with pytest.raises(ModelLoadError):
            read_header(file)


def test_the_folder_is_the_files_model(file: Path, capfd: pytest.CaptureFixture[str]):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    steps: list[tuple[int, int]] = []
    folder = hf_folder(file, lambda done, total: steps.append((done, total)))
    assert steps == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert json.loads((folder / MARKER).read_text())["versions"].keys() >= {"transformers", "torch"}
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    assert model.dtype == torch.bfloat16
    assert model.generation_config.eos_token_id == [2, 0]
    written = {tensor.name: tensor.data for tensor in gguf.GGUFReader(file).tensors}
    down = torch.tensor(written["blk.0.ffn_down.weight"]).to(torch.bfloat16)
    assert torch.equal(model.model.layers[0].mlp.down_proj.weight, down)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.model_max_length == 256
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.convert_ids_to_tokens(tokenizer("12")["input_ids"]) == ["1", "2"]
    text = "Zoë isn't 12…\n\n  <|im_end|> 日本 😀"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    chat = [{"role": "user", "content": "Hi"}]
    assert tokenizer.apply_chat_template(chat, tokenize=False) == "Hi<|im_end|>"
    assert "de-quantizing" not in capfd.readouterr().err


def test_digits_stay_together_where_the_vocabulary_has_them_so(tmp_path: Path):
    from transformers import AutoTokenizer

    folder = hf_folder(write_gguf(tmp_path / "a.gguf", pre="gpt-2"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.convert_ids_to_tokens(tokenizer("12")["input_ids"]) == ["12"]


def test_content_not_name_decides(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = hf_folder(file)
    moved = file.rename(tmp_path / "other name.gguf")
    monkeypatch.setattr(convert, "_convert", lambda *_: pytest.fail("converted again"))
    assert hf_folder(moved) == folder


def test_what_lies_beside_the_file_is_not_read(file: Path, tmp_path: Path):
    from transformers import AutoTokenizer

    (tmp_path / "config.json").write_text("{broken")
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "<|im_start|>"}')
    (tmp_path / "chat_template.jinja").write_text("other")
    tokenizer = AutoTokenizer.from_pretrained(hf_folder(file))
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.chat_template != "other"


def test_an_interrupted_conversion_is_made_anew(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real = convert._load_model

    def interrupt(gguf_path: Path, empty: Path) -> Any:
        (empty / "half.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(convert, "_load_model", interrupt)
    with pytest.raises(KeyboardInterrupt):
        hf_folder(file)
    (leftover,) = (tmp_path / "cache" / "converted").glob("*.partial")
    assert (leftover / "half.safetensors").exists()
    monkeypatch.setattr(convert, "_load_model", real)
    folder = hf_folder(file)
    assert not leftover.exists()
    assert not (folder / "half.safetensors").exists()


def test_a_folder_without_its_marker_is_made_anew(file: Path):
    folder = hf_folder(file)
    (folder / MARKER).unlink()
    (folder / "config.json").unlink()
    assert (hf_folder(file) / "config.json").exists()


def test_a_file_without_a_weight(tmp_path: Path):
    path = write_gguf(tmp_path / "a.gguf", leave_out="blk.0.ffn_up.weight")
    with pytest.raises(ModelLoadError, match=r"converted .*it has no model.layers.0.mlp.up_proj.weight"):
        hf_folder(path)


def test_a_file_cut_off_in_its_weights(file: Path):
    file.write_bytes(file.read_bytes()[:-5000])
    with pytest.raises(ModelLoadError, match=r"small.gguf can't be converted"):
        hf_folder(file)


@pytest.mark.parametrize("read", [hf_folder, tokenizer_folder])
def test_a_file_cut_off_before_its_weights(read: Callable[..., Path], file: Path):
    content = file.read_bytes()
    file.write_bytes(content[: content.index(b"blk.0.ffn_down.weight")])
    with pytest.raises(ModelLoadError, match=r"small.gguf can't be (converted|read)"):
        read(file)


def test_an_architecture_nobody_knows(tmp_path: Path):
    path = write_gguf(tmp_path / "a.gguf", architecture="plamo")
    with pytest.raises(ModelLoadError, match=r"a.gguf can't be converted for transformers \(.*plamo"):
        hf_folder(path)


@pytest.mark.parametrize("raised", [SafetensorError, Exception], ids=["safetensors", "tokenizers"])
def test_a_full_disk(raised: type[Exception], file: Path, monkeypatch: pytest.MonkeyPatch):
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    def full(*_: object, **__: object) -> None:
        raise raised("I/O error: No space left on device (os error 28)")

    saves = PreTrainedModel if raised is SafetensorError else PreTrainedTokenizerBase
    monkeypatch.setattr(saves, "save_pretrained", full)
    with pytest.raises(ModelLoadError, match="is full; free some space"):
        hf_folder(file)


@pytest.mark.model
def test_tiny_reads_text_as_its_own_tokenizer_does(tiny_gguf: Path):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(hf_folder(tiny_gguf))
    for text, right in READ.items():
        ids = tokenizer(text)["input_ids"]
        assert ids == right
        assert tokenizer.decode(ids) == text
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello."}]
    assert tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello.<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.model
def test_tiny_is_in_the_users_cache(tiny_gguf: Path):
    folder = hf_folder(tiny_gguf)
    assert folder.parent == cache_folder() / "converted"
    assert json.loads((folder / "generation_config.json").read_text())["eos_token_id"] == [2, 0]
