"""A GGUF model in several parts is read as one, by both engines, from whichever part is named."""

import asyncio
import shutil

import gguf
import numpy as np
import pytest

from inference import loading
from inference.loading import load_engine, pinned, suits_llama
from inference.models.cache import sha256_of
from inference.models.convert import hf_folder
from inference.models.gguf_parts import parts_of, whole
from inference.models.sources import resolve
from scene.errors import ModelLoadError
from tests.inference.llama_engine.tiny_gguf import write_gguf
from tests.inference.tiny_llama import ask

PARTS = 5


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MONOPOLYLOGUE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(loading, "_sees_accelerator", lambda: False)


@pytest.fixture(scope="session")
def written(torch_model, words, tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    write_gguf(torch_model, words, folder / "random.gguf", part_tensors=5)
    return sorted(folder.iterdir())


@pytest.fixture
def parts(written, tmp_path):
    return [shutil.copy(part, tmp_path / part.name) for part in written]


def test_any_part_stands_for_all(parts, gguf_path):
    assert [part.name for part in parts] == [
        f"random-0000{n}-of-0000{PARTS}.gguf" for n in range(1, PARTS + 1)
    ]
    (source,) = {resolve(str(part)) for part in parts}
    assert source.path == parts[0]
    assert parts_of(parts[3]) == tuple(parts)
    assert parts_of(gguf_path) == (gguf_path,)
    assert suits_llama(source)


@pytest.mark.parametrize("engine", ["llama", "transformers"])
def test_it_answers_as_one_file(engine, parts, gguf_path):
    said = set()
    for path in (gguf_path, parts[1]):
        loaded = load_engine(str(path), engine=engine, threads=1, dtype="auto", device="cpu")
        try:
            said.add(asyncio.run(loaded.generate(ask("The farmer", 8))).text)
        finally:
            loaded.close()
    assert len(said) == 1


def test_joined_it_is_the_file_that_was_split(parts, gguf_path, tmp_path):
    with whole(parts[0], tmp_path) as joined:
        found, right = gguf.GGUFReader(joined), gguf.GGUFReader(gguf_path)
        assert found.fields.keys() == right.fields.keys()
        for one, other in zip(found.tensors, right.tensors, strict=True):
            assert one.name == other.name
            assert np.array_equal(one.data, other.data)
    assert not joined.exists()


def test_what_is_converted_is_pinned_by_every_part(parts):
    folder = hf_folder(parts[0])
    assert not list(folder.glob("*.gguf"))
    before = pinned(str(parts[0]))[1]
    assert before != sha256_of(parts[0])
    content = bytearray(parts[2].read_bytes())
    content[-1] ^= 1
    (parts[2].parent / "again").mkdir()
    for part in parts:
        shutil.copy(part, part.parent / "again")
    (parts[2].parent / "again" / parts[2].name).write_bytes(content)
    assert pinned(str(parts[0].parent / "again" / parts[0].name))[1] != before


def test_a_missing_part_is_named(parts):
    parts[2].unlink()
    for engine in ("auto", "llama", "transformers"):
        with pytest.raises(ModelLoadError, match=rf"one of 5 parts .* and {parts[2].name} is not beside it"):
            load_engine(str(parts[0]), engine=engine)


def test_a_damaged_part(parts):
    parts[2].write_bytes(parts[2].read_bytes()[:-1000])
    with pytest.raises(ModelLoadError, match=rf"{parts[2].name} is cut off or damaged"):
        load_engine(str(parts[0]), engine="transformers")
    with pytest.raises(ModelLoadError, match="cut off"):
        load_engine(str(parts[0]), engine="llama")


@pytest.mark.parametrize("name", ["model.gguf", "model-00001-of-00001.gguf"])
def test_a_part_under_another_name(parts, name):
    parts[0].rename(parts[0].with_name(name))
    with pytest.raises(ModelLoadError, match=r"holds part 1 of 5 .* and is not named so; give all parts"):
        load_engine(str(parts[0].with_name(name)))


def test_links_as_the_hubs_cache_has_them(parts, tmp_path):
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshot"
    blobs.mkdir()
    snapshot.mkdir()
    for number, part in enumerate(parts):
        (snapshot / part.name).symlink_to(part.rename(blobs / f"blob{number}"))
    load_engine(str(snapshot / parts[0].name), engine="llama", threads=1).close()
