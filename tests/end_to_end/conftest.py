"""A folder to export into, a process that forks exports, and what must hold whenever one has ended."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from scene.export import FAILURES, MANIFEST, SCENES, Export
from tests.environment import without_settings
from tests.paths import ROOT


@pytest.fixture(scope="session")
def zygote() -> Iterator[subprocess.Popen[str]]:
    """See zygote.py."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.end_to_end.zygote"],
        cwd=ROOT,
        env=without_settings(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process


class Running:
    """An export under way."""

    def __init__(self, zygote: subprocess.Popen[str], order: dict) -> None:
        self._folder = Path(order["folder"])
        self._ended = self._folder / "ended"
        self._ended.unlink(missing_ok=True)
        zygote.stdin.write(json.dumps(order) + "\n")
        zygote.stdin.flush()
        self._pid = int(zygote.stdout.readline())

    def send(self, number: int) -> bool:
        """Send a signal; 0 only asks. Whether the process was still there."""
        try:
            os.kill(self._pid, number)
        except ProcessLookupError:
            return False
        return True

    def ended(self) -> int:
        """Wait for the end; exit code, or the negative number of the signal that ended it."""
        while not self._ended.exists():
            time.sleep(0.002)
        return int(self._ended.read_text())

    def said(self) -> str:
        return (self._folder / "stderr").read_text()


class Theatre:
    """One export, begun, killed and gone on with, and the promises it has to keep each time."""

    SMALL = ("--roles", "1", "--steps", "2", "--max-interactions", "1", "--concurrency", "4")

    def __init__(self, zygote: subprocess.Popen[str], folder: Path, questions: int) -> None:
        self._zygote = zygote
        self.folder, self.out = folder, folder / "scenes"
        self.questions = [f"Question {number}?" for number in range(questions)]
        (folder / "questions.txt").write_text("\n".join(self.questions))
        self.runs = 0
        self._finished: dict[str, bytes] = {}

    def start(self, *arguments: str, **order: object) -> Running:
        """Begin the export, or go on with it."""
        self._forget()
        self.runs += 1
        return Running(self._zygote, self.order(*arguments) | order)

    def order(self, *arguments: str) -> dict:
        """What to tell a zygote."""
        command = [
            "export",
            str(self.folder / "questions.txt"),
            "--out",
            str(self.out),
            *self.SMALL,
            *arguments,
        ]
        return {"arguments": command, "folder": str(self.folder)}

    def wait_for_scenes(self, run: Running, number: int = 1) -> None:
        """Wait until so many scenes have begun, or the export has ended."""
        while len(self.played()) < number and run.send(0):
            time.sleep(0.002)

    def said(self) -> str:
        """What the last run said on standard error."""
        return (self.folder / "stderr").read_text()

    def played(self) -> list[str]:
        """Questions whose scenes began in the last run."""
        return (self.folder / "played").read_text().splitlines()

    def calls(self) -> list[str]:
        """Requests and replies of the last run, in their order."""
        return (self.folder / "calls").read_text().splitlines()

    def processes(self) -> list[int]:
        """Processes in which an engine was loaded, by all runs."""
        return [int(line) for line in (self.folder / "processes").read_text().splitlines()]

    def _forget(self) -> None:
        """Nothing was played yet, as far as the next look is concerned."""
        (self.folder / "played").write_text("")
        (self.folder / "calls").write_text("")

    def check(self) -> None:
        """Since the last look no finished row was lost, changed or played again, and none is there twice."""
        before = self._finished
        assert not set(self.played()) & before.keys(), "a finished scene was played again"
        self._forget()
        path = self.out / SCENES
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        whole = [line for line in lines if line.endswith(b"\n")]
        now = {json.loads(line)["question"]: line for line in whole}
        assert len(now) == len(whole), "a row is there twice"
        assert before.items() <= now.items(), "a finished row was lost or changed"
        self._finished = now
        if (self.out / MANIFEST).exists():
            export = Export(self.out)  # the counts add up, and with the files
            assert len(list(export.scenes())) == len(now)

    def check_complete(self, failed: set[str] = frozenset()) -> None:
        """Every question has exactly one row or exactly one failure, by the plain files."""
        self.check()
        rows = [json.loads(line)["question"] for line in (self.out / SCENES).read_text().splitlines()]
        failures = [json.loads(line)["question"] for line in (self.out / FAILURES).read_text().splitlines()]
        assert Counter(rows + failures) == Counter(self.questions)
        assert set(failures) == failed
        counts = Export(self.out).manifest.counts
        assert (counts.questions, counts.done, counts.failed, counts.pending) == (
            len(self.questions),
            len(rows),
            len(failures),
            0,
        )
        assert Export(self.out).manifest.state == "finished"


@pytest.fixture
def theatre(request: pytest.FixtureRequest, zygote: subprocess.Popen[str], tmp_path: Path) -> Theatre:
    """Sixteen questions, or as many as the test says."""
    return Theatre(zygote, tmp_path, getattr(request, "param", 16))
