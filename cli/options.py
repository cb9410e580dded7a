"""Options that several subcommands share: the command line beats the environment, which beats the default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from inference.engine import DEVICES, DTYPES, ENGINES
from inference.environment import BASE_URLS, PREFIX
from scene.errors import InputError

MODEL, SCENE, OUTPUT = "The model", "The scene", "Output"
QUESTIONS, RUNNING = "The questions", "Running"
"""Titles in --help."""

Rehearse = Literal["always", "doubtful", "never"]
"""Which questions of a server's clients a scene is played for."""

MATRIX = {"agent_num": "roles", "ego_steps": "steps"}
"""Options of MATRIX's `example.py`, each with ours."""

TRL = {
    "dataset_config": "subset",
    "gradient_accumulation_steps": "accumulation",
    "load_in_4bit": "quantize",
    "lr_scheduler_type": "schedule",
    "max_seq_length": "max-length",
    "model_name_or_path": "model",
    "num_train_epochs": "epochs",
    "output_dir": "out",
    "per_device_train_batch_size": "batch-size",
    "save_total_limit": "keep",
    "torch_dtype": "dtype",
    "warmup_ratio": "warmup",
}
"""Options of `trl sft` and its like that have another name here, each with ours."""


def also(names: Mapping[str, str]) -> dict[str, Callable[[str], str]]:
    """Context settings of a command that takes options by other names too, and by ours with underscores.

    They are what people type who come from another program; --help has ours alone.
    """
    return {"token_normalize_func": lambda name: names.get(name, name).replace("_", "-")}


def _setting(name: str, panel: str, text: str, suggested: tuple[str, ...] = ()) -> Any:  # noqa: ANN401  # as Typer's
    """An option that can be set by an environment variable too."""
    return typer.Option(
        metavar="NAME" if suggested else None,
        envvar=list(BASE_URLS) if name == "BASE_URL" else PREFIX + name,
        show_envvar=False,
        help=text,
        autocompletion=(lambda: list(suggested)) if suggested else None,
        rich_help_panel=panel,
    )


def _one_of(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}."


Model = Annotated[
    str,
    _setting(
        "MODEL",
        MODEL,
        "default, tiny, a Hugging Face id, a folder (model or LoRA adapter), a GGUF file, "
        "or the name a server has for it.",
        ("default", "tiny"),
    ),
]
EngineName = Annotated[str, _setting("ENGINE", MODEL, _one_of(ENGINES), ENGINES)]
Dtype = Annotated[str, _setting("DTYPE", MODEL, _one_of(DTYPES), DTYPES)]
Device = Annotated[
    str, _setting("DEVICE", MODEL, f"{', '.join(DEVICES)}, or one of several: cuda:1.", DEVICES)
]
BaseUrl = Annotated[
    str | None, _setting("BASE_URL", MODEL, "OpenAI-compatible server: http://127.0.0.1:8000/v1.")
]
BaseUrls = Annotated[
    list[str] | None,
    _setting("BASE_URL", MODEL, "OpenAI-compatible server; with --ray several, one --base-url each."),
]
NoStructured = Annotated[
    bool,
    typer.Option(
        "--no-structured",
        envvar=PREFIX + "NO_STRUCTURED",
        show_envvar=False,
        help="Say shapes in words to a server without structured output.",
        rich_help_panel=MODEL,
    ),
]

_QUESTIONS = typer.Argument(
    metavar="QUESTIONS",
    help="JSON Lines, CSV, Parquet or text file, a folder of them, or a folder or hub id for `datasets`.",
)
Questions = Annotated[str, _QUESTIONS]
QuestionsOrMessages = Annotated[str | None, _QUESTIONS]
QuestionColumn = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Column of the question; by default the usual names.",
        rich_help_panel=QUESTIONS,
    ),
]
Subset = Annotated[
    str | None, typer.Option(metavar="NAME", help="Configuration of a data set.", rich_help_panel=QUESTIONS)
]
Split = Annotated[
    str | None, typer.Option(metavar="NAME", help="Split of a data set.", rich_help_panel=QUESTIONS)
]
Concurrency = Annotated[
    int | None,
    typer.Option(
        min=1, help="Scenes at once, at most; fewer where more gain nothing.", rich_help_panel=RUNNING
    ),
]
RetryFailed = Annotated[
    bool,
    typer.Option(
        "--retry-failed",
        help="Play scenes that failed again, with another seed.",
        rich_help_panel=RUNNING,
    ),
]
Roles = Annotated[int, _setting("ROLES", SCENE, "People affected beside the asker, 1 to 8.")]
Steps = Annotated[int, _setting("STEPS", SCENE, "Steps the asker takes, 2 to 8.")]
MaxInteractions = Annotated[int, _setting("MAX_INTERACTIONS", SCENE, "Actions in all, at most, 1 to 64.")]
Temperature = Annotated[float, _setting("TEMPERATURE", SCENE, "Randomness of the model, 0 to 2.")]
Think = Annotated[
    int,
    _setting("THINK_TOKENS", SCENE, "Tokens in which the model may think before it answers; 0 for none."),
]
Seed = Annotated[int, _setting("SEED", SCENE, "The same seed plays the same scene, but for rounding.")]

Prompts = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        envvar=PREFIX + "PROMPTS",
        show_envvar=False,
        help="Folder of your own prompts; `monopolylogue prompts copy` makes one.",
        rich_help_panel=SCENE,
    ),
]
Cast = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="YAML file of people to play with; the others are imagined.",
        rich_help_panel=SCENE,
    ),
]

AsJson = Annotated[
    bool, typer.Option("--json", help="Print the record as one line of JSON alone.", rich_help_panel=OUTPUT)
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write the record to this file too.", rich_help_panel=OUTPUT),
]
NoCalls = Annotated[
    bool,
    typer.Option("--no-calls", help="Leave the model's calls out of the record.", rich_help_panel=OUTPUT),
]


def numbers(text: str, option: str) -> tuple[int, ...]:
    """Several whole numbers in one option, each once and in their order.

    Raises:
        InputError: Something else is among them.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise InputError(f"{option} takes whole numbers with commas between them, not {text!r}.")
    return tuple(sorted({int(part) for part in parts}))


@dataclass(frozen=True, kw_only=True)
class ModelChoice:
    """Which model to load, and how; see `inference.loading.load_engine`."""

    model: str
    engine: str
    dtype: str
    device: str
    base_url: str | None
    structured: bool
