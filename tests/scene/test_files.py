"""What is written where a file system lacks something, and that locks keep others out all the same."""

import errno
import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from scene.files import append_lines, lock, locked, put_in_place, replace_file

LACKS = [errno.EPERM, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP]


@pytest.fixture(params=LACKS, ids=errno.errorcode.get)
def lacking(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> int:
    """A file system that knows no permissions, no fsync, no renaming and no locks."""

    def lack(*arguments: object, **options: object) -> None:
        raise OSError(request.param, os.strerror(request.param))

    for name in ("chmod", "fchmod", "fsync", "replace", "rename"):
        monkeypatch.setattr(os, name, lack)
    monkeypatch.setattr(fcntl, "flock", lack)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("elsewhere")))
    return request.param


@pytest.mark.usefixtures("lacking")
def test_all_is_written_where_a_file_system_lacks_it(tmp_path: Path) -> None:
    for text in ("one", "two"):
        replace_file(tmp_path / "file", text)
        assert (tmp_path / "file").read_text() == text
    fresh = tmp_path / "fresh"
    (fresh / "inner").mkdir(parents=True)
    (fresh / "inner" / "file").write_text("three")
    put_in_place(fresh, tmp_path / "folder")
    assert (tmp_path / "folder" / "inner" / "file").read_text() == "three"
    handle = os.open(tmp_path / "lines", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    assert append_lines(handle, ["four"]) == 5
    os.close(handle)
    with locked(tmp_path / "lock"):
        assert {path.name for path in tmp_path.iterdir()} == {"file", "folder", "lines", "lock"}


@pytest.mark.parametrize("call", ["fsync", "replace", "fchmod"])
def test_what_a_disk_fails_at_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    (tmp_path / "file").write_text("before")
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="Input/output error"):
        replace_file(tmp_path / "file", "after")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


def test_a_file_keeps_its_permissions(tmp_path: Path) -> None:
    replace_file(tmp_path / "file", "one")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~_umask()
    (tmp_path / "file").chmod(0o640)
    replace_file(tmp_path / "file", "two")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_lock_is_held_by_one_and_ends_with_it(tmp_path: Path) -> None:
    held = lock(tmp_path / "lock")
    with pytest.raises(BlockingIOError):
        lock(tmp_path / "lock")
    os.close(held)
    program = "import pathlib, sys; from scene.files import lock; lock(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "lock")], check=True)
    os.close(lock(tmp_path / "lock"))


def test_where_a_file_cannot_be_locked_this_machine_s_others_are_kept_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    there = tmp_path / "mounted"
    there.mkdir()
    flock = fcntl.flock

    def lack(handle: int, how: int) -> None:
        if Path(f"/proc/self/fd/{handle}").resolve().parent == there:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        flock(handle, how)

    monkeypatch.setattr(fcntl, "flock", lack)
    held = lock(there / "lock")
    with pytest.raises(BlockingIOError):
        lock(there / "lock")
    os.close(held)
    os.close(lock(there / "lock"))


def test_a_folder_that_cannot_be_written_is_no_lack(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        lock(tmp_path / "nowhere" / "lock")
