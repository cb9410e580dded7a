"""`monopolylogue models`, on a cache that holds nothing but small files."""

import json
import os
import sys
from pathlib import Path

import pexpect
import pytest

import cli.commands.models
import inference.llama_engine.conversion
import inference.loading
from inference.models.embedded import TINY
from tests.cli.test_bad_input import refused
from tests.inference.models.fake_weights import safetensors
from tests.paths import ROOT


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean_environment: None) -> Path:
    monkeypatch.setenv("MONOPOLYLOGUE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.utils._cache_manager.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "cache"


@pytest.fixture
def converted(cache: Path) -> Path:
    """What passes for the converted tiny model."""
    folder = cache / "converted" / "tiny-v1"
    folder.mkdir(parents=True)
    (folder / "converted_from.json").write_text(json.dumps({"file": "x.gguf", "sha256": TINY.sha256}))
    (folder / "model.safetensors").write_bytes(bytes(5000))
    return folder


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder that passes for a model."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    safetensors(folder / "model.safetensors", w=(2, 2))
    return folder


# --- list ---


def test_an_empty_cache(monopolylogue):
    done = monopolylogue("models")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("No model is on this machine yet")
    assert monopolylogue("models", "--json").stdout == "[]\n"


def test_two_lines_for_each(monopolylogue, converted):
    for arguments in (["models"], ["models", "list"]):
        done = monopolylogue(*arguments)
        assert done.stdout.splitlines() == [
            f"tiny: Hugging Face folder, 5.1 kB, {TINY.sha256[:12]}, transformers",
            f"  {converted}",
        ]


def test_json(monopolylogue, converted):
    for arguments in (["models", "--json"], ["models", "list", "--json"]):
        (each,) = json.loads(monopolylogue(*arguments).stdout)
        assert each["path"] == str(converted)
        assert {"name", "kind", "size", "revision", "engines"} < set(each)


def test_help_shows_examples(monopolylogue):
    for arguments in (["models", "--help"], ["models", "convert", "-h"]):
        done = monopolylogue(*arguments, env={"COLUMNS": "80"})
        assert done.exit_code == 0
        assert all(len(line) <= 80 for line in done.stdout.splitlines())


# --- pull ---


def test_pull_leaves_what_is_there(monopolylogue, mine):
    for _ in range(2):
        done = monopolylogue("models", "pull", str(mine))
        assert (done.exit_code, done.stdout) == (0, f"{mine} is here: {mine}\n")


def test_pull_brings_what_the_default_engine_needs(monopolylogue, monkeypatch, tmp_path):
    asked = []

    def gguf_file(source, report):
        report("fetch", 0, 10)
        report("fetch", 10, 10)
        asked.append(source.id)
        return tmp_path / "tiny.gguf"

    monkeypatch.setattr(inference.loading, "gguf_file", gguf_file)
    monkeypatch.setattr(inference.loading, "_sees_accelerator", lambda: False)
    monkeypatch.setattr(inference.loading, "is_usable", lambda: True)
    done = monopolylogue("models", "pull", "tiny")
    assert asked == ["tiny"]
    assert done.stdout == f"tiny is here: {tmp_path / 'tiny.gguf'}\n"
    assert "Fetching tiny: 100% of 10 bytes" in done.stderr


def test_pull_of_nothing(monopolylogue):
    refused(monopolylogue("models", "pull", "no-such"), "There is no model 'no-such'")


# --- convert ---


def test_convert(monopolylogue, mine, monkeypatch, tmp_path):
    asked = []

    def convert(source, weights, *, out, on_progress):
        on_progress("convert", 0, 1)
        asked.append((source.id, weights, out))
        return tmp_path / "mine.gguf"

    monkeypatch.setattr(inference.llama_engine.conversion, "convert", convert)
    done = monopolylogue("models", "convert", str(mine))
    assert done.stdout == f"{mine} is converted: {tmp_path / 'mine.gguf'}\n"
    assert f"Converting {mine}" in done.stderr
    monopolylogue("models", "convert", str(mine), "--weights", "q4_k_m", "--out", "new.gguf")
    assert asked == [(str(mine), "q8_0", None), (str(mine), "q4_k_m", Path("new.gguf"))]


def test_convert_that_is_interrupted_says_how_to_go_on(monopolylogue, mine, monkeypatch):
    def convert(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(inference.llama_engine.conversion, "convert", convert)
    done = monopolylogue("models", "convert", str(mine))
    assert (done.exit_code, done.stdout) == (130, "")
    said = "Interrupted. What was downloaded is kept; run the command again to go on."
    assert done.stderr.splitlines()[-1] == said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(("tiny",), "tiny is a GGUF file already"), (("MINE", "--weights", "int8"), "no weights format 'int8'")],
)
def test_convert_that_is_refused(monopolylogue, mine, arguments, sentence):
    refused(
        monopolylogue("models", "convert", *(each.replace("MINE", str(mine)) for each in arguments)), sentence
    )


def test_the_formats_on_offer_are_those_there_are():
    assert cli.commands.models.WEIGHTS == tuple(inference.llama_engine.conversion.WEIGHTS)


# --- remove ---


def test_remove_needs_a_yes(monopolylogue, converted):
    refused(monopolylogue("models", "remove", "tiny"), "Give --yes to remove 'tiny' without being asked.")
    assert converted.exists()
    done = monopolylogue("models", "remove", "tiny", "--yes")
    assert (done.exit_code, done.stdout) == (0, f"Removed {converted}\n")
    assert not converted.exists()
    refused(monopolylogue("models", "remove", "tiny", "--yes"), "Nothing of 'tiny' is on this machine")


@pytest.mark.parametrize(("answer", "gone"), [("y", True), ("n", False), ("", False)])
def test_remove_asks_at_a_terminal(answer, gone, converted):
    environment = {**os.environ, "HF_HUB_CACHE": "/nonexistent"}
    child = pexpect.spawn(
        sys.executable,
        ["-m", "cli.main", "models", "remove", "tiny"],
        cwd=ROOT,
        env=environment,
        encoding="utf-8",
        timeout=60,
    )
    child.expect("Remove this")
    child.sendline(answer)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == (0 if gone else 1)
    assert converted.exists() is not gone
