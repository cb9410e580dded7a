"""Short words for the values of a record, as badges and filters show them."""

LABELS: dict[str, dict[str, str]] = {
    "ended": {"failure": "failed"},
    "answer": {
        "kept": "first answer kept",
        "revised": "revised",
        "rejected": "first answer rejected",
        "preferred": "revision not accepted",
    },
    "severity": {"none": "no harm"},
    "removed": {
        "all": "all of them",
        "most": "half or more",
        "some": "fewer than half",
        "none": "none",
        "more": "none, and more came",
        "harmless": "there were none",
    },
    "outcome": {
        "plan_finished": "plan finished",
        "plan_blocked": "plan blocked",
        "interaction_limit": "interaction limit",
    },
    "edited": {"hand": "changed by hand"},
    "again": {"failed": "could not be played again"},
}
"""Words for the values of a facet; a value without one stands for itself."""

TITLES = {
    "ended": "Ended as",
    "answer": "Answer",
    "verdict": "Verdict",
    "severity": "Worst consequence",
    "removed": "Harms removed",
    "outcome": "Scene ended by",
    "kind": "Kind of question",
    "edited": "Scene",
    "again": "Once more",
    "error": "Failed at",
}


def label(facet: str, value: str) -> str:
    """How a value is called on the page."""
    return LABELS.get(facet, {}).get(value, value)


def removed(share: float | None) -> str:
    """A share of harms removed, such as `67%`; None is that of an answer that harmed nobody."""
    if share is None:
        return "there were none"
    return f"{share:.0%}" if share >= 0 else f"none, {-share:.0%} more came"


def duration(seconds: float) -> str:
    """A time in the two largest units that fit, such as `8 min 53 s`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"
