"""The cache folder on disk: where it is, locks, folders made whole, checksums that are computed once."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from errno import EACCES, EDQUOT, EEXIST, EISDIR, ENAMETOOLONG, ENOSPC, ENOTDIR, EPERM, EROFS
from pathlib import Path

import platformdirs

from inference import environment
from scene import files
from scene.errors import ModelLoadError

PARTIAL = ".partial"
"""Ending of a folder that is being made, or that whoever made it did not finish."""

_UNUSABLE = {EROFS, EACCES, EPERM, ENOTDIR, EEXIST, EISDIR, ENAMETOOLONG}


def cache_folder() -> Path:
    """Folder for everything that can be fetched or computed again; it need not exist.

    `MONOPOLYLOGUE_CACHE` beats the user's cache folder.
    """
    return environment.folder("CACHE", platformdirs.user_cache_dir("monopolylogue", appauthor=False))


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Make `folder` and work in it.

    Raises:
        ModelLoadError: The folder can't be made or written, or the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except Exception as error:  # of a full disk each library says so by a type of its own
        if is_full(error):
            raise no_room(folder) from error
        if isinstance(error, OSError) and error.errno in _UNUSABLE:
            raise ModelLoadError(
                f"The cache folder {folder} can't be written ({error.strerror}); "
                "set MONOPOLYLOGUE_CACHE to a folder that can."
            ) from error
        raise


def is_full(error: Exception) -> bool:
    """Whether an error of Python, safetensors, tokenizers or torch's writer says that a disk is full."""
    if isinstance(error, OSError):
        return error.errno in (ENOSPC, EDQUOT)
    text = str(error)  # these have no error numbers, only words
    return "No space left" in text or "os error 28" in text or "PytorchStreamWriter" in text


def no_room(folder: Path) -> ModelLoadError:
    """The error for a full disk."""
    return ModelLoadError(
        f"The disk that holds the cache folder {folder} is full; free some space, "
        "or set MONOPOLYLOGUE_CACHE to a folder on another disk."
    )


def remove(path: Path) -> None:
    """Take a folder or file of the cache away; what is left of it meanwhile is not taken for whole.

    The caller holds its lock.
    """
    if path.is_dir():
        leftover = path.with_name(path.name.removesuffix(PARTIAL) + PARTIAL)
        if leftover != path:
            if leftover.exists():
                shutil.rmtree(leftover)
            files.put_in_place(path, leftover)
        shutil.rmtree(leftover)
    else:
        path.unlink(missing_ok=True)


def locked(path: Path) -> AbstractContextManager[None]:
    """Be the only process that makes `path`; wait as long as another one does. See `scene.files.lock`."""
    return files.locked(path.with_name(path.name + ".lock"))


def made_once(target: Path, marker: str, make: Callable[[Path], Mapping[str, object]]) -> Path:
    """A folder of the cache. One that is not finished is made anew: filled, then marked with what it is of.

    Raises:
        ModelLoadError: The cache folder can't be written.
    """
    if marked(target, marker) is None:
        with writing(target.parent), locked(target):
            if marked(target, marker) is None:
                fresh = target.with_name(target.name + PARTIAL)
                for leftover in (fresh, target):
                    if leftover.exists():
                        shutil.rmtree(leftover)
                fresh.mkdir()
                files.replace_file(fresh / marker, json.dumps(make(fresh), indent=2))
                files.put_in_place(fresh, target)
    return target


def marked(folder: Path, marker: str, *keys: str) -> list[str] | None:
    """What the marker of a finished folder says under some keys; None where it is not finished."""
    if folder.suffix == PARTIAL:
        return None
    try:
        said = json.loads((folder / marker).read_text(encoding="utf-8"))
        return [str(said[key]) for key in keys]
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def noted_sha256(path: Path, note: Path) -> str | None:
    """The checksum that `note` keeps for `path`; None when there is none or the file changed since."""
    try:
        kept = json.loads(note.read_text(encoding="utf-8"))
        state = path.stat()
        if (kept["size"], kept["mtime"]) == (state.st_size, int(state.st_mtime)):
            return str(kept["sha256"])
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        pass
    return None


def note_sha256(path: Path, note: Path, sha256: str) -> None:
    """Keep a checksum beside the size and time that tell whether it still holds.

    Whole seconds, since copies and container images drop the rest.
    """
    state = path.stat()
    kept = {"sha256": sha256, "size": state.st_size, "mtime": int(state.st_mtime)}
    files.replace_file(note, json.dumps(kept))


def content_digest(path: Path) -> str:
    """SHA-256 of any file, remembered in the cache so that a large model is not read at each start.

    Raises:
        ModelLoadError: The cache folder can't be written.
    """
    folder = cache_folder() / "digests"
    key = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()
    note = folder / f"{key}.json"
    known = noted_sha256(path, note)
    if known is None:
        known = sha256_of(path)
        with writing(folder):
            note_sha256(path, note, known)
    return known
