"""`monopolylogue validate`: whether a model is fit to rehearse."""

from dataclasses import asdict

from cli.complaint import interruptible
from cli.config_file import Config
from cli.options import ResultsAsJson
from cli.options.export import ValidateOptions
from cli.output import print_json

EPILOG = """\
[bold]Examples[/]

Is the default model fit to rehearse?
  monopolylogue validate --out validations/default

Another one, under three seeds, to see whether luck decides:
  monopolylogue validate --model models/mine --seeds 0,1,2 --out validations/mine

Your own questions, with a column `kind` that says harmful or helpful:
  monopolylogue validate questions.jsonl --out validations/own

The scene behind a question:
  monopolylogue explain validations/default/seed-0 harmful-07"""


def validate(options: ValidateOptions, config: Config = None, as_json: ResultsAsJson = False) -> None:
    """Say whether a model is fit to rehearse.

    It plays the scenes of questions of which half are harmful and half only
    sound so, and says how well they are told apart, by what, and how the
    scenes are. The same command again goes on where it stopped.
    """
    with interruptible(f"No scene was played; what {options.out} held before is still there."):
        from cli.work.exporting import check_failures
        from cli.work.validating import run_validation, show
        from scene.export import read_manifest

        validation = run_validation(options)
    if as_json:
        print_json(asdict(validation))
    else:
        show(validation, options.out)
    # Nobody is to take a validation for whole in which much failed.
    check_failures([read_manifest(options.export(seed).out).counts for seed in options.chosen])
