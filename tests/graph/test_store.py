"""The store: whatever happens between two lines, what was kept is there once and no more than once."""

import asyncio
import errno
import fcntl
import json
import os
import resource
import shutil
import tempfile
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from graph.store import ExportStore
from scene.errors import ExportError
from scene.export import FAILURES, MANIFEST, SCENES, Export
from scene.files import TEMPORARY
from tests.exported import failure, key, manifest, record

QUESTIONS = 6


def begun(folder: Path, questions: int = QUESTIONS) -> ExportStore:
    store = ExportStore(folder)
    store.begin(manifest(questions))
    return store


def keep(store: ExportStore, *outcomes) -> None:
    async def all_at_once() -> None:
        await asyncio.gather(*map(store.keep, outcomes))

    asyncio.run(all_at_once())


def rows(folder: Path, name: str) -> list[dict]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def test_kept_once_and_counted(tmp_path):
    with begun(tmp_path) as store:
        keep(store, record(1), failure(2), record(3))
        assert (store.counts().done, store.counts().failed, store.counts().pending) == (2, 1, 3)
    export = Export(tmp_path)
    assert export.manifest.state == "stopped"
    assert export.manifest.counts.done == 2
    assert sorted(scene.id for scene in export.scenes()) == [key(1), key(3)]
    assert export.failures() == [failure(2)]
    assert export.manifest.totals.calls == 2 * sum(cost.calls for cost in record(1).cost.values())


def test_finished_once_nothing_is_pending(tmp_path):
    with begun(tmp_path, 2) as store:
        keep(store, record(1), failure(2))
    assert Export(tmp_path).manifest.state == "finished"


def test_on_the_disk_when_keep_returns(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("graph.store.os.fsync", lambda handle: synced.append(os.fstat(handle).st_size))
    with begun(tmp_path) as store:
        keep(store, record(1))
        assert synced[-1] == (tmp_path / SCENES).stat().st_size


def test_on_a_file_system_that_knows_next_to_nothing(tmp_path, monkeypatch):
    def lack(*arguments):
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    for module, name in ((os, "fsync"), (os, "fchmod"), (os, "replace"), (fcntl, "flock")):
        monkeypatch.setattr(module, name, lack)
    for number in (1, 2):
        with begun(tmp_path, 2) as store:
            keep(store, record(number))
    assert {row["id"] for row in rows(tmp_path, SCENES)} == {key(1), key(2)}
    assert Export(tmp_path).manifest.state == "finished"


def test_what_waits_when_the_loop_ends_is_written_in_closing(tmp_path):
    async def cancelled(store: ExportStore) -> None:
        tasks = [asyncio.create_task(store.keep(record(number))) for number in range(50)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    with begun(tmp_path, 50) as store:
        asyncio.run(cancelled(store))
    assert len(list(Export(tmp_path).scenes())) == 50


def test_one_process_at_a_time(tmp_path):
    with ExportStore(tmp_path), pytest.raises(ExportError, match="Another process is exporting into"):
        ExportStore(tmp_path)
    ExportStore(tmp_path).close()


def test_goes_on_where_it_stopped(tmp_path):
    with begun(tmp_path) as store:
        keep(store, record(1))
    started = store.manifest.started
    with ExportStore(tmp_path) as store:
        assert store.contents.done == {key(1)}
        store.begin(manifest(QUESTIONS + 1, started=None))
        keep(store, record(2))
    after = Export(tmp_path).manifest
    assert (after.started, after.counts.questions, after.counts.done) == (started, QUESTIONS + 1, 2)
    assert after.totals.hours >= 0


def test_folder_that_was_not_begun_is_left_as_it_was(tmp_path):
    with begun(tmp_path) as store:
        keep(store, record(1))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    ExportStore(tmp_path).close()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_leftovers_are_removed(tmp_path):
    with begun(tmp_path) as store:
        keep(store, record(1))
    (tmp_path / f"{TEMPORARY}x").write_text("half a manifest")
    with (tmp_path / SCENES).open("a") as file:
        file.write('{"schema')
    with begun(tmp_path) as store:
        assert store.contents.torn == [SCENES]
        keep(store, record(2))
    assert [row["id"] for row in rows(tmp_path, SCENES)] == [key(1), key(2)]
    assert not list(tmp_path.glob(f"{TEMPORARY}*"))


def test_scenes_without_a_manifest_are_not_gone_on_with(tmp_path):
    with begun(tmp_path) as store:
        keep(store, record(1))
    (tmp_path / MANIFEST).unlink()
    for _ in range(2):  # the lock is let go of
        with pytest.raises(ExportError, match=r"holds scenes but no manifest\.json"):
            ExportStore(tmp_path)


def test_a_failure_made_good_leaves_the_file(tmp_path):
    with begun(tmp_path) as store:
        keep(store, failure(1), failure(2))
    with begun(tmp_path) as store:
        keep(store, record(1), failure(2, attempt=1))
    assert rows(tmp_path, FAILURES) == [json.loads(failure(2, attempt=1).model_dump_json())]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError(5, "Input/output error")])
@pytest.mark.parametrize("call", ["write", "fsync"])
def test_failed_write_leaves_whole_lines(tmp_path, monkeypatch, error, call):
    real_write = os.write

    def fail(handle, *data):
        if data:  # half of it fits
            real_write(handle, data[0][: len(data[0]) // 2])
        raise error

    with begun(tmp_path) as store:
        keep(store, record(1))
        before = (tmp_path / SCENES).read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr(f"graph.store.os.{call}", fail)
            with pytest.raises(ExportError, match=error.strerror):
                keep(store, record(2))
        assert (tmp_path / SCENES).read_bytes() == before
        with pytest.raises(ExportError, match=error.strerror):  # nothing more is accepted
            keep(store, record(3))
    with begun(tmp_path) as store:
        assert store.contents.done == {key(1)}
        keep(store, record(2), record(3))
    assert {row["id"] for row in rows(tmp_path, SCENES)} == {key(1), key(2), key(3)}


class Failing:
    """Lets one call of all that the store makes of the system fail, once."""

    def __init__(self, which: int, monkeypatch) -> None:
        self._left = which
        self.failed = False
        for name in ("open", "write", "fsync", "replace"):
            monkeypatch.setattr(os, name, self._standing_in(getattr(os, name)))

    def _standing_in(self, real):
        def call(*arguments, **options):
            self._left -= 1
            if self._left == -1:
                self.failed = True
                raise OSError(28, "No space left on device")
            return real(*arguments, **options)

        return call


def complaint_of(folder: Path, kept: set[str]) -> str:
    """Go on with an export: two rows, and a failure once more. What it complains of in the end."""
    try:
        with ExportStore(folder) as store:
            store.begin(manifest(QUESTIONS))
            for number in (2, 4):
                keep(store, record(number))
                kept.add(key(number))
            keep(store, failure(3, attempt=1))
    except ExportError as error:
        return str(error)
    return ""


def test_every_call_that_may_fail_does_once(tmp_path, monkeypatch):
    """In opening, beginning, keeping rows and failures, in the manifest, in closing: nothing is lost."""
    monkeypatch.setattr("graph.store.MANIFEST_SECONDS", -1)  # the manifest is written with every row
    for which in count():
        folder, kept = tmp_path / str(which), {key(1)}
        with begun(folder) as store:
            keep(store, record(1), failure(2), failure(3))
        with monkeypatch.context() as patch:
            failing = Failing(which, patch)
            said = complaint_of(folder, kept)
        assert ("No space left on device" in said) == failing.failed
        whole = (folder / SCENES).read_bytes()
        assert kept <= {scene.id for scene in Export(folder).scenes()}
        with begun(folder) as store:
            assert (folder / SCENES).read_bytes() == whole
            done = store.contents.done
            keep(store, *(record(number) for number in range(QUESTIONS) if key(number) not in done))
        assert sorted(row["id"] for row in rows(folder, SCENES)) == sorted(map(key, range(QUESTIONS)))
        assert rows(folder, FAILURES) == []
        assert Export(folder).manifest.state == "finished"
        if not failing.failed:
            break
    assert which > 20


def fill(path: Path) -> None:
    """Leave not one byte of a file system."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)


def test_full_disk_leaves_the_last_manifest(tmp_path, small_disk):
    folder = tmp_path / "disk"
    small_disk(folder, "1m")
    store = begun(folder)
    keep(store, record(1))
    before = (folder / MANIFEST).read_bytes()
    fill(folder / "ballast")
    with pytest.raises(ExportError, match="No space left on device"):
        store.close()
    assert (folder / MANIFEST).read_bytes() == before
    assert [scene.id for scene in Export(folder).scenes()] == [key(1)]
    (folder / "ballast").unlink()
    with begun(folder) as store:
        keep(store, record(2))
    assert Export(folder).manifest.counts.done == 2


def test_file_size_limit(tmp_path):
    """A quota, as near as a test can come without a file system of its own."""
    size = len(record(1).model_dump_json()) + 1
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * size + 100, hard))
    try:
        with begun(tmp_path, 9) as store:
            keep(store, record(0))
            keep(store, record(1))
            with pytest.raises(ExportError, match="File too large"):
                keep(store, record(2))
            assert len(store.contents.done) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [scene.id for scene in Export(tmp_path).scenes()] == [key(0), key(1)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ExportError, match="Permission denied"):
        ExportStore(tmp_path)


def test_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="File exists"):
        ExportStore(tmp_path / "file")


class Exporting(RuleBasedStateMachine):
    """Any order of keeping, crashing in mid-line, stopping and going on, against a set and a dictionary.

    A crash is a copy of the folder as it stands, which is what a killed process leaves behind.
    """

    def __init__(self):
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.life = 0
        self.done: set[str] = set()
        self.failed: dict[str, int] = {}
        self.store = begun(self.folder)

    @property
    def folder(self) -> Path:
        return self.home / str(self.life)

    @rule(numbers=st.sets(st.integers(0, QUESTIONS - 1), max_size=3))
    def finish(self, numbers):
        fresh = [number for number in numbers if key(number) not in self.done]
        keep(self.store, *map(record, fresh))
        for number in fresh:
            self.done.add(key(number))
            self.failed.pop(key(number), None)

    @rule(number=st.integers(0, QUESTIONS - 1))
    def fail(self, number):
        if key(number) not in self.done:
            attempt = self.failed.get(key(number), -1) + 1
            keep(self.store, failure(number, attempt))
            self.failed[key(number)] = attempt

    @rule(
        torn=st.integers(0, 10_000),
        name=st.sampled_from([SCENES, FAILURES]),
        half_manifest=st.booleans(),
    )
    def crash(self, torn, name, half_manifest):
        before = self.folder
        self.life += 1
        shutil.copytree(before, self.folder)
        line = (record(99) if name == SCENES else failure(99)).model_dump_json().encode()
        with (self.folder / name).open("ab") as file:
            file.write(line[: min(torn, len(line) - 1)])
        if half_manifest:
            (self.folder / f"{TEMPORARY}x").write_bytes(b"{")
        self.check_files(self.folder)
        self.store.close()
        self.store = begun(self.folder)

    @rule()
    def stop_and_go_on(self):
        self.store.close()
        self.check_files(self.folder)
        assert len(rows(self.folder, FAILURES)) == len(self.failed)
        self.store = begun(self.folder)

    def check_files(self, folder):
        export = Export(folder)
        assert sorted(scene.id for scene in export.scenes()) == sorted(self.done)
        assert {one.id: one.attempt for one in export.failures()} == self.failed

    @invariant()
    def counts_add_up(self):
        counts = self.store.counts()
        assert self.store.contents.done == self.done
        assert (counts.done, counts.failed) == (len(self.done), len(self.failed))
        assert counts.pending == QUESTIONS - len(self.done) - len(self.failed)

    def teardown(self):
        self.store.close()
        self.check_files(self.folder)
        shutil.rmtree(self.home)


TestExporting = Exporting.TestCase
TestExporting.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
