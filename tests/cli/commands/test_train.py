"""`train` and `merge` from the command line, on a random model, really killed in between."""

import io
import json
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from cli.views.training_view import TrainingView
from finetune.encoding import Lengths
from tests.cli.test_bad_input import refused
from tests.finetune.conftest import data, own_cache, tiny_random, trainings  # noqa: F401  # fixtures

pytestmark = pytest.mark.xdist_group("training")


def command(rows: Path, model: Path, out: Path, *more: str) -> list[str]:
    quick = ["--max-steps", "8", "--save-steps", "2", "--dtype", "float32", "--learning-rate", "0.02"]
    return ["train", str(rows), "--model", str(model), "--out", str(out), *quick, *more]


def losses(out: Path) -> list[float]:
    return [entry["loss"] for entry in json.loads((out / "loss.json").read_text()) if "loss" in entry]


def test_killed_and_resumed(
    monopolylogue,
    monkeypatch,
    tmp_path,
    data,  # noqa: F811
    tiny_random,  # noqa: F811
    trainings,  # noqa: F811
) -> None:
    # A random model that has seen sixteen rows answers, but need not know when to stop.
    monkeypatch.setattr("finetune.train.check_answers", lambda out: [])
    rows, out, unbroken = data(), tmp_path / "adapter", tmp_path / "unbroken"
    deadline, killed = time.monotonic() + 120, False
    while not killed:  # on a busy machine a training may be faster than who watches it
        assert time.monotonic() < deadline, "no training was caught in its middle"
        shutil.rmtree(out, ignore_errors=True)
        with trainings.process("cli.main", *command(rows, tiny_random, out)) as child:
            while child.poll() is None and time.monotonic() < deadline:
                if (out / "checkpoints" / "checkpoint-2" / "trainer_state.json").exists():
                    child.send_signal(signal.SIGKILL)
                    break
                time.sleep(0.005)
            killed = child.wait(timeout=60) == -signal.SIGKILL and not (out / "metrics.json").exists()
    refused(monopolylogue(*command(rows, tiny_random, out)), "go on with it by --resume")

    done = monopolylogue(*command(rows, tiny_random, out, "--resume"))
    assert done.exit_code == 0, done.output
    assert "Trained 8 steps" in done.stdout
    assert "tokens/s" in done.stderr
    assert monopolylogue(*command(rows, tiny_random, unbroken)).exit_code == 0
    assert losses(out) == pytest.approx(losses(unbroken), abs=1e-5)

    merged = monopolylogue("merge", str(out), "--out", str(tmp_path / "model"))
    assert merged.exit_code == 0, merged.output
    assert "nats a token from base and adapter" in merged.stdout
    refused(monopolylogue("merge", str(tmp_path / "model"), "--out", str(tmp_path / "x")), "is no adapter")


def test_rows_that_are_too_long_are_told_with_their_part() -> None:
    told = io.StringIO()
    lengths = Lengths(rows=8, tokens=900, counted=300, dropped=3, parts=Counter(simulation=2, aligned=1))
    with TrainingView(Console(file=told, width=80)) as view:
        view.rows({"train": lengths, "validation": Lengths(rows=1, tokens=9, counted=3)})
    assert told.getvalue().splitlines() == [
        "train: 8 rows, 900 tokens, 300 of them learned",
        "train: left out 3 (1 aligned, 2 simulation) of 11 rows, since their prompt alone is too long; "
        "a larger --max-length takes them in.",
        "validation: 1 rows, 9 tokens, 3 of them learned",
    ]


def test_bad_input(monopolylogue, tmp_path, data, tiny_random) -> None:  # noqa: F811
    out = tmp_path / "out"
    (tmp_path / "rows.jsonl").write_text('{"text": "x"}\n')
    refused(monopolylogue(*command(tmp_path / "none", tiny_random, out)), "can't be loaded as a data set")
    refused(monopolylogue(*command(tmp_path / "rows.jsonl", tiny_random, tmp_path / "b")), "the columns text")
    configs = "".join(f"- config_name: {name}\n  data_files: rows.jsonl\n" for name in ("first", "second"))
    (tmp_path / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    refused(monopolylogue(*command(tmp_path, tiny_random, out)), "has the subsets first, second")
    chosen = command(tmp_path, tiny_random, out, "--subset", "second")
    refused(monopolylogue(*chosen), "rows.jsonl, line 1 has the columns text")
    refused(monopolylogue(*command(data(), tmp_path / "no-model", out)), "There is no")
    refused(monopolylogue(*command(data(), tiny_random, out, "--preset", "huge")), "no preset 'huge'")
    refused(monopolylogue(*command(data(), tiny_random, out, "--lora-r", "0")), "lora_r must be at least 1")
    refused(monopolylogue("merge", str(tmp_path), "--out", str(out)), "holds no model")
