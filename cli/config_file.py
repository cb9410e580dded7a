"""Options from a YAML file: `--config FILE`. The command line and the environment beat it."""

from pathlib import Path
from typing import Annotated

import typer
import yaml

from scene.errors import InputError


def _read(context: typer.Context, path: Path | None) -> Path | None:
    """Take the file's values for defaults, before any other option is looked at."""
    if path is None or context.resilient_parsing:
        return path
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} can't be read ({error}); give --config a YAML file.") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} holds no options; write one a line, such as `roles: 3`.")
    options = {str(name).replace("-", "_"): value for name, value in values.items()}
    known = {parameter.name for parameter in context.command.params} - {"config", "help"}
    if unknown := options.keys() - known:
        raise InputError(f"{path} sets {min(unknown)!r}, which is no option; see --help for those there are.")
    several = {
        parameter.name for parameter in context.command.params if getattr(parameter, "multiple", False)
    }
    context.default_map = {
        name: [value] if name in several and not isinstance(value, list) else value
        for name, value in options.items()
        if value is not None
    }
    return path


Config = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", is_eager=True, callback=_read, help="Read options from a YAML file; flags beat it."
    ),
]
