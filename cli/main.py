"""The `monopolylogue` command: its subcommands, and what becomes of an error."""

import os

# LangGraph reads this when it is imported: checkpoints then hold plain data only, never pickled code.
os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"
# Nothing is reported anywhere unless the user asked for it.
os.environ.setdefault("LANGSMITH_TRACING", "false")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import errno
import io
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cli.commands import (
    ablate,
    ask,
    compare,
    dataset,
    evaluate,
    explain,
    export,
    merge,
    models,
    prompts,
    ratings,
    run,
    serve,
    step,
    train,
    twins,
    validate,
    view,
    why,
)
from cli.complaint import complain
from cli.options import MATRIX, TRL, also
from cli.options.grouping import grouped
from cli.output import open_standard_streams
from cli.question import check_encoding
from inference.models.cache import is_full
from scene.errors import InputError, MonopolylogueError, RecordError, ReplyError
from scene.folding import FoldingTable

HELP = ("-h", "--help")

_NAMES = "EACCES EIO ELOOP EMFILE ENAMETOOLONG EPERM EROFS ESTALE"
_UNUSABLE = {getattr(errno, name) for name in _NAMES.split()}
"""What a file system says of a file that may not be used, or can't."""


class Commands(TyperGroup):
    """Turns the errors that are made on purpose into one sentence and an exit code."""

    def main(self, args: Sequence[str] | None = None, *others: Any, **kwargs: Any) -> object:
        """Run a command line; 2 stands for what a user can mend, 1 for a scene that failed."""
        words = sys.argv[1:] if args is None else list(args)
        open_standard_streams()
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # a terminal that lacks a character gets its number
                stream.reconfigure(errors="backslashreplace")
        if not words or {*HELP} & {*words}:
            from typer import rich_utils

            rich_utils.Table = FoldingTable  # type: ignore[attr-defined]  # its own cuts the names of options
        try:
            check_encoding(words)
            return super().main(words, *others, **kwargs)
        except ReplyError as error:
            complain(f"The scene broke off at {error}; try another --seed or a larger model.")
            sys.exit(1)
        except MonopolylogueError as error:
            complain(str(error))
            sys.exit(2 if isinstance(error, InputError | RecordError) else 1)
        except MemoryError:
            complain("Memory ran out; take a smaller model or close other programs.")
            sys.exit(2)
        except Exception as error:  # of a full disk `tokenizers` says so by no narrower type; others go on
            if is_full(error):
                complain("The disk is full; free some space and run the command again.")
            elif isinstance(error, OSError) and error.errno in _UNUSABLE and error.filename is not None:
                complain(f"{os.fsdecode(error.filename)[:200]} can't be used ({error.strerror}).")
            else:
                raise
            sys.exit(2)


EPILOG = """\
[bold]Example[/]

  monopolylogue run "How do I tell my team that I am leaving?"

`monopolylogue run --help` has more. `monopolylogue --install-completion` completes what you type."""

app = typer.Typer(
    cls=Commands,
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,  # its tracebacks would show what was asked
    context_settings={"help_option_names": [*HELP]},
)
others = {run: MATRIX, export: MATRIX, train: TRL}
for module in (
    run, compare, step, serve, export, validate, explain, view, twins, dataset, train, why, merge, ask,
    evaluate, ratings, ablate,
):  # fmt: skip
    names = also(others[module]) if module in others else None
    command = getattr(module, module.__name__.rpartition(".")[2])
    app.command(epilog=module.EPILOG, context_settings=names)(grouped(command))
app.add_typer(models.app, name="models")
app.add_typer(prompts.app, name="prompts")


def _version(asked: bool) -> None:
    if not asked:
        return
    try:
        typer.echo(f"monopolylogue {metadata.version('monopolylogue')}")
    except metadata.PackageNotFoundError:
        raise InputError("The package is not installed; run `make setup` in its checkout.") from None
    raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """One local language model plays every role of the social scene around a question before it answers."""


if __name__ == "__main__":
    app(prog_name="monopolylogue")
