"""What became better and worse, in sentences that the results alone decide on."""

from collections.abc import Iterator

from evaluation.metrics import METRICS
from evaluation.report.tables import interval, number, p_value, where
from evaluation.results import ALL, Figure, Results
from evaluation.statistics import Estimate

SIGNIFICANT = 0.05


def sentences(results: Results, system: str) -> Iterator[str]:
    """How a tuned system compares with the baseline, and with what was reached without training.

    A loss is told where its own p says so or, without a test, its interval; a gain only where its p does
    after Holm's correction.
    """
    base = results.names[0]
    own = [one for one in results.differences if one.system == system and (one.against or base) == base]
    for gain, word in ((False, "worse"), (True, "better")):
        found = [one for one in own if _gain(one) is gain and _is_significant(one.estimate, gain)]
        listed = "; ".join(f"{_what(one)} ({_apart(one)})" for one in found)
        yield f"Significantly {word} than `{base}` is `{system}` in {listed or 'nothing that was tested'}."
    for judged in results.judged:
        if judged.system == system and judged.set != ALL:
            net = ", ".join([f"{interval(judged.net, '%', sign=True)} points", *p_value(judged.net)])
            pair = f"wins of `{system}` against `{judged.baseline}` less losses"
            yield f"Judged on {judged.set}, {pair}: {net}."
    models = {one["name"]: one["model"] for one in results.systems}
    for other in results.names[1:]:
        if models.get(other) != models.get(base) or other == system:
            continue
        better = [one for one in results.figures if one.system == other and _beats(results, one, system)]
        listed = "; ".join(f"{_what(one)} ({_instead(results, one, system)})" for one in better)
        if listed:
            yield f"Without any training `{other}` does better than `{system}` in {listed}."


def _gain(one: Figure) -> bool | None:
    better = METRICS[one.metric].better
    return None if better == "neither" else (one.estimate.value > 0) == (better == "higher")


def _is_significant(one: Estimate, gain: bool) -> bool:
    p = one.adjusted if gain and one.adjusted is not None else one.p
    return p < SIGNIFICANT if p is not None else not gain and not one.low <= 0 <= one.high


def _beats(results: Results, one: Figure, system: str) -> bool:
    theirs = results.find(results.figures, one.set, one.metric, system)
    better = METRICS[one.metric].better
    if theirs is None or better == "neither" or one.estimate.value == theirs.value or one.set == ALL:
        return False
    return (one.estimate.value > theirs.value) == (better == "higher")


def _what(one: Figure) -> str:
    return f"{METRICS[one.metric].title} on {where(one.set)}"


def _apart(one: Figure) -> str:
    unit = METRICS[one.metric].unit
    said = f"{interval(one.estimate, unit, sign=True)} {'points' if unit == '%' else unit}"
    return ", ".join([said, *p_value(one.estimate)])


def _instead(results: Results, one: Figure, system: str) -> str:
    unit = METRICS[one.metric].unit
    theirs = results.find(results.figures, one.set, one.metric, system)
    apart = results.apart(one.set, one.metric, one.system, system)
    assert theirs is not None
    ours, other = (number(value, unit) for value in (one.estimate.value, theirs.value))
    said = f"{ours}% instead of {other}%" if unit == "%" else f"{ours} instead of {other} {unit}"
    return ", ".join([said, *(p_value(apart) if apart is not None else ())])
