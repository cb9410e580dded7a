"""Files that are no model end in a sentence, not in a crash."""

import numpy as np
import pytest

from inference.llama_engine.model import LlamaModel
from scene.errors import ModelLoadError


@pytest.mark.parametrize("left", [0, 3, 24, 2_000, 20_000, -2_000, -4])
def test_truncated(gguf_path, tmp_path, left):
    path = tmp_path / "cut.gguf"
    path.write_bytes(gguf_path.read_bytes()[:left])
    with pytest.raises(ModelLoadError, match="random can't be loaded"):
        LlamaModel(path, "random")


def test_foreign(tmp_path):
    path = tmp_path / "foreign.gguf"
    path.write_bytes(np.random.default_rng(0).bytes(100_000))
    with pytest.raises(ModelLoadError, match="can't be loaded"):
        LlamaModel(path, "foreign")


def test_missing(tmp_path):
    with pytest.raises(ModelLoadError, match="can't be loaded"):
        LlamaModel(tmp_path / "none.gguf", "none")


def test_unknown_architecture(gguf_path, tmp_path):
    path = tmp_path / "unknown.gguf"
    name = b"general.architecture"
    data = gguf_path.read_bytes()
    at = data.index(name) + len(name) + 12
    assert data[at : at + 5] == b"llama"
    path.write_bytes(data[:at] + b"lemma" + data[at + 5 :])
    with pytest.raises(ModelLoadError, match="unknown architecture"):
        LlamaModel(path, "random")


def test_what_it_says(model, words):
    assert model.vocabulary == len(words)
    assert model.layers == 2
