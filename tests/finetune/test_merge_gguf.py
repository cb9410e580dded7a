"""A merged model as a GGUF file: what base and adapter were, in the base's number format."""

import pytest

from finetune import merge as merging
from finetune.merge import merge
from inference.llama_engine.conversion import convert
from inference.llama_engine.library import is_usable
from inference.models.gguf_header import read_header
from inference.models.sources import resolve
from scene.errors import UnusableAdapterError
from tests.inference.llama_engine.tiny_gguf import SETTINGS, tuned
from tests.inference.tiny_llama import llama, tokenizer

pytestmark = pytest.mark.skipif(not is_usable(), reason="needs the library")


@pytest.fixture
def adapter(tmp_path, monkeypatch):
    """`adapter(weights)`: the folder of an adapter on a random model, a GGUF file where these are given."""
    monkeypatch.setenv("MONOPOLYLOGUE_CACHE", str(tmp_path / "cache"))

    def make(weights=None):
        words = tokenizer()
        base, folder = llama(len(words), **SETTINGS | {"initializer_range": 0.1}), tmp_path / "base"
        base.save_pretrained(folder)
        words.save_pretrained(folder)
        if weights is not None:
            folder = convert(resolve(str(folder)), weights, out=tmp_path / "base.gguf")
        tuned(base, tmp_path / "adapter", folder, r=4)
        return str(tmp_path / "adapter")

    return make


@pytest.mark.parametrize(("weights", "number"), [(None, 7), ("q8_0", 7), ("q4_k_m", 15)])
def test_it_is_written_as_the_base_was(adapter, tmp_path, weights, number):
    merged = merge(adapter(weights), tmp_path / "model", gguf=True)
    assert merged.rounded is not None
    assert merged.divergence < merged.rounded < merging.QUANTIZED
    file = tmp_path / "model" / "model.gguf"
    assert read_header(file).values["general.file_type"] == number
    assert (tmp_path / "model" / "Modelfile").read_text().startswith('FROM ./model.gguf\nTEMPLATE """')
    assert sorted(path.name for path in file.parent.glob("model*")) == ["model.gguf", "model.safetensors"]


def test_a_file_that_says_something_else_is_not_kept(adapter, tmp_path, monkeypatch):
    monkeypatch.setattr(merging, "QUANTIZED", 0)
    with pytest.raises(UnusableAdapterError, match="nothing was written"):
        merge(adapter(), tmp_path / "model", gguf=True)
    assert not (tmp_path / "model").exists()
