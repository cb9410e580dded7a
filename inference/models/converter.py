"""The program that converts models to OpenVINO IR, in an environment of its own.

optimum-intel wants an older transformers than ours, so the two can't live side by side. The environment is
made once, in the cache folder, from the exact versions in `converter-pins.txt`.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import venv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from inference.environment import setting
from inference.models import wheels
from inference.models.cache import PARTIAL, cache_folder, locked, no_room, writing
from scene.errors import InputError, ModelLoadError
from scene.files import put_in_place

PINS = Path(__file__).with_name("converter-pins.txt")
"""Exact versions, as pip reads constraints."""

WANTED = ("torch", "optimum-intel", "nncf", "openvino", "openvino-tokenizers")
"""What is asked for; the rest of the pins follows from it."""

UNWANTED = ("torchvision", "openvino-telemetry")
"""What comes along and goes again: not needed for text, and a reporter of use."""

FOLDER, PREFIX = "tools", "optimum-"
"""Folder within the cache, and how the names in it begin."""

_READY = "ready"


def converter_python(
    cache_dir: Path | None, pip_flags: str | None, on_progress: Callable[[int, int], None]
) -> Path:
    """Python of the converter's environment, which is made if it is not there yet.

    A second process waits for the first. What an interruption leaves is removed by the next call; what pip
    had downloaded by then is in pip's own cache.

    Args:
        cache_dir: Beats `MONOPOLYLOGUE_CACHE`, which beats the user's cache folder.
        pip_flags: Further flags for pip; beats `MONOPOLYLOGUE_PIP_FLAGS`.
        on_progress: Called with packages collected and packages in all.

    Raises:
        ModelLoadError: pip failed, or the cache folder can't be written.
        InputError: The flags can't be split into words.
    """
    flags = _words(setting("PIP_FLAGS", pip_flags, ""))
    pins = PINS.read_text(encoding="utf-8")
    digest = hashlib.sha256(f"{sys.version_info[:2]}\n{pins}".encode()).hexdigest()
    root = cache_folder(cache_dir) / FOLDER
    target = root / f"{PREFIX}{digest[:12]}"
    python = target / "bin" / "python"
    if _is_ready(target):
        return python
    with writing(root), locked(target):
        if not _is_ready(target):
            fresh = target.with_name(target.name + PARTIAL)
            for leftover in (fresh, target):
                if leftover.exists():
                    shutil.rmtree(leftover)
            _install(fresh, flags, pins.count("=="), on_progress)
            (fresh / _READY).touch()
            put_in_place(fresh, target)  # an environment may be moved as long as none of its scripts is used
    return python


def run_logged(
    command: Sequence[str],
    log: Path,
    *,
    environment: Mapping[str, str],
    on_line: Callable[[str], None] = lambda line: None,
) -> int:
    """Run a program to its end and keep what it says; its exit status.

    Ctrl-C here ends it and all that it started. It can't outlive this process by more than a line either,
    since nobody reads what it says then.
    """
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            text=True,
            errors="replace",
            start_new_session=True,
        )
        assert process.stdout is not None
        try:
            with process.stdout:
                for line in process.stdout:
                    file.write(line)
                    on_line(line)
            return process.wait()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def failure(what: str, log: Path, cause: str) -> ModelLoadError:
    """The error for a program that failed, which may have told of a full disk."""
    said = [line.strip() for line in log.read_text(encoding="utf-8").split("\n") if line.strip()]
    if any("No space left on device" in line for line in said):
        return no_room(log.parent)
    reason = next((line.partition(cause)[2] for line in reversed(said) if cause in line), "")
    reason = reason.strip() or (said[-1] if said else "it said nothing")
    return ModelLoadError(f"{what} ({reason[:300].rstrip('.')}); {log} has all that it said.")


def _is_ready(target: Path) -> bool:
    """Whether the environment was made to its end and the Python it rests on is still there."""
    return (target / _READY).is_file() and (target / "bin" / "python").exists()


def _install(
    fresh: Path, flags: Sequence[str], packages: int, on_progress: Callable[[int, int], None]
) -> None:
    """Make the environment. Our pip installs into it, so it needs none of its own."""
    on_progress(0, packages)
    venv.create(fresh, with_pip=False, symlinks=True)
    (fresh / "tmp").mkdir()
    log = fresh.with_suffix(".log")
    quiet = ("--no-input", "--disable-pip-version-check")
    pip = (*wheels.PIP, "--python", str(fresh / "bin" / "python"))
    collected = 0

    def on_line(line: str) -> None:
        nonlocal collected
        if line.startswith("Collecting "):
            collected = min(collected + 1, packages)
            on_progress(collected, packages)

    steps = (
        ("install", *quiet, "--progress-bar=off", *flags, "-c", str(PINS), *WANTED),
        ("uninstall", *quiet, "--yes", *UNWANTED),
    )
    for step in steps:
        # pip unpacks into its temporary folder first: keep that on the cache's own disk.
        if run_logged([*pip, *step], log, environment={"TMPDIR": str(fresh / "tmp")}, on_line=on_line):
            raise failure("Setting up the converter failed", log, "ERROR: ")
    shutil.rmtree(fresh / "tmp")
    log.unlink()
    on_progress(packages, packages)


def _words(flags: str) -> list[str]:
    try:
        return shlex.split(flags)
    except ValueError as error:
        raise InputError(f"The flags for pip can't be split into words ({error}): {flags!r}.") from error
