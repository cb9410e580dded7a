"""Which measurements make which figures."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from benchmarks.ledger import Ledger
from benchmarks.measure import Measurement, Way, Workload
from benchmarks.report import GB, Figure, compared

Group = Literal["requests", "scenes", "training"]
"""Figures that are measured together."""

ENGINES: tuple[Way, ...] = ("transformers", "llama")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured with one model.

    Fewer scenes are played with one call at a time, where all would take hours. Minutes are on two processor
    cores.
    """

    model: str
    requests: int
    lone_requests: int
    scenes: int
    lone_scenes: int
    minutes: dict[Group, int]


TINY = Size(
    model="tiny",
    requests=64,
    lone_requests=32,
    scenes=16,
    lone_scenes=2,
    minutes={"requests": 9, "scenes": 15, "training": 5},
)
DEFAULT = Size(
    model="default",
    requests=64,
    lone_requests=6,
    scenes=8,
    lone_scenes=1,
    minutes={"requests": 30, "scenes": 50, "training": 40},
)


def requests_figures(size: Size, ledger: Ledger) -> Iterator[Figure]:
    """Many requests at once against `generate` of transformers, and the memory that each way takes."""
    peaks: dict[Way, int] = {}
    kinds: tuple[tuple[Workload, Way, int, str, str], ...] = (
        ("short", "one at a time", size.lone_requests, "short requests", "of them one at a time"),
        ("prefix", "padded batch", size.requests, "requests with a shared prefix", "in one padded batch"),
    )
    for workload, way, units, what, how in kinds:
        base = run(ledger, size.model, way, workload, units)
        peaks[way] = base.peak_bytes
        for engine in ENGINES:
            together = run(ledger, size.model, engine, workload, size.requests)
            most = run(ledger, size.model, engine, workload, 2 * size.requests)
            peaks[engine] = max(peaks.get(engine, 0), together.peak_bytes)
            name = f"{size.model}: {size.requests} {what} at once, {engine}, against generate, {units} {how}"
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
        yield compared(f"{size.model}: requests, {name}: peak memory", peak / GB, "GB")


def scenes_figures(size: Size, ledger: Ledger) -> Iterator[Figure]:
    """Scenes side by side against one model call at a time, and where time, tokens and memory go."""
    base = run(ledger, size.model, "one at a time", "scenes", size.lone_scenes)
    name = f"{size.model}: {size.lone_scenes} scenes with one call at a time: peak memory"
    yield compared(name, base.peak_bytes / GB, "GB")
    for engine in ENGINES:
        together = run(ledger, size.model, engine, "scenes", size.scenes)
        calls = run(ledger, size.model, engine, "calls", size.scenes)
        alone = run(ledger, size.model, engine, "scenes", 1)
        of = f"{size.model}: {size.scenes} scenes side by side, {engine}"
        yield compared(
            f"{of}, against {size.lone_scenes} of them with one call at a time",
            together.units_per_hour,
            "scenes/h",
            baseline=base.units_per_hour,
            ceiling=calls.units_per_hour,
        )
        asked = 100 * together.asked_seconds / together.seconds
        yield compared(f"{of}: time with a request under way (not: engine computes)", asked, "%")
        name = f"{of}: time of {together.cores} cores that the engine's threads had"
        yield compared(name, 100 * together.engine_share, "%")
        yield compared(f"{of}: graph and parsing", 100 * together.loop_seconds / together.seconds, "%")
        yield compared(f"{of}: peak memory", together.peak_bytes / GB, "GB")
        computed = together.prompt_tokens - together.cached_tokens
        yield compared(f"{of}: prompt tokens computed a scene", computed / together.units, "tokens")
        yield compared(
            f"{of}: prompt tokens reused a scene", together.cached_tokens / together.units, "tokens"
        )
        in_company = sum(together.unit_seconds) / together.units
        yield compared(f"{of}: a scene in company", in_company, "s", baseline=alone.seconds)
        fresh = 100 * (1 - alone.cached_tokens / alone.prompt_tokens)
        yield compared(f"{size.model}: a scene alone, {engine}: prompt tokens computed", fresh, "%")
        yield compared(f"{size.model}: a scene alone, {engine}: peak memory", alone.peak_bytes / GB, "GB")


def run(ledger: Ledger, model: str, way: Way, workload: Workload, units: int) -> Measurement:
    """Measure in a process of its own; see `benchmarks.measure.measure`."""
    return Measurement(**ledger.take("measure", model, way, workload, str(units)))
