"""Options under the names that other programs have for them."""

import inspect
from typing import Annotated

import pytest
import typer

from cli.main import app
from cli.options import MATRIX, TRL, scene_settings
from cli.options.grouping import Group, grouped
from cli.options.own import Staging
from scene.errors import InputError
from scene.settings import SceneSettings
from tests.cli.test_bad_input import refused

TRAIN = {
    "output_dir": "out",
    "model_name_or_path": "tiny",
    "dataset_config": "plain",
    "num_train_epochs": "2",
    "max_steps": "5",
    "learning_rate": "1e-4",
    "lr_scheduler_type": "linear",
    "warmup_ratio": "0.1",
    "weight_decay": "0.01",
    "per_device_train_batch_size": "4",
    "gradient_accumulation_steps": "2",
    "max_seq_length": "256",
    "desirable_weight": "1.5",
    "save_total_limit": "3",
    "torch_dtype": "float32",
    "lora_r": "4",
    "report_to": "none",
}
SCENE = {"agent_num": "3", "ego_steps": "4", "max_interactions": "9"}


def params(command: str, *words: str) -> dict:
    """What a command makes of its words."""
    one = typer.main.get_command(app).commands[command]
    return one.make_context(command, list(words)).params


@pytest.mark.parametrize(
    ("command", "words", "given", "names"),
    [
        ("train", ["data"], TRAIN, TRL),
        ("run", ["Why?"], SCENE, MATRIX),
        ("export", ["questions.jsonl", "--out", "scenes"], SCENE, MATRIX),
    ],
)
def test_other_names_mean_ours(command, words, given, names):
    assert names.keys() - {"load_in_4bit"} <= given.keys()
    ours = {names.get(name, name).replace("_", "-"): value for name, value in given.items()}
    expected = params(command, *words, *(word for one in ours.items() for word in (f"--{one[0]}", one[1])))
    assert params(command, *words, *(w for one in given.items() for w in (f"--{one[0]}", one[1]))) == expected
    assert params(command, *words, *(f"--{name}={value}" for name, value in given.items())) == expected
    assert expected != params(command, *words, *(["--out", "out"] if command == "train" else []))


def test_switches_have_other_names_too():
    words = ("data", "--output_dir", "out")
    assert params("train", *words, "--load_in_4bit")["quantize"] is True
    assert params("train", *words, "--no-quantize", "--gradient_checkpointing")["quantize"] is False
    assert params("train", *words, "--gradient_checkpointing")["gradient_checkpointing"] is True


@pytest.mark.parametrize("command", ["train", "run", "export"])
def test_help_has_our_names_alone(monopolylogue, command):
    told = monopolylogue(command, "--help", env={"COLUMNS": "200"}).stdout
    assert not [
        name for name in (*TRL, *MATRIX) if f"--{name}" in told or f"--{name.replace('_', '-')} " in told
    ]


def test_a_value_that_looks_like_a_name_stays_what_it_is():
    assert params("run", "Why?", "--answer", "--agent_num")["answer"] == "--agent_num"
    assert params("run", "--", "--agent_num")["question"] == "--agent_num"


def test_names_of_other_commands_are_refused(monopolylogue):
    done = monopolylogue("run", "Why?", "--output_dir", "x")
    assert (done.exit_code, "No such option" in done.stderr) == (2, True)
    refused(monopolylogue("run", "Why?", "--agent_num", "99"), "roles must be between 1 and 8")


def test_a_group_is_options_and_the_command_gets_what_they_make():
    def command(
        scene: Annotated[SceneSettings, Group(scene_settings, without=("seed", "think"))], out: str = "-"
    ):
        return scene, out

    ours = grouped(command)
    assert list(inspect.signature(ours).parameters) == [
        "roles",
        "steps",
        "max_interactions",
        "temperature",
        "out",
    ]
    given = {"steps": 4, "max_interactions": 9, "temperature": 0.5, "out": "x"}
    assert ours(roles=3, **given) == (
        SceneSettings(roles=3, steps=4, max_interactions=9, temperature=0.5),
        "x",
    )
    with pytest.raises(InputError, match="roles must be between 1 and 8"):
        ours(roles=9, **given)


def test_a_dataclass_is_a_group_and_groups_may_be_in_groups():
    def command(staging: Staging):
        return staging.settings.seed

    assert grouped(command)(**scene_options(seed=7), cast=None, prompts=None) == 7


def scene_options(**given):
    names = inspect.signature(scene_settings).parameters.values()
    return {one.name: one.default for one in names} | given
