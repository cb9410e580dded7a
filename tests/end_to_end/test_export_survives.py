"""An export that is really killed, interrupted, starved of disk or of its engine, and gone on with."""

import os
import random
import signal
import time
from contextlib import suppress

import pytest

from scene.export import FAILURES, MANIFEST, SCENES, Export
from tests.end_to_end.conftest import Running

BAD = ["Question 3?", "Question 13?"]

LONG = {"marks": pytest.mark.slow, "id": "long"}
"""For many more points at which a run may be stopped, each as good as another."""


def stopped_at_random(theatre, how: signal.Signals, rng: random.Random) -> int:
    """Begin or go on, and send a signal at a point that nobody chose. The exit code."""
    run = theatre.start(pause=0.004, bad=BAD)
    theatre.wait_for_scenes(run, rng.randint(1, 12))
    time.sleep(rng.uniform(0, 0.03))
    run.send(how)
    code = run.ended()
    theatre.check()
    return code


def fill(path) -> None:
    """Leave not one byte of a file system."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)


def quoted(theatre, stops: str, number: int) -> str:
    """How an export that is complete came to its end."""
    counts = Export(theatre.out).manifest.counts
    return (
        f"{number} {stops}, {theatre.runs - 1} resumes, {counts.done} rows and {counts.failed} failures of "
        f"{counts.questions} questions; none lost, none twice, none played again once finished"
    )


@pytest.mark.parametrize(
    ("theatre", "least"),
    [pytest.param(30, 3, id="short"), pytest.param(120, 10, **LONG)],
    indirect=["theatre"],
)
def test_sigkill_at_random_points(theatre, least, record_property):
    rng, kills = random.Random(1), 0
    while (code := stopped_at_random(theatre, signal.SIGKILL, rng)) != 0:
        assert code == -signal.SIGKILL
        kills += 1
    assert kills >= least
    theatre.check_complete(set(BAD))
    record_property("export", quoted(theatre, "kills", kills))


@pytest.mark.parametrize(
    ("theatre", "kills"),
    [pytest.param(16, 6, id="short"), pytest.param(80, 50, **LONG)],
    indirect=["theatre"],
)
def test_a_kill_costs_no_more_than_the_calls_in_flight(theatre, kills, record_property):
    rng = random.Random(4)
    answered: set[str] = set()
    lost = in_flight = 0
    for _ in range(kills):
        run, calls = theatre.start(pause=0.01), rng.randint(1, 40)
        while len(theatre.calls()) < calls and run.send(0):
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.01))
        run.send(signal.SIGKILL)
        assert run.ended() == -signal.SIGKILL
        under_way = most = 0
        for line in theatre.calls():
            under_way += 1 if line.startswith("+") else -1
            most = max(most, under_way)
            lost += line.startswith("+") and line[1:] in answered
        assert lost <= in_flight
        in_flight += most
        answered |= {line[1:] for line in theatre.calls() if line.startswith("-")}
        theatre.check()
    assert len(answered) > kills
    assert theatre.start().ended() == 0
    assert (
        len([line for line in theatre.calls() if line.startswith("+") and line[1:] in answered]) <= in_flight
    )
    theatre.check_complete()
    record_property("export", f"{quoted(theatre, 'kills', kills)}; {lost} replies lost")


@pytest.mark.parametrize(
    ("theatre", "least"), [pytest.param(24, 2, id="short"), pytest.param(80, 4, **LONG)], indirect=["theatre"]
)
def test_sigint_at_random_points(theatre, least, record_property):
    rng, interrupts = random.Random(2), 0
    while (code := stopped_at_random(theatre, signal.SIGINT, rng)) != 0:
        assert code == 130
        interrupts += 1
        counts = Export(theatre.out).manifest.counts
        assert theatre.said().splitlines()[-1] == (
            f"Interrupted. {counts.done} of {len(theatre.questions)} scenes are finished and kept in "
            f"{theatre.out}; run the same command again to go on."
        )
        assert counts.done == len((theatre.out / SCENES).read_bytes().splitlines())
    assert interrupts >= least
    theatre.check_complete(set(BAD))
    record_property("export", quoted(theatre, "interrupts", interrupts))


@pytest.mark.parametrize("theatre", [24], indirect=True)
def test_sigkill_in_the_middle_of_a_line(theatre, record_property):
    rng, kills = random.Random(3), 0
    for which in range(12):
        through = rng.choice([0, 1, 100, 20_000, 10**9])
        code = theatre.start(pause=0.002, kill_write=[which % 4, through]).ended()
        theatre.check()
        if code == 0:
            break
        assert code == -signal.SIGKILL
        kills += 1
        torn = (
            not (theatre.out / SCENES).read_bytes().endswith(b"\n") and (theatre.out / SCENES).stat().st_size
        )
        assert torn or not through
    assert theatre.start().ended() == 0
    theatre.check_complete()
    record_property("export", quoted(theatre, "kills in mid-line", kills))


def test_last_line_that_was_cut_off(theatre):
    assert theatre.start("--limit", "10").ended() == 0
    with (theatre.out / SCENES).open("r+b") as file:
        file.truncate(file.seek(0, 2) - 1)
    assert theatre.start().ended() == 0
    assert f"{theatre.out / SCENES} ended in half a line, which is dropped." in theatre.said()
    assert len(theatre.played()) == 7
    theatre.check_complete()


def test_full_disk(theatre):
    """Stood for by a limit on the size of files, as a quota sets it."""
    assert theatre.start(file_limit=300_000).ended() == 2
    theatre.check()
    (line,) = [line for line in theatre.said().splitlines() if line.startswith("monopolylogue:")]
    assert line == (
        f"monopolylogue: {theatre.out} can't be written to (File too large); every finished scene in it is "
        "kept: free some space or mend what is wrong, and run the same command again."
    )
    assert "Traceback" not in theatre.said()
    data = (theatre.out / SCENES).read_bytes()
    assert data.endswith(b"\n")
    assert 0 < len(data) <= 300_000
    assert theatre.start().ended() == 0
    theatre.check_complete()


def test_full_disk_in_truth(theatre, small_disk):
    """A file system of its own, filled by the scenes, then by somebody else: the manifest's turn to fail."""
    small_disk(theatre.out, "400k")
    assert theatre.start().ended() == 2
    theatre.check()
    full = f"{theatre.out} can't be written to (No space left on device)"
    assert theatre.said().splitlines()[-1].startswith(f"monopolylogue: {full}; every finished scene in it is")
    assert (theatre.out / SCENES).read_bytes().endswith(b"\n")

    small_disk(theatre.out, "4m")
    manifest = (theatre.out / MANIFEST).read_bytes()
    fill(theatre.out / "ballast")
    assert theatre.start().ended() == 2
    theatre.check()
    assert full in theatre.said()
    assert "Traceback" not in theatre.said()
    assert (theatre.out / MANIFEST).read_bytes() == manifest
    assert theatre.played() == []

    (theatre.out / "ballast").unlink()
    assert theatre.start().ended() == 0
    theatre.check_complete()


def test_a_scene_that_never_ends(theatre):
    assert theatre.start("--scene-timeout", "2", hang="Question 5?").ended() == 0
    theatre.check_complete({"Question 5?"})
    (failure,) = Export(theatre.out).failures()
    assert (failure.error, failure.reason) == ("TimeoutError", "the scene was given up after 2 seconds")


def test_an_engine_that_dies(theatre):
    assert theatre.start(die="Question 10?").ended() == 1
    theatre.check()
    assert Export(theatre.out).failures() == []
    counts = Export(theatre.out).manifest.counts
    assert theatre.said().splitlines()[-1] == (
        f"monopolylogue: The engine died. The engine was closed. {counts.done} of 16 scenes are finished and "
        f"kept in {theatre.out}; run the same command again to go on."
    )
    assert theatre.start(die="Question 10?").ended() == 0
    theatre.check_complete()


@pytest.mark.xdist_group("ray")
def test_sigkill_of_a_ray_actor_and_sigint_of_its_driver(theatre, ray_forks):
    on_ray, ray_forks = ("--ray", "local", "--ray-actors", "2"), str(ray_forks)
    run = theatre.start(*on_ray, pause=0.05, bad=BAD, ray_forks=ray_forks)
    theatre.wait_for_scenes(run, 4)
    actors = theatre.processes()
    assert len(actors) == 2
    os.kill(actors[0], signal.SIGKILL)
    theatre.wait_for_scenes(run, 8)
    run.send(signal.SIGINT)
    assert run.ended() == 130
    theatre.check()
    assert theatre.said().splitlines()[-1].startswith("Interrupted. ")
    assert theatre.start(*on_ray, bad=BAD, ray_forks=ray_forks).ended() == 3  # two of sixteen
    assert len(set(theatre.processes())) >= 4
    theatre.check_complete(set(BAD))


def test_two_exports_into_one_folder(theatre, zygote, tmp_path_factory):
    first = theatre.start(pause=0.05)
    theatre.wait_for_scenes(first)
    second = Running(zygote, theatre.order() | {"folder": str(tmp_path_factory.mktemp("second"))})
    assert second.ended() == 2
    assert f"Another process is exporting into {theatre.out}" in second.said()
    assert first.ended() == 0
    theatre.check_complete()


def test_failures_outlive_a_kill_and_are_retried_when_asked(theatre):
    theatre.start(bad=BAD, pause=0.002, kill_write=[6, 50]).ended()
    assert theatre.start(bad=BAD).ended() == 3  # two of sixteen
    theatre.check_complete(set(BAD))
    run = theatre.start("--retry-failed", bad=BAD[1:], pause=0.002, kill_write=[0, 50])
    assert run.ended() == -signal.SIGKILL
    theatre.check()
    assert theatre.start("--retry-failed", bad=BAD[1:]).ended() == 0
    theatre.check_complete({BAD[1]})
    assert (theatre.out / FAILURES).read_text().count("\n") == 1
