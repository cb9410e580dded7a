"""Which figures come of the measurements."""

import json
from subprocess import PIPE, CompletedProcess
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from benchmarks import ledger as ledgers
from benchmarks.__main__ import app
from benchmarks.measure import Measurement


class Bench:
    """`bench("--only", "scenes")`: what the command does where nothing is really measured."""

    def __init__(self, folder) -> None:
        self.file = folder / "bench.json"
        self.asked: list[str] = []
        self.stop_after = 1000

    def run(self, command, **options):
        if len(self.asked) == self.stop_after:
            raise KeyboardInterrupt
        arguments = command[3:]
        self.asked.append(" ".join(arguments))
        return CompletedProcess(command, 0, json.dumps(self.measured(arguments)))

    def measured(self, arguments):
        if arguments[0] == "train":
            return {"tokens": 100, "seconds": 10.0, "peak_bytes": 3 * 10**9}
        units = int(arguments[4])
        return {
            "seconds": 10.0, "units": units, "prompt_tokens": 1000 * units, "cached_tokens": 400 * units,
            "completion_tokens": 10 * units, "asked_seconds": 10.0, "loop_seconds": 0.5,
            "processor_seconds": 18.5, "cores": 2, "peak_bytes": 2 * 10**9, "unit_seconds": [5.0] * units,
        }  # fmt: skip

    def __call__(self, *arguments):
        return CliRunner().invoke(app, ["compare", "--out", str(self.file), *arguments])

    def figures(self):
        return {figure["name"]: figure for figure in json.loads(self.file.read_text())}


@pytest.fixture
def bench(tmp_path, monkeypatch):
    bench = Bench(tmp_path)
    monkeypatch.setattr(ledgers, "subprocess", SimpleNamespace(run=bench.run, PIPE=PIPE))
    return bench


def test_everything_with_the_tiny_model(bench):
    done = bench()
    assert done.exit_code == 0
    assert "That takes about 29 minutes" in done.stderr
    figures = bench.figures()
    assert all(name.startswith("tiny: ") for name in figures)
    assert {tuple(figure) for figure in figures.values()} == {
        ("name", "value", "unit", "baseline", "ratio", "ceiling")
    }
    assert {figure["unit"] for name, figure in figures.items() if "memory" in name} == {"GB"}
    assert len(bench.asked) == len(set(bench.asked))


@pytest.mark.parametrize(
    ("group", "ways"),
    [
        ("requests", ["one at a time", "padded batch", "transformers", "llama"]),
        ("scenes", ["one call at a time", "transformers", "llama"]),
    ],
)
def test_each_way_has_its_peak(bench, group, ways):
    bench("--only", group)
    peaks = [name for name in bench.figures() if "memory" in name]
    assert all(any(way in name for name in peaks) for way in ways)
    assert len(peaks) == len(ways) + (2 if group == "scenes" else 0)  # a scene alone besides


def test_names_say_how_much_the_baseline_was(bench):
    bench("--only", "requests")
    for engine in ("transformers", "llama"):
        of = f"tiny: 64 short requests at once, {engine}, against generate, 32 of them one at a time"
        assert bench.figures()[of]["ratio"] == 2
    bench("--only", "scenes", "--model", "default")
    of = "default: 8 scenes side by side, llama, against 1 of them with one call at a time"
    assert bench.figures()[of]["ratio"] == 8


def test_scenes_have_their_peaks_and_shares(bench):
    bench("--only", "scenes")
    figures, of = bench.figures(), "tiny: 16 scenes side by side, transformers"
    assert figures[f"{of}: peak memory"]["value"] == 2
    assert figures["tiny: a scene alone, transformers: peak memory"]["value"] == 2
    assert figures[f"{of}: time of 2 cores that the engine's threads had"]["value"] == 90
    assert figures[f"{of}: graph and parsing"]["value"] == 5


def test_a_run_that_was_cut_off_goes_on(bench):
    bench.stop_after = 5
    assert bench().exit_code == 130
    some = bench.figures()
    assert some
    bench.stop_after = 1000
    done = bench()
    assert "5 measurements are there from a run that was cut off" in done.stderr
    assert len(bench.asked) == len(set(bench.asked))
    assert bench.figures().items() >= some.items()


def test_parts_are_put_together(bench):
    for part in ("requests", "scenes"):
        bench("--only", part)
    bench("--only", "training", "--model", "default")
    parts = bench.figures()
    assert len({name.partition(":")[0] for name in parts}) == 2
    before = len(bench.asked)
    bench("--only", "requests")  # complete, so it is measured anew
    assert len(bench.asked) > before
    assert list(bench.figures()) == list(parts)


def test_figures_of_other_circumstances_are_put_aside(bench):
    bench.file.write_text("[]")
    done = bench("--only", "training")
    assert f"it is now {bench.file.with_suffix('.before.json')}" in "".join(done.stderr.splitlines())
    assert bench.file.with_suffix(".before.json").read_text() == "[]"
    assert bench.figures()


def test_the_engines_share_leaves_out_the_loop():
    assert Measurement(seconds=10, processor_seconds=12, loop_seconds=2, cores=2).engine_share == 0.5
