"""Which measurements make which figures."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from benchmarks.exporting import AT_ONCE
from benchmarks.measure import Measurement, Way, Workload
from benchmarks.report import Figure, compared

ENGINES: tuple[Literal["transformers", "openvino"], ...] = ("transformers", "openvino")
GIB = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured with one model.

    Attributes:
        model: Name of the model.
        requests: Requests that are in flight at once.
        lone_requests: Requests that are answered one at a time.
        scenes: Scenes that are played side by side.
        lone_scenes: Scenes whose calls are answered one at a time, where all would take hours; both ways are
            compared by scenes an hour.
        exported_scenes: Scenes that are played as an export plays them.
    """

    model: str
    requests: int
    lone_requests: int
    scenes: int
    lone_scenes: int
    exported_scenes: int


TINY = Size(model="tiny", requests=64, lone_requests=32, scenes=16, lone_scenes=2, exported_scenes=48)
DEFAULT = Size(model="default", requests=64, lone_requests=6, scenes=8, lone_scenes=1, exported_scenes=16)


def requests_figures(size: Size) -> Iterator[Figure]:
    """Many requests at once against `generate` of transformers, and the memory that takes."""
    peaks: dict[str, int] = {}
    kinds: tuple[tuple[Workload, Way, int, str], ...] = (
        ("short", "one at a time", size.lone_requests, "short requests"),
        ("prefix", "padded batch", size.requests, "requests with a shared prefix"),
    )
    for workload, way, units, what in kinds:
        base = run(size.model, way, workload, units)
        for engine in ENGINES:
            together = run(size.model, engine, workload, size.requests)
            most = run(size.model, engine, workload, 2 * size.requests)
            peaks[engine] = max(peaks.get(engine, 0), together.peak_bytes)
            name = f"{size.model}: {size.requests} {what} at once, {engine}, against generate, {way}"
            yield compared(
                name,
                together.tokens_per_second,
                "tokens/s",
                baseline=base.tokens_per_second,
                ceiling=most.tokens_per_second,
            )
            if workload == "prefix":
                prompt = together.prompt_tokens / together.units
                yield compared(f"{size.model}: tokens of such a prompt, {engine}", prompt, "tokens")
                reused = 100 * together.cached_tokens / together.prompt_tokens
                yield compared(f"{size.model}: of these reused, {engine}", reused, "%")
    for name, peak in peaks.items():
        of = f"{size.model}: peak memory with {size.requests} requests in flight, {name}"
        yield compared(of, peak / GIB, "GiB")


def scenes_figures(size: Size) -> Iterator[Figure]:
    """Scenes side by side against one model call at a time, and where the time and the tokens go."""
    base = run(size.model, "one at a time", "scenes", size.lone_scenes)
    for engine in ENGINES:
        together = run(size.model, engine, "scenes", size.scenes)
        calls = run(size.model, engine, "calls", size.scenes)
        alone = run(size.model, engine, "scenes", 1)
        of = f"{size.model}: {size.scenes} scenes side by side, {engine}"
        yield compared(
            f"{of}, against one call at a time",
            together.units_per_hour,
            "scenes/h",
            baseline=base.units_per_hour,
            ceiling=calls.units_per_hour,
        )
        yield compared(f"{of}: engine has work", 100 * together.engine_seconds / together.seconds, "%")
        yield compared(f"{of}: graph and parsing", 100 * together.loop_seconds / together.seconds, "%")
        computed = together.prompt_tokens - together.cached_tokens
        yield compared(f"{of}: prompt tokens computed a scene", computed / together.units, "tokens")
        yield compared(
            f"{of}: prompt tokens reused a scene", together.cached_tokens / together.units, "tokens"
        )
        in_company = sum(together.unit_seconds) / together.units
        yield compared(f"{of}: a scene in company", in_company, "s", baseline=alone.seconds)
        fresh = 100 * (1 - alone.cached_tokens / alone.prompt_tokens)
        yield compared(f"{size.model}: a scene alone, {engine}: prompt tokens computed", fresh, "%")


def export_figures(size: Size) -> Iterator[Figure]:
    """Scenes through an export's store, which has every row on the disk, against the same without it."""
    without = run(size.model, "openvino", "batch", size.exported_scenes)
    stored = run(size.model, "openvino", "export", size.exported_scenes)
    yield compared(
        f"{size.model}: {AT_ONCE} scenes at once through the export's store, openvino, against none",
        stored.units_per_hour,
        "scenes/h",
        baseline=without.units_per_hour,
    )


def run(model: str, way: Way, workload: Workload, units: int) -> Measurement:
    """Measure in a process of its own, so that memory is its own and no two models run at once.

    Raises:
        subprocess.CalledProcessError: The measurement failed; its error stands above.
    """
    print(f"measuring {model}: {workload}, {way}, {units}", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "benchmarks", "measure", model, way, workload, str(units)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Measurement(**json.loads(done.stdout.splitlines()[-1]))
