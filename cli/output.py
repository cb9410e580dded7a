"""Where results go: a file that is replaced whole or not at all, and a standard output that is kept clean."""

import codecs
import ctypes
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from scene.errors import InputError
from scene.files import TEMPORARY, replace_file
from scene.text import escaped


def check_writable(path: Path, option: str = "--out", *, sources: Iterable[Path] = ()) -> None:
    """Find out now whether `save` will work, rather than after minutes of work; `option` is named if not.

    Raises:
        InputError: It won't, or would replace one of the sources or a file of an export or data set.
    """
    try:
        target = path.resolve()
        if target.is_dir():
            raise InputError(f"{path} is a folder; give {option} the name of a file.")
        if target.exists() and not target.is_file():
            raise InputError(f"{path} is not a regular file; give {option} the name of a file.")
        kept = target.suffix in (".json", ".jsonl") and (target.parent / "manifest.json").is_file()
        if target.exists() and (kept or target in {one.resolve() for one in sources}):
            raise InputError(
                f"{path} would be lost, and it is read or was exported; give {option} another name."
            )
        if target.exists() and not os.access(target, os.W_OK):
            raise InputError(f"{path} is read-only; give {option} another name.")
        handle, probe = tempfile.mkstemp(dir=target.parent, prefix=TEMPORARY)
        os.close(handle)
        os.unlink(probe)
    except OSError as error:
        raise _unwritable(path, error, option) from error


def save(path: Path, text: str, option: str = "--out") -> None:
    """Write a file atomically and durably; an existing one is replaced and keeps its permissions.

    Raises:
        InputError: It can't be written. What was there before is still there.
    """
    try:
        replace_file(path.resolve(), text)
    except OSError as error:
        raise _unwritable(path, error, option) from error


def _unwritable(path: Path, error: OSError, option: str) -> InputError:
    return InputError(
        f"{path} can't be written ({error.strerror}); give {option} a file in a folder that can."
    )


def open_standard_streams() -> None:
    """Put the null device where standard input, output or error are closed.

    The next files opened would take their places otherwise, and what a library prints would end up in them.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))


@contextmanager
def quiet_stdout() -> Iterator[None]:
    """Send to standard error whatever anybody prints on standard output meanwhile.

    The C++ libraries under the engines print to the file descriptor, past `sys.stdout`, so that is moved as
    well, and what they have buffered is flushed before it is put back.
    """
    sys.stdout.flush()
    own = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        ctypes.CDLL(None).fflush(None)
        os.dup2(own, 1)
        os.close(own)


def print_json(value: object) -> None:
    """Plain data as one line of JSON on standard output; see `print_line`."""
    print_line(json.dumps(value, ensure_ascii=False))


def print_line(json_text: str) -> None:
    """One line of JSON on standard output; where that is not UTF-8, ASCII with escapes says the same.

    Where it is read by a terminal, no text in it acts there.
    """
    utf8 = codecs.lookup(sys.stdout.encoding or "utf-8").name == "utf-8"
    sys.stdout.flush()
    sys.stdout.buffer.write(escaped(json_text, ascii_only=not utf8).encode() + b"\n")
    sys.stdout.buffer.flush()
