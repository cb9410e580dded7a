"""`monopolylogue merge`: an adapter and its base become one model."""

from pathlib import Path
from typing import Annotated

import typer

from cli.complaint import interruptible
from cli.options import OUTPUT, option
from cli.views.console import plain_console

EPILOG = """\
[bold]Example[/]

  monopolylogue merge adapters/monday --out models/monday
  monopolylogue run "May I read my son's diary?" --model models/monday

The same for Ollama:
  monopolylogue merge adapters/monday --out models/monday --gguf
  ollama create monday -f models/monday/Modelfile"""


def merge(
    adapter: Annotated[Path, typer.Argument(metavar="ADAPTER", help="Folder that `train` wrote.")],
    out: Annotated[Path, option(OUTPUT, "Folder of the merged model.", metavar="MODEL")],
    gguf: Annotated[bool, option(OUTPUT, "Write GGUF and a Modelfile for Ollama too.", "--gguf")] = False,
) -> None:
    """Merge an adapter into its base model.

    The merged model is read back from disk and must give the same
    probabilities as base and adapter did. It needs room for the base in float32.
    """
    from finetune.merge import merge as merge_adapter

    with interruptible("No model was written."):
        merged = merge_adapter(str(adapter), out, gguf=gguf)
    plain_console().print(
        f"Written to {out}; it is {merged.divergence:.2g} nats a token from base and adapter."
    )
    if merged.rounded is not None:
        plain_console().print(
            f"The GGUF file, which the Modelfile is for, is {merged.rounded:.2g} nats a token from them."
        )
