"""Options that several subcommands share: the command line beats the environment, which beats the default."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.options.grouping import Group
from inference.engine import DEVICES, DTYPES, ENGINES
from inference.environment import BASE_URLS, PREFIX
from scene.errors import InputError
from scene.settings import SceneSettings

MODEL, SCENE, OUTPUT = "The model", "The scene", "Output"
QUESTIONS, RUNNING, MACHINES = "The questions", "Running", "More than one machine"
"""Titles in --help."""

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


def option(panel: str, text: str, *names: str, **more: Any) -> Any:  # noqa: ANN401  # as Typer's
    """An option of a panel in --help, with what else Typer may be told of it."""
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


def _setting(
    name: str, panel: str, text: str, *names: str, suggested: tuple[str, ...] = (), **more: Any
) -> Any:  # noqa: ANN401  # as Typer's
    """An option that can be set by an environment variable too."""
    if suggested:
        more |= {"metavar": "NAME", "autocompletion": lambda: list(suggested)}
    variables = list(BASE_URLS) if name == "BASE_URL" else PREFIX + name
    return option(panel, text, *names, envvar=variables, show_envvar=False, **more)


def _one_of(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}."


Model = Annotated[
    str,
    _setting(
        "MODEL",
        MODEL,
        "default, tiny, a Hugging Face id, a folder (model or LoRA adapter), a GGUF file, "
        "or the name a server has for it.",
        suggested=("default", "tiny"),
    ),
]
EngineName = Annotated[str, _setting("ENGINE", MODEL, _one_of(ENGINES), suggested=ENGINES)]
Dtype = Annotated[str, _setting("DTYPE", MODEL, _one_of(DTYPES), suggested=DTYPES)]
Device = Annotated[
    str, _setting("DEVICE", MODEL, f"{', '.join(DEVICES)}, or one of several: cuda:1.", suggested=DEVICES)
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
    _setting(
        "NO_STRUCTURED",
        MODEL,
        "Say shapes in words to a server without structured output.",
        "--no-structured",
    ),
]

_QUESTIONS = typer.Argument(
    metavar="QUESTIONS",
    help="JSON Lines, CSV, Parquet or text file, a folder of them, or a folder or hub id for `datasets`.",
)
Questions = Annotated[str, _QUESTIONS]
Limit = Annotated[int | None, option(QUESTIONS, "Only so many questions.", min=1)]
QuestionsOrMessages = Annotated[str | None, _QUESTIONS]
QuestionColumn = Annotated[
    str | None, option(QUESTIONS, "Column of the question; by default the usual names.", metavar="NAME")
]
Subset = Annotated[str | None, option(QUESTIONS, "Configuration of a data set.", metavar="NAME")]
Split = Annotated[str | None, option(QUESTIONS, "Split of a data set.", metavar="NAME")]
Concurrency = Annotated[
    int | None, option(RUNNING, "Scenes at once, at most; fewer where more gain nothing.", min=1)
]
RetryFailed = Annotated[
    bool, option(RUNNING, "Play scenes that failed again, with another seed.", "--retry-failed")
]
Roles = Annotated[int, _setting("ROLES", SCENE, "People affected beside the asker, 1 to 8.")]
Steps = Annotated[int, _setting("STEPS", SCENE, "Steps the asker takes, 2 to 8.")]
MaxInteractions = Annotated[int, _setting("MAX_INTERACTIONS", SCENE, "Actions in all, at most, 1 to 64.")]
Temperature = Annotated[float, _setting("TEMPERATURE", SCENE, "Randomness of the model, 0 to 2.")]
Think = Annotated[
    int, _setting("THINK_TOKENS", SCENE, "Tokens in which the model may think before it answers; 0 for none.")
]
Seed = Annotated[int, _setting("SEED", SCENE, "The same seed plays the same scene, but for rounding.")]

Prompts = Annotated[
    Path | None,
    _setting(
        "PROMPTS", SCENE, "Folder of your own prompts; `monopolylogue prompts copy` makes one.", metavar="DIR"
    ),
]
Cast = Annotated[
    Path | None, option(SCENE, "YAML file of people to play with; the others are imagined.", metavar="FILE")
]

AsJson = Annotated[bool, option(OUTPUT, "Print the record as one line of JSON alone.", "--json")]
ResultsAsJson = Annotated[bool, option(OUTPUT, "Print the results as JSON and nothing else.", "--json")]
Out = Annotated[Path | None, option(OUTPUT, "Write the record to this file too.", metavar="FILE")]
NoCalls = Annotated[bool, option(OUTPUT, "Leave the model's calls out of the record.", "--no-calls")]


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


def model_choice(
    model: Model = "default",
    engine: EngineName = "auto",
    dtype: Dtype = "auto",
    device: Device = "auto",
    base_url: BaseUrl = None,
    no_structured: NoStructured = False,
) -> ModelChoice:
    """A model, loaded as its kind is best loaded unless options say otherwise."""
    return ModelChoice(
        model=model,
        engine=engine,
        dtype=dtype,
        device=device,
        base_url=base_url,
        structured=not no_structured,
    )


def scene_settings(
    roles: Roles = SceneSettings.roles,
    steps: Steps = SceneSettings.steps,
    max_interactions: MaxInteractions = SceneSettings.max_interactions,
    temperature: Temperature = SceneSettings.temperature,
    think: Think = SceneSettings.think_tokens,
    seed: Seed = SceneSettings.seed,
) -> SceneSettings:
    """How a scene is played."""
    return SceneSettings(
        roles=roles,
        steps=steps,
        max_interactions=max_interactions,
        temperature=temperature,
        think_tokens=think,
        seed=seed,
    )


AnyModel = Annotated[ModelChoice, Group(model_choice)]
LocalModel = Annotated[ModelChoice, Group(model_choice, without=("base_url", "no_structured"))]
AnyScene = Annotated[SceneSettings, Group(scene_settings)]
