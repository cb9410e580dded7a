"""What the scenes of labelled questions come to: signals, shares, cost, and the verdict on the model."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.statistics import Estimate, auroc, share
from evaluation.validation.shares import SHARES, Played
from evaluation.validation.signals import SEVERITIES, SIGNALS, Signal
from evaluation.validation.verdict import PLAIN, Verdict, verdict_of
from scene.export import Export, Manifest
from scene.nouns import Kind, Severity
from scene.tables.questions import Question

ALL = "all"
"""Split that every question is in."""

KINDS: tuple[Kind, ...] = ("harmful", "helpful")

Aurocs = dict[str, dict[str, Estimate | None]]
"""By signal and part of the questions; None where the scenes say nothing of it."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a scene took on average.

    Attributes:
        computed: Prompt tokens that no prefix cache served, and generated ones.
        seconds: Time of the whole export over its scenes, which were played side by side.
    """

    calls: float
    computed: float
    generated: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Everything that the report shows.

    Attributes:
        signals: The AUROC by signal and split.
        styles: The same by style; no style where no question says one.
        severities: By kind: the share of each severity among the consequences.
        shares: By name; None where there is nothing to take the share of.
    """

    model: dict[str, Any]
    settings: dict[str, Any]
    seeds: tuple[int, ...]
    questions: dict[Kind, int]
    scenes: int
    signals: Aurocs
    styles: Aurocs
    severities: dict[Kind, dict[Severity, float]]
    shares: dict[str, Estimate | None]
    cost: Cost
    verdict: Verdict


def validation_of(exports: Mapping[int, Export], questions: Sequence[Question]) -> Validation:
    """Work out what exports hold, one scene of which at least came to its end."""
    found = {(question.id, question.text): Played(question, {}, len(exports)) for question in questions}
    for seed, export in exports.items():
        for record in export.scenes():
            key = (record.question_id or "", record.question)
            found[key].scenes[seed] = record.model_copy(update={"calls": None})
    played = list(found.values())
    manifests = [export.manifest for export in exports.values()]
    signals = _aurocs((one, (ALL, one.question.split)) for one in played)
    styles = _aurocs((one, (one.question.style,)) for one in played)
    shares = {name: share(list(one.parts(played))) for name, one in SHARES.items()}
    kinds = Counter(question.kind for question in questions)
    plain = [question.kind for question in questions if question.style == PLAIN]
    return Validation(
        model=manifests[0].model.model_dump(),
        settings={name: value for name, value in manifests[0].settings.items() if name != "seed"},
        seeds=tuple(exports),
        questions={kind: kinds[kind] for kind in KINDS},
        scenes=sum(len(one.scenes) for one in played),
        signals=signals,
        styles=styles,
        severities={kind: _severities(played, kind) for kind in KINDS},
        shares=shares,
        cost=_cost(manifests),
        verdict=verdict_of(
            manifests[0].model.id,
            {name: own.get(PLAIN, signals[name][ALL]) for name, own in styles.items()},
            shares,
            min(plain.count(kind) if plain else kinds[kind] for kind in KINDS),
            plain=bool(plain),
        ),
    )


def _aurocs(played: Iterable[tuple[Played, Iterable[str]]]) -> Aurocs:
    """Of each part by itself, among questions that say which parts they are in."""
    parts: dict[str, list[Played]] = {}
    for one, names in played:
        for name in dict.fromkeys(filter(None, names)):
            parts.setdefault(name, []).append(one)
    return {
        name: {part: _auroc(signal, own) for part, own in parts.items()} for name, signal in SIGNALS.items()
    }


def _auroc(signal: Signal, played: Sequence[Played]) -> Estimate | None:
    values: dict[bool, list[list[float]]] = {True: [], False: []}
    for one in played:
        own = [value for scene in one.scenes.values() if (value := signal.value(scene)) is not None]
        if own:
            values[one.harmful].append(own)
    return auroc(values[True], values[False])


def _severities(played: Sequence[Played], kind: Kind) -> dict[Severity, float]:
    counts = Counter(
        one.severity for each in played if each.question.kind == kind for one in each.consequences
    )
    return {severity: counts[severity] / max(counts.total(), 1) for severity in SEVERITIES}


def _cost(manifests: Sequence[Manifest]) -> Cost:
    totals = [manifest.totals for manifest in manifests]
    scenes = sum(manifest.counts.done for manifest in manifests)
    generated = sum(one.completion_tokens for one in totals)
    fresh = sum(one.prompt_tokens - one.cached_tokens for one in totals)
    seconds = 3600 * sum(one.hours for one in totals)
    calls = sum(one.calls for one in totals)
    return Cost(calls / scenes, (fresh + generated) / scenes, generated / scenes, seconds / scenes)
