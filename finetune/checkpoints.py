"""Checkpoints of a training: which of them are whole, and so can be gone on from."""

from __future__ import annotations

import json
from pathlib import Path

FOLDER = "checkpoints"
STATE = "trainer_state.json"


def last_checkpoint(out: Path) -> Path | None:
    """The latest whole checkpoint of a training, or None.

    The trainer writes its state last, so a checkpoint that was cut off, by a full disk or a kill, has none.

    Args:
        out: Folder of the training.
    """
    found = [path for path in (out / FOLDER).glob("checkpoint-*") if _is_whole(path)]
    return max(found, key=step_of, default=None)


def step_of(checkpoint: Path) -> int:
    """Number of the step after which a checkpoint was written."""
    return int(checkpoint.name.rpartition("-")[2])


def _is_whole(checkpoint: Path) -> bool:
    try:
        state = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(state, dict) and state.get("global_step") == step_of(checkpoint)
