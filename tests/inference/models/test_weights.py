"""Folders whose files are not all there: found out before torch is imported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from inference.models.weights import check_weights
from scene.errors import ModelLoadError
from tests.inference.models.fake_weights import safetensors
from tests.paths import ROOT


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    """A model of two shards; what is in them would not make sense to transformers."""
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    for shard, tensor in zip(shards, "ab", strict=True):
        safetensors(tmp_path / shard, **{tensor: (1,)})
    index = {"metadata": {}, "weight_map": dict(zip("ab", shards, strict=True))}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    return tmp_path


def missing(folder: Path) -> None:
    (folder / "model-00002-of-00002.safetensors").unlink()


def cut_off(folder: Path) -> None:
    shard = folder / "model-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def test_a_whole_folder_passes(sharded: Path) -> None:
    check_weights(sharded, "x")


@pytest.mark.parametrize("weight_map", [{"a": 1, "b": "c"}, {"a": None}])
def test_an_index_of_no_files(weight_map: dict[str, object], sharded: Path) -> None:
    (sharded / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(ModelLoadError, match=r"x lacks the weights '(1|None)'"):
        check_weights(sharded, "x")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (missing, "lacks the weights 'model-00002-of-00002.safetensors'; download the model again."),
        (cut_off, "has a damaged model-00002-of-00002.safetensors; download the model again."),
        (no_config, "holds no model (it has no config.json)"),
    ],
)
def test_the_command_says_so_before_torch_is_imported(damage, said: str, sharded: Path) -> None:
    damage(sharded)
    program = (
        "import sys\n"
        "from cli.main import app\n"
        "try:\n"
        "    app(['run', 'Why?', '--model', sys.argv[1]], prog_name='monopolylogue')\n"
        "finally:\n"
        "    print(*{'torch', 'transformers'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(sharded)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == "\n"
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
