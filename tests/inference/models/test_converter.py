"""The converter's environment: made once, whole or not at all."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from inference.models import converter, wheels
from inference.models.converter import converter_python
from scene.errors import InputError, ModelLoadError
from tests.inference.models.fake_converter import FakeConverter
from tests.paths import ROOT


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeConverter:
    fake = FakeConverter(tmp_path / "shelf")
    monkeypatch.setattr(wheels, "PIP", (sys.executable, str(fake.folder / "pip.py")))
    monkeypatch.delenv("MONOPOLYLOGUE_PIP_FLAGS", raising=False)
    return fake


def make(cache: Path, flags: str | None = None) -> Path:
    return converter_python(cache, flags, lambda done, total: None)


def leftovers(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "tools").iterdir() if path.suffix not in (".lock", ""))


def test_it_is_made_once_and_runs(fake: FakeConverter, tmp_path: Path) -> None:
    reports: list[tuple[int, int]] = []
    python = converter_python(tmp_path / "cache", None, lambda *report: reports.append(report))
    total = converter.PINS.read_text().count("==")
    assert reports == [(0, total), (1, total), (2, total), (total, total)]
    assert make(tmp_path / "cache") == python
    assert [line.split()[0] for line in fake.asked] == ["install", "uninstall"]
    said = subprocess.run(
        [python, "-I", "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True
    )
    assert said.stdout.strip() == str(python.parent.parent)
    assert leftovers(tmp_path / "cache") == []


def test_pip_is_asked_for_the_pins(fake: FakeConverter, tmp_path: Path) -> None:
    make(tmp_path / "cache", "--index-url 'http://a b'")
    install, uninstall = fake.asked
    assert f"--index-url http://a b -c {converter.PINS} torch optimum-intel" in install
    assert "--yes torchvision openvino-telemetry" in uninstall
    pinned = {line.partition("==")[0] for line in converter.PINS.read_text().splitlines()}
    assert set(converter.WANTED) < pinned
    assert "torch==2.13.0\n" in converter.PINS.read_text(), "no local version: a CPU and a CUDA build fit"


def test_flags_come_from_the_environment_and_an_argument_beats_it(
    fake: FakeConverter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONOPOLYLOGUE_PIP_FLAGS", "--from-environment")
    make(tmp_path / "one")
    make(tmp_path / "two", "--from-argument")
    assert [("--from-environment" in line, "--from-argument" in line) for line in fake.asked[::2]] == [
        (True, False),
        (False, True),
    ]
    with pytest.raises(InputError, match="can't be split into words"):
        make(tmp_path / "three", "'")


def test_a_failure_says_why_and_the_next_call_starts_anew(fake: FakeConverter, tmp_path: Path) -> None:
    fake.plan(pip_fails="No matching distribution found for nncf==3.4.0")
    with pytest.raises(
        ModelLoadError, match=r"failed \(No matching distribution found .*\); .*\.log has all"
    ):
        make(tmp_path / "cache")
    fake.plan()
    assert make(tmp_path / "cache").exists()
    assert leftovers(tmp_path / "cache") == []


def test_a_full_disk_is_told_as_such(fake: FakeConverter, tmp_path: Path) -> None:
    fake.plan(pip_fails="Could not install packages: [Errno 28] No space left on device")
    with pytest.raises(ModelLoadError, match=r"The disk that holds .* is full"):
        make(tmp_path / "cache")


def test_other_versions_make_another_environment(
    fake: FakeConverter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = make(tmp_path / "cache")
    (tmp_path / "pins.txt").write_text("torch==9\n")
    monkeypatch.setattr(converter, "PINS", tmp_path / "pins.txt")
    assert make(tmp_path / "cache") != before


def test_an_environment_whose_python_is_gone_is_made_again(fake: FakeConverter, tmp_path: Path) -> None:
    python = make(tmp_path / "cache")
    python.unlink()
    python.symlink_to(tmp_path / "no-python")
    assert make(tmp_path / "cache") == python
    assert python.exists()
    assert len(fake.asked) == 4


def test_the_second_waits_for_the_first(fake: FakeConverter, tmp_path: Path) -> None:
    fake.plan(seconds=0.2)
    threads = [threading.Thread(target=make, args=(tmp_path / "cache",)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fake.asked) == 2


def test_ctrl_c_ends_pip_at_once(fake: FakeConverter, tmp_path: Path) -> None:
    fake.plan(seconds=60)

    def press(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        converter_python(tmp_path / "cache", None, press)
    with pytest.raises(ProcessLookupError):
        os.kill(int((fake.folder / "pid").read_text()), 0)
    fake.plan()
    assert make(tmp_path / "cache").exists()


def test_a_process_that_was_killed_leaves_nothing_that_looks_whole(
    fake: FakeConverter, tmp_path: Path
) -> None:
    fake.plan(seconds=5)
    program = (
        "import sys; from pathlib import Path; from inference.models import wheels;"
        "from inference.models.converter import converter_python;"
        f"wheels.PIP = {wheels.PIP!r};"
        f"cache = Path({str(tmp_path / 'cache')!r});"
        "converter_python(cache, None, lambda *report: print(*report, flush=True))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        while not child.stdout.readline().startswith("1 "):
            assert child.poll() is None
        child.kill()
    fake.plan()
    assert make(tmp_path / "cache").exists()
    assert leftovers(tmp_path / "cache") == []
