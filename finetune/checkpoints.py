"""Checkpoints of a training: which of them are whole, and so can be gone on from."""

import json
from pathlib import Path
from typing import Any

FOLDER = "checkpoints"
STATE = "trainer_state.json"


def whole_checkpoints(out: Path) -> list[Path]:
    """The whole checkpoints of a training, in the order of their steps.

    The trainer writes its state last, so a checkpoint that was cut off, by a full disk or a kill, has none.
    """
    found = (out / FOLDER).glob("checkpoint-*")
    return sorted((path for path in found if state_of(path).get("global_step") == step_of(path)), key=step_of)


def last_checkpoint(out: Path) -> Path | None:
    """The latest whole checkpoint of a training, or None."""
    return next(reversed(whole_checkpoints(out)), None)


def step_of(checkpoint: Path) -> int:
    """Number of the step after which a checkpoint was written."""
    return int(checkpoint.name.rpartition("-")[2])


def state_of(checkpoint: Path) -> dict[str, Any]:
    """The trainer's state, its log in it; empty where there is none."""
    try:
        state = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}
