"""A random llama as a GGUF file, its tokenizer, and the model in torch that says what is right."""

import pytest
import torch

from inference.llama_engine.library import is_installed
from tests.inference.tiny_llama import llama, tokenizer

if not is_installed():
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tiny matrices are only slowed down by a second thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def words():
    return tokenizer()


@pytest.fixture(scope="session")
def torch_model(words):
    from tests.inference.llama_engine.tiny_gguf import SETTINGS

    return llama(len(words), **SETTINGS)


@pytest.fixture(scope="session")
def gguf_path(torch_model, words, tmp_path_factory):
    from tests.inference.llama_engine.tiny_gguf import write_gguf

    return write_gguf(torch_model, words, tmp_path_factory.mktemp("gguf") / "random.gguf")


@pytest.fixture(scope="module")
def model(gguf_path):
    from inference.llama_engine.model import LlamaModel

    made = LlamaModel(gguf_path, "random")
    yield made
    made.close()


@pytest.fixture
def context(model):
    from inference.llama_engine.context import LlamaContext

    made = LlamaContext(model, cells=320, sequences=8, batch_tokens=31, threads=1)
    yield made
    made.close()
