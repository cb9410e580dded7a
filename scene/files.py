"""Files that are replaced whole or not at all, files that only grow, and locks.

What a file system can't do is left out, and what is written there is saved all the same: exFAT knows no
permissions, and many that are mounted over FUSE or SMB no locks, no renaming or no fsync of a folder.
"""

import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY = ".monopolylogue-"
"""How the names of files begin that are not finished yet."""

UNSUPPORTED = {errno.EPERM, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""What file systems say when asked for what they can't do."""


def replace_file(target: Path, content: str | bytes) -> None:
    """Write a file atomically and durably; an existing one is replaced and keeps its permissions.

    Raises:
        OSError: It can't be written. What was there before is still there.
    """
    handle, fresh = tempfile.mkstemp(dir=target.parent, prefix=TEMPORARY)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            with _where_supported():
                os.fchmod(file.fileno(), _mode(target))
            sync(file.fileno())
        put_in_place(Path(fresh), target)
    except BaseException:
        Path(fresh).unlink(missing_ok=True)
        raise
    with _where_supported():
        sync_folder(target.parent)


def put_in_place(fresh: Path, target: Path) -> None:
    """Give a file or folder its name, whole or not at all; a file that had the name is replaced.

    Where it can't be renamed it is copied, and a crash meanwhile leaves a part of it.

    Raises:
        OSError: It can't be put there.
    """
    try:
        os.replace(fresh, target)
    except OSError as error:
        if error.errno not in UNSUPPORTED | {errno.EXDEV}:
            raise
        _copy(fresh, target)
        if fresh.is_dir():
            shutil.rmtree(fresh)
        else:
            fresh.unlink()


def append_lines(handle: int, lines: Iterable[str]) -> int:
    """Add lines to a file that is open for appending, durably, or leave it as it was; the bytes added.

    Raises:
        OSError: They can't be written.
    """
    added = "".join(f"{line}\n" for line in lines).encode()
    before, data = os.fstat(handle).st_size, memoryview(added)
    try:
        while data:
            data = data[os.write(handle, data) :]
        sync(handle)
    except BaseException:
        os.ftruncate(handle, before)
        raise
    return len(added)


def sync(handle: int) -> None:
    """Make what was written survive a power cut, where the file system can be asked to."""
    with _where_supported():
        os.fsync(handle)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        sync(handle)
    finally:
        os.close(handle)


def lock(path: Path, *, wait: bool = False) -> int:
    """Be the only process that holds a file, until the handle is closed or the process ends, however it ends.

    The file stays, since removing it would race. Where it can't be locked, one in the system's folder for
    temporary files is, which keeps out whatever else this user runs on this machine.

    Raises:
        BlockingIOError: Another process holds it.
        OSError: It can't be made.
    """
    key = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]
    elsewhere = Path(tempfile.gettempdir()) / f"monopolylogue-{os.getuid()}-{key}.lock"
    how = fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB)
    for place in (path, elsewhere):
        handle = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            with _where_supported():
                fcntl.flock(handle, how)
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
    return os.open(path, os.O_RDWR | os.O_CLOEXEC)  # nothing here can be locked


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only process that holds a file meanwhile; wait as long as another one does."""
    handle = lock(path, wait=True)
    try:
        yield
    finally:
        os.close(handle)


@contextmanager
def _where_supported() -> Iterator[None]:
    """Go on without what the file system can't do."""
    try:
        yield
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise


def _copy(source: Path, target: Path) -> None:
    """Copy a file or folder without its times, which may not be kept there either."""
    if source.is_dir():
        target.mkdir(exist_ok=True)
        for entry in source.iterdir():
            _copy(entry, target / entry.name)
    else:
        shutil.copyfile(source, target)
        with _where_supported():
            shutil.copymode(source, target)


def _mode(target: Path) -> int:
    """Permissions of the file that is replaced, or those of a new file."""
    try:
        return target.stat().st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
