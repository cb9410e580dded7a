"""What is listed, and that removing leaves nothing that is taken for whole."""

import hashlib
import json
import threading
from pathlib import Path

import pytest

from inference import inventory
from inference.inventory import Cached, discard
from inference.models import embedded, fetch
from inference.models.cache import locked
from tests.inference.models.fake_weights import safetensors

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MONOPOLYLOGUE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.utils._cache_manager.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "cache"


def listed() -> list[tuple[str, str]]:
    return [(each.name, each.kind) for each in inventory.inventory()]


def only() -> Cached:
    (each,) = inventory.inventory()
    return each


def model_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    safetensors(folder / "model.safetensors", w=(2, 2))
    return folder


def test_nothing_is_there(cache: Path) -> None:
    assert inventory.inventory() == []


def test_a_fetched_file(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"GGUF and more"
    part = embedded.Part(requirement="toy==1", member="x", size=len(content))
    toy = embedded.EmbeddedModel(
        name="toy",
        file_name="toy.gguf",
        sha256=hashlib.sha256(content).hexdigest(),
        parts=(part,),
    )
    monkeypatch.setattr(inventory, "EMBEDDED", {"toy": toy})
    path = cache / "models" / "toy.gguf"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert listed() == [], "not checked yet"
    fetch.fetch(toy)
    each = only()
    assert (each.name, each.kind, each.size, each.revision) == ("toy", "GGUF file", 13, toy.sha256)
    assert each.engines == ("llama", "transformers")
    discard(each)
    assert [path.name for path in path.parent.iterdir()] == ["toy.gguf.lock"]


def test_a_converted_folder_has_the_name_of_what_it_was_made_from(cache: Path) -> None:
    for name, sha256 in (("one-v1", embedded.TINY.sha256), ("two-v1", "f" * 64), ("three-v1", None)):
        folder = model_folder(cache / "converted" / name)
        if sha256 is not None:
            (folder / "converted_from.json").write_text(json.dumps({"file": "my.gguf", "sha256": sha256}))
    assert listed() == [("my.gguf", "Hugging Face folder"), ("tiny", "Hugging Face folder")]


def test_a_snapshot_of_the_hub(cache: Path, tmp_path: Path) -> None:
    for repo, with_weights in (("org--name", True), ("org--words", False)):
        root = tmp_path / "hub" / f"models--{repo}"
        snapshot = model_folder(root / "snapshots" / COMMIT)
        if not with_weights:
            (snapshot / "model.safetensors").unlink()
        (root / "refs").mkdir()
        (root / "refs" / "main").write_text(COMMIT)
        (root / "blobs").mkdir()
    each = only()
    assert (each.name, each.kind, each.revision) == ("org/name", "hub snapshot", COMMIT)
    discard(each)
    assert listed() == []
    assert (tmp_path / "hub" / "models--org--words").exists()


def test_what_was_left_unfinished_is_listed_and_can_go(cache: Path) -> None:
    parts = cache / "models" / (embedded.TINY.file_name + ".parts")
    parts.mkdir(parents=True)
    (parts / "01.part").write_bytes(b"12345")
    (cache / "converted" / "abc-v1.partial").mkdir(parents=True)
    assert listed() == [("abc-v1", "unfinished"), ("tiny", "unfinished")]
    for each in inventory.inventory():
        discard(each)
    assert listed() == []


def test_removing_waits_for_whoever_is_at_it(cache: Path) -> None:
    folder = cache / "converted" / "abc-v1.partial"
    folder.mkdir(parents=True)
    each = only()
    with locked(cache / "converted" / "abc-v1"):
        remover = threading.Thread(target=discard, args=(each,))
        remover.start()
        remover.join(0.2)
        assert folder.exists()
        folder.rename(cache / "converted" / "abc-v1")
    remover.join()
    assert (cache / "converted" / "abc-v1").exists(), "finished meanwhile, and no longer unfinished"
