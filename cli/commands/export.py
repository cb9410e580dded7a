"""`monopolylogue export`: a scene for every question of a file or data set."""

from typing import Annotated

from cli.complaint import interruptible
from cli.config_file import Config
from cli.options import RUNNING, option
from cli.options.export import ExportOptions

EPILOG = """\
[bold]Examples[/]

A scene for every question; the same command again goes on where it stopped:
  monopolylogue export questions.jsonl --out scenes

What that would take, and a first look at ten questions:
  monopolylogue export questions.jsonl --out scenes --dry-run
  monopolylogue export questions.jsonl --out scenes --limit 10

Requests to be declined, from a data set of the hub:
  monopolylogue export walledai/AdvBench --kind harmful --out scenes

First answers that exist already:
  monopolylogue export tasks.csv --answer-column reply --out scenes

Two models side by side on this machine; then a cluster, with a server on each of two machines:
  monopolylogue export questions.jsonl --out scenes --ray local --ray-actors 2
  monopolylogue export questions.jsonl --out scenes --ray 10.0.0.1:6379 \
    --base-url http://10.0.0.2:8000/v1 --base-url http://10.0.0.3:8000/v1

Your own prompts, and the same people around every question:
  monopolylogue export questions.jsonl --out scenes --prompts german --cast people.yaml

What came of one question, as `run` would have shown it:
  monopolylogue explain scenes 943"""


def export(
    options: ExportOptions,
    config: Config = None,
    dry_run: Annotated[bool, option(RUNNING, "Say how much there is to do, and stop.", "--dry-run")] = False,
) -> None:
    """Play a scene for every question and keep the records.

    Every question ends as one line of scenes.jsonl or one of failures.jsonl,
    whatever happens in between. The same command again goes on with what is
    left.
    """
    with interruptible(f"No scene was played; what {options.out} held before is still there."):
        from cli.work.exporting import run_export

        run_export(options, dry_run=dry_run)
