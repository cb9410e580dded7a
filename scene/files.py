"""Files that are replaced whole or not at all, and files that only grow."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

TEMPORARY = ".monopolylogue-"
"""How the names of files begin that are not finished yet."""


def replace_file(target: Path, text: str) -> None:
    """Write a file atomically and durably; an existing one is replaced and keeps its permissions.

    Raises:
        OSError: It can't be written. What was there before is still there.
    """
    handle, fresh = tempfile.mkstemp(dir=target.parent, prefix=TEMPORARY)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), _mode(target))
            os.fsync(file.fileno())
        os.replace(fresh, target)
    except BaseException:
        Path(fresh).unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def append_lines(handle: int, lines: Iterable[str]) -> int:
    """Add lines to a file that is open for appending, durably; when that fails, the file is left as it was.

    Returns:
        The bytes added.

    Raises:
        OSError: They can't be written.
    """
    added = "".join(f"{line}\n" for line in lines).encode()
    before, data = os.fstat(handle).st_size, memoryview(added)
    try:
        while data:
            data = data[os.write(handle, data) :]
        os.fsync(handle)
    except BaseException:
        os.ftruncate(handle, before)
        raise
    return len(added)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _mode(target: Path) -> int:
    """Permissions of the file that is replaced, or those of a new file."""
    try:
        return target.stat().st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
