"""The text of a state while it is edited: kept until it is right, with what is wrong with it at its top."""

import os
import shlex
import subprocess
from contextlib import suppress
from pathlib import Path

from scene.errors import InputError
from scene.files import replace_file
from scene.text import one_line

FAULT = "# Not right yet: "
"""How the lines begin that say what is wrong; other comments are the user's own."""


class Draft:
    """A file that a person edits."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def exists(self) -> bool:
        """Whether a text was begun and is not done with."""
        return self._path.exists()

    def edited(self, fresh: str) -> str:
        """The text as the user's editor leaves it, which starts from a fresh one when none is kept.

        Raises:
            InputError: The editor failed, or what it left is no text. What the user wrote is kept.
            OSError: It can't be written or read.
        """
        if not self.exists():
            replace_file(self._path, fresh)
        fault = _edit(self._path)
        try:
            text = self._path.read_text(encoding="utf-8-sig")
        except FileNotFoundError as error:
            raise InputError(fault or "The editor left no file, so nothing was changed.") from error
        except UnicodeDecodeError as error:
            raise InputError(f"This is not UTF-8 ({error.reason} at byte {error.start:,}).") from error
        if fault:
            if text == fresh:
                self.drop()
            raise InputError(fault)
        return "\n".join(line for line in text.split("\n") if not line.startswith(FAULT))

    def keep(self, text: str, fault: str) -> None:
        """Keep a text that is not right yet, with what is wrong at its top if the disk has room for it."""
        with suppress(OSError):
            replace_file(self._path, f"{FAULT}{one_line(fault)}\n{text}")

    def drop(self) -> None:
        """Be done with it."""
        self._path.unlink(missing_ok=True)


def _edit(path: Path) -> str:
    """Let the user's editor change a file; what went wrong, or empty."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        code = subprocess.run([*shlex.split(editor), str(path)], check=False).returncode
    except (OSError, ValueError) as error:
        return f"{editor} can't be started ({error}); set EDITOR to one that can."
    return f"{editor} ended with exit code {code}." if code else ""
