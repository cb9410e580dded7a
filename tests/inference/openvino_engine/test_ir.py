"""Converted models in the cache: made once, found again when whole, and which engine then takes what."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import pytest

from inference import loading
from inference.loading import load_engine, suits_openvino
from inference.models import wheels
from inference.models.embedded import TINY
from inference.models.sources import FolderSource, resolve
from inference.openvino_engine.ir import MARKER, convert, converted, ir_folder
from scene.errors import InputError, ModelLoadError
from tests.inference.models.fake_converter import FILES, FakeConverter
from tests.inference.models.fake_weights import safetensors


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeConverter:
    fake = FakeConverter(tmp_path / "shelf")
    monkeypatch.setattr(wheels, "PIP", (sys.executable, str(fake.folder / "pip.py")))
    return fake


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MONOPOLYLOGUE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(loading, "_sees_accelerator", lambda: False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    return tmp_path / "cache"


@pytest.fixture
def source(tmp_path: Path, cache: Path) -> FolderSource:
    """A folder that passes for a model."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    safetensors(folder / "model.safetensors", w=(2, 2))
    source = resolve(str(folder))
    assert isinstance(source, FolderSource)
    return source


# --- converting ---


def test_a_model_is_converted_once_for_a_format(fake: FakeConverter, source: FolderSource) -> None:
    stages: list[tuple[str, int, int]] = []
    assert ir_folder(source, None) is None
    folder = convert(source, on_progress=lambda *stage: stages.append(stage))
    assert ir_folder(source, None) == folder
    assert [stage for stage in stages if stage[0] != "install"] == [("convert", 0, 1), ("convert", 1, 1)]
    (ir,) = converted(None)
    assert (ir.id, ir.weights, ir.path) == (source.id, "int8", folder)
    assert "--weight-format int8" in (folder / "openvino_model.xml").read_text()
    fake.plan(optimum_fails="it was asked again")
    assert convert(source) == folder
    assert sorted(path.suffix for path in folder.parent.iterdir()) == ["", ".lock"]


def test_the_format_converted_last_is_used(fake: FakeConverter, source: FolderSource) -> None:
    eight = convert(source, "int8")
    four = convert(source, "int4")
    assert "--group-size-fallback adjust" in (four / "openvino_model.xml").read_text()
    assert ir_folder(source, None) == four != eight


def test_changed_weights_are_another_model(fake: FakeConverter, source: FolderSource) -> None:
    convert(source)
    safetensors(source.path / "model.safetensors", w=(3, 3))
    assert ir_folder(source, None) is None


def test_a_folder_made_from_a_gguf_file_counts_as_that_file(
    fake: FakeConverter, source: FolderSource, cache: Path
) -> None:
    inside = cache / "converted" / "tiny-v1"
    shutil.copytree(source.path, inside)
    for folder in (inside, source.path):
        (folder / "converted_from.json").write_text(json.dumps({"file": "x", "sha256": TINY.sha256}))
    folder = convert(resolve(str(inside)))
    assert ir_folder(resolve("tiny"), None) == folder
    assert ir_folder(resolve(str(source.path)), None) is None, "a copy outside may have been changed"


@pytest.mark.parametrize("damage", ["cut off", "missing", "no marker", "strange marker"])
def test_what_is_not_whole_is_not_used_but_made_again(
    damage: str, fake: FakeConverter, source: FolderSource
) -> None:
    folder = convert(source)
    weights, marker = folder / "openvino_model.bin", folder / MARKER
    match damage:
        case "cut off":
            weights.write_bytes(weights.read_bytes()[:-1])
        case "missing":
            weights.unlink()
        case "no marker":
            marker.unlink()
        case _:
            marker.write_text('["id"]')
    assert ir_folder(source, None) is None
    assert convert(source) == folder
    assert ir_folder(source, None) == folder


def test_a_conversion_that_fails_leaves_nothing_but_its_log(
    fake: FakeConverter, source: FolderSource
) -> None:
    fake.plan(optimum_fails="Trying to export a strange model")
    with pytest.raises(
        ModelLoadError, match=r"converted to OpenVINO IR \(Trying to export a strange"
    ) as error:
        convert(source)
    assert "\n" not in str(error.value)
    assert ir_folder(source, None) is None
    fake.plan(files=FILES[:2])
    with pytest.raises(ModelLoadError, match=r"which lacks openvino_tokenizer.xml"):
        convert(source)
    fake.plan()
    assert convert(source).is_dir()


def test_to_a_folder_of_ones_own(fake: FakeConverter, source: FolderSource, tmp_path: Path) -> None:
    out = tmp_path / "new" / "ir"
    assert convert(source, out=out) == out
    assert resolve(str(out)).path == out
    assert ir_folder(source, None) is None
    with pytest.raises(InputError, match="exists already"):
        convert(source, out=out)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="can't be written"):
        convert(source, out=tmp_path / "file" / "ir")


def test_what_can_not_be_converted(fake: FakeConverter, source: FolderSource, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no weights format 'int3'; give one of int8, int4, fp16"):
        convert(source, "int3")
    ir = convert(source, out=tmp_path / "ir")
    with pytest.raises(ModelLoadError, match="is OpenVINO IR already"):
        convert(resolve(str(ir)))
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text('{"base_model_name_or_path": "tiny"}')
    with pytest.raises(ModelLoadError, match=r"convert its model with `monopolylogue models convert tiny`"):
        convert(resolve(str(adapter)))
    (source.path / "model.safetensors").write_bytes(b"\0" * 20)
    asked = len(fake.asked)
    with pytest.raises(ModelLoadError, match=r"damaged model\.safetensors"):
        convert(source)
    assert len(fake.asked) == asked


# --- which engine ---


def test_auto_takes_what_was_converted(fake: FakeConverter, source: FolderSource) -> None:
    assert not suits_openvino(source)
    convert(source)
    assert suits_openvino(source)
    assert not suits_openvino(source, dtype="float32")
    assert not suits_openvino(source, device="cuda")


def test_openvino_says_what_to_run_first(source: FolderSource) -> None:
    with pytest.raises(ModelLoadError, match="run `monopolylogue models convert") as error:
        load_engine(source.id, engine="openvino")
    assert str(error.value) == (
        f"{source.id} is not converted to OpenVINO IR yet; run `monopolylogue models convert {source.id}`, "
        "or use the engine `transformers`."
    )
