"""Folders whose files are not all there: found out before torch is imported."""

import json
import shutil
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


def test_the_command_says_so_before_torch_is_imported(
    sharded: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One process for all of them, as it takes a second to import the command."""
    damages = {
        missing: "lacks the weights 'model-00002-of-00002.safetensors'; download the model again.",
        cut_off: "has a damaged model-00002-of-00002.safetensors; download the model again.",
        no_config: "holds no model (it has no config.json)",
    }
    shelf = tmp_path_factory.mktemp("damaged")
    folders = [shutil.copytree(sharded, shelf / damage.__name__) for damage in damages]
    for damage, folder in zip(damages, folders, strict=True):
        damage(folder)
    program = (
        "import sys\n"
        "from cli.main import app\n"
        "for folder in sys.argv[1:]:\n"
        "    try:\n"
        "        app(['run', 'Why?', '--model', folder], prog_name='monopolylogue')\n"
        "    except SystemExit as left:\n"
        "        print(left.code, *{'torch', 'transformers'} & set(sys.modules))\n"
        "    print('<end>', file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, folders)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "2\n" * len(damages)
    *complaints, rest = done.stderr.split("<end>\n")
    assert rest == ""
    for said, complaint in zip(damages.values(), complaints, strict=True):
        assert said in complaint.splitlines()[-1]
        assert "Traceback" not in complaint
