"""TRL's command line, with a launcher that runs the training script here and not in one more process."""

import os
import runpy
import sys
from argparse import Namespace

import accelerate.commands.launch
from accelerate.utils.launch import prepare_simple_launcher_cmd_env
from trl.cli.main import main


def launch(args: Namespace) -> None:
    """Stands in for `accelerate.commands.launch.simple_launcher`."""
    (_, script, *arguments), environment = prepare_simple_launcher_cmd_env(args)
    os.environ.update(environment)
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    accelerate.commands.launch.simple_launcher = launch
    sys.exit(main())
