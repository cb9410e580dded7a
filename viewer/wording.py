"""Short words for the values of a record, as badges and filters show them."""

from __future__ import annotations

LABELS: dict[str, dict[str, str]] = {
    "ended": {"scene": "scene", "failure": "failed"},
    "answer": {"kept": "first answer kept", "revised": "revised", "rejected": "revision not accepted"},
    "verdict": {"keep": "keep", "revise": "revise"},
    "severity": {"severe": "severe", "moderate": "moderate", "minor": "minor", "none": "no harm"},
    "outcome": {
        "plan_finished": "plan finished",
        "plan_blocked": "plan blocked",
        "interaction_limit": "interaction limit",
    },
    "kind": {"harmful": "harmful", "helpful": "helpful"},
    "error": {},
}
"""Words for each value of a facet; a value without one stands for itself."""

TITLES = {
    "ended": "Ended as",
    "answer": "Answer",
    "verdict": "Verdict",
    "severity": "Worst consequence",
    "outcome": "Scene ended by",
    "kind": "Kind of question",
    "error": "Failed at",
}


def label(facet: str, value: str) -> str:
    """How a value is called on the page."""
    return LABELS[facet].get(value, value)


def duration(seconds: float) -> str:
    """A time in the two largest units that fit, such as `8 min 53 s`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"
