"""Loading takes little more memory than the weights that it leaves."""

from pathlib import Path

import pytest

from inference.models.local import transformers_folder
from inference.models.sources import resolve
from inference.transformers_engine.pretrained import load_pretrained

RESET = Path("/proc/self/clear_refs")


def kilobytes(of: str) -> int:
    """A figure of this process: `VmRSS`, or `VmHWM`, the most that was resident since the reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{of}:")))


@pytest.mark.model
@pytest.mark.skipif(not RESET.exists(), reason="the peak of a running process is Linux's to tell")
def test_weights_that_are_cast_are_held_once() -> None:
    folder = transformers_folder(resolve("tiny"))
    load_pretrained(folder, name="tiny", dtype="bfloat16", device="cpu")  # imports, and maps what is not cast
    before = kilobytes("VmRSS")
    RESET.write_text("5")
    model = load_pretrained(folder, name="tiny", dtype="float32", device="cpu").model
    weights = sum(weight.nbytes for weight in model.parameters()) // 1024
    assert kilobytes("VmHWM") - before < 1.3 * weights
