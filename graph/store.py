"""The writing side of an export's folder: what was finished is never lost, and nothing is written twice.

Only one process writes, held to that by a lock that the system lets go of when the process ends, however
it ends. A scene counts as finished once its line is on the disk.
"""

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self

from scene.errors import ExportError
from scene.export import FAILURES, MANIFEST, SCENES, Contents, Counts, Failure, Manifest, read_manifest
from scene.files import TEMPORARY, append_lines, lock, replace_file
from scene.record import SceneRecord

LOCK = ".lock"

MANIFEST_SECONDS = 10
"""How often the manifest's counts are brought up to date while scenes are played."""

Outcome = SceneRecord | Failure


class ExportStore:
    """An export's folder, locked for this process from opening to closing.

    Opening drops the torn last line that a killed export may have left. `begin` comes next, then any number
    of `keep`, from one event loop.

    Raises:
        ExportError: Another process exports into it, it can't be written to, or it holds something damaged.

    Attributes:
        manifest: What the export is, or None in a new folder.
        contents: What was in the folder when it was opened, brought up to date with every line written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest: Manifest | None = None
        self._waiting: deque[Outcome] = deque()
        self._writing = threading.Lock()
        self._files: dict[str, int] = {}
        self._broken: ExportError | None = None
        self._closed = False
        self._hours = 0.0
        self._begun = self._manifest_at = time.monotonic()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = lock(folder / LOCK)
        except BlockingIOError as error:
            raise ExportError(
                f"Another process is exporting into {folder}; wait until it ends, or give another --out."
            ) from error
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            self.contents = self._read()
        except BaseException:
            os.close(self._lock)
            raise

    def begin(self, manifest: Manifest) -> None:
        """Write the manifest, its counts, totals and times filled in; from here on rows may be kept.

        Raises:
            ExportError: It can't be written.
        """
        if self.manifest is not None:
            self._hours = self.manifest.totals.hours
            manifest = manifest.model_copy(update={"started": self.manifest.started})
        self.manifest = manifest
        self._begun = time.monotonic()
        with self._writing:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            with self._told():
                for name in (SCENES, FAILURES):
                    self._files[name] = os.open(self.folder / name, flags, 0o666)
            self._write_manifest("running")

    async def keep(self, outcome: Outcome) -> None:
        """Return once a record or failure is on the disk. What others hand in meanwhile is written with it.

        Raises:
            ExportError: It can't be written; nothing more will be, and what was finished stays.
        """
        self._waiting.append(outcome)
        await asyncio.to_thread(self._commit)

    def close(self) -> None:
        """Write what still waits and the last counts, and let go of the folder. Once more does nothing.

        A folder for which `begin` was never called is left as it was.

        Raises:
            ExportError: That can't be written.
        """
        if self._closed:
            return
        self._closed = True
        try:
            if self._files and self._broken is None:
                self._commit()
                with self._writing:
                    if self.contents.superseded:
                        self._rewrite_failures()
                    self._write_manifest("finished" if self.counts().pending == 0 else "stopped")
        finally:
            for handle in self._files.values():
                os.close(handle)
            self._files = {}
            os.close(self._lock)

    def counts(self) -> Counts:
        """Where the questions stand."""
        assert self.manifest is not None
        questions = self.manifest.counts.questions
        done, failed = len(self.contents.done), len(self.contents.failed)
        return Counts(
            questions=questions,
            done=done,
            failed=failed,
            pending=questions - done - failed,
            replays_failed=self.contents.replays_failed,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> Contents:
        """What is in the folder, once the leftovers of a killed export are gone from it."""
        contents = Contents.read(self.folder)
        if (self.folder / MANIFEST).exists():
            self.manifest = read_manifest(self.folder)
        elif contents.done or contents.failed:
            raise ExportError(
                f"{self.folder} holds scenes but no {MANIFEST}; put it back, or give another --out."
            )
        with self._told():
            for leftover in self.folder.glob(f"{TEMPORARY}*"):
                leftover.unlink()
            for name in contents.torn:
                os.truncate(self.folder / name, contents.sizes[name])
        return contents

    def _commit(self) -> None:
        """Write all that waits, unless another thread has done so. Runs in any thread."""
        with self._writing:
            if self._broken is not None:
                raise self._broken
            batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if not batch:
                return
            records = [outcome for outcome in batch if isinstance(outcome, SceneRecord)]
            failures = [outcome for outcome in batch if isinstance(outcome, Failure)]
            self._expect({outcome.id for outcome in batch})
            with self._told():
                self._append(SCENES, [record.to_json() for record in records])
                for record in records:
                    self.contents.add(record)
                self._append(FAILURES, [failure.model_dump_json() for failure in failures])
                for failure in failures:
                    self.contents.superseded |= failure.id in self.contents.failed
                    self.contents.failed[failure.id] = failure
            if time.monotonic() - self._manifest_at > MANIFEST_SECONDS:
                self._write_manifest("running")

    def _expect(self, ids: set[str]) -> None:
        """Count questions that were not known before, as a server's are not; the manifest has them first."""
        counts = self.counts()
        if (more := len(ids - self.contents.done - self.contents.failed.keys()) - counts.pending) > 0:
            grown = {"questions": counts.questions + more, "pending": counts.pending + more}
            assert self.manifest is not None
            self.manifest = self.manifest.model_copy(update={"counts": counts.model_copy(update=grown)})
            self._write_manifest("running")

    def _append(self, name: str, lines: list[str]) -> None:
        if lines:
            self.contents.sizes[name] += append_lines(self._files[name], lines)

    def _rewrite_failures(self) -> None:
        lines = [f"{failure.model_dump_json()}\n" for failure in self.contents.failed.values()]
        with self._told():
            replace_file(self.folder / FAILURES, "".join(lines))
        self.contents.superseded = False

    def _write_manifest(self, state: Literal["running", "stopped", "finished"]) -> None:
        assert self.manifest is not None
        self._manifest_at = time.monotonic()
        hours = self._hours + (self._manifest_at - self._begun) / 3600
        self.manifest = self.manifest.model_copy(
            update={
                "state": state,
                "counts": self.counts(),
                "totals": self.contents.totals.model_copy(update={"hours": round(hours, 6)}),
                "updated": datetime.now(UTC),
            }
        )
        with self._told():
            replace_file(self.folder / MANIFEST, self.manifest.model_dump_json(indent=2) + "\n")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say in a sentence that something can't be written; nothing more will be."""
        try:
            yield
        except OSError as error:
            self._broken = self._unwritable(error)
            raise self._broken from error

    def _unwritable(self, error: OSError) -> ExportError:
        return ExportError(
            f"{self.folder} can't be written to ({error.strerror}); every finished scene in it is kept: free "
            "some space or mend what is wrong, and run the same command again."
        )
