"""A random model of two small layers in a folder, and data sets of scenes that nobody played."""

import asyncio
import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from finetune.data.dataset import make_dataset
from finetune.data.scenes import read_scenes
from finetune.data.settings import DatasetSettings
from finetune.data.write import write_dataset
from tests.finetune.scenes import record, write
from tests.forked import ForkServer, fork_server


@pytest.fixture(scope="session")
def tiny_random(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random llama with a ChatML template, float32."""
    import finetune.trainer  # noqa: F401
    from inference.quiet import quiet_transformers
    from tests.inference.tiny_llama import llama, tokenizer

    gc.freeze()  # trainers call the collector at their end, which would look through all that was imported
    folder = tmp_path_factory.mktemp("models") / "tiny-random"
    words = tokenizer()
    with quiet_transformers():
        llama(len(words), initializer_range=0.02, max_position_embeddings=1024).save_pretrained(folder)
        words.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`data(format)`: folder of a data set of twenty scenes."""

    def make(name: str = "prompt-completion") -> Path:
        root = tmp_path_factory.getbasetemp() / "data"
        folder = root / name
        if not folder.exists():
            source = write(root / "export", [record(n, revised=n % 2 == 0) for n in range(20)])
            made = make_dataset(read_scenes([source]), DatasetSettings(format=name, near=100.0))
            write_dataset(asyncio.run(made), folder)
        return folder

    return make


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what `datasets` converts out of the user's cache."""
    import datasets

    folder = tmp_path_factory.getbasetemp() / "datasets"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(folder))


@pytest.fixture(scope="session")
def trainings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    """Starts our command or TRL's in processes of their own, without seconds of imports each."""
    home = str(tmp_path_factory.mktemp("home"))
    with fork_server("tests.finetune.preloaded", OMP_NUM_THREADS="1", HF_HOME=home) as server:
        yield server
