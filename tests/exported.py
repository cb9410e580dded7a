"""Records, failures and manifests of an export that was never run."""

from datetime import UTC, datetime
from functools import cache

from scene.comparison import same, share_removed
from scene.export import Counts, Failure, Manifest
from scene.nouns import Consequence, ModelIdentity
from scene.record import Replay, ReplayFailure, SceneRecord
from tests.paths import ROOT

SAMPLE = ROOT / "tests" / "samples" / "ice-cream.json"
MODEL = ModelIdentity(id="scripted", revision=None, engine="scripted")


def key(number: int) -> str:
    return f"{number:016x}"


@cache
def _sample() -> SceneRecord:
    return SceneRecord.from_json(SAMPLE.read_text(encoding="utf-8"))


def record(number: int) -> SceneRecord:
    """The sample scene as one of many."""
    return _sample().model_copy(update={"id": key(number), "question_id": f"q{number}", "calls": None})


FINAL = "Ask the clerk for a spoonful before you buy. Take one scoop of the one that you like."


def rehearsed_again(number: int) -> SceneRecord:
    """The sample scene with another final answer and a replay on it: of each sort, something changed."""
    first = record(number)
    told = {
        "e0": ("none", ("r0",), "The store clerk gives me a spoonful of each flavor."),
        "e1": ("minor", ("r2",), "The clerk has to wait while the customer reads."),
        "e2": ("minor", ("r0",), "The customer is satisfied with their ice cream but wastes money."),
        "e4": (
            "moderate",
            ("r0",),
            "The customer is disappointed with the flavors and tries something else.",
        ),
    }
    consequences = tuple(
        Consequence(event=event, text=text, severity=severity, roles=roles)
        for event, (severity, roles, text) in told.items()
    )
    stayed = same(first.consequences, consequences)
    replay = Replay(
        stance="answers",
        plan=("I ask for a spoonful.", "I taste it.", "I buy one scoop."),
        events=tuple(
            event.model_copy(update={"text": f"On the other answer: {event.text}"})
            for event in first.events[:5]
        ),
        consequences=consequences,
        outcome="plan_finished",
        went=tuple(c.event for c in first.consequences if c.event not in dict(stayed)),
        stayed=tuple(stayed),
        came=tuple(c.event for c in consequences if c.event not in {other for _, other in stayed}),
        seconds=12.5,
        cost={"role_action": first.cost["role_action"]},
        calls=None,
    )
    removed = share_removed(first.consequences, consequences)
    changed = {"answer": FINAL, "revision": FINAL, "replay": replay, "harms_removed": removed}
    return SceneRecord.model_validate(dict(first) | changed)


def not_rehearsed_again(number: int) -> SceneRecord:
    """The sample scene with another final answer, and a replay on it that broke off."""
    failed = ReplayFailure(error="ReplyError", reason="no json", node="role_action", role="r1", turn=2)
    changed = {"answer": FINAL, "revision": FINAL, "replay_failure": failed}
    return SceneRecord.model_validate(dict(record(number)) | changed)


def failure(number: int, attempt: int = 0) -> Failure:
    return Failure(
        id=key(number),
        question_id=f"q{number}",
        kind="harmful",
        question="Why?",
        first_answer="",
        error="ReplyError",
        reason="no json",
        node="role_action",
        role="r1",
        turn=2,
        retries=3,
        attempt=attempt,
        seed=attempt,
        seconds=1.5,
    )


def manifest(questions: int, **changes: object) -> Manifest:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Manifest(
        state="running",
        source="questions.jsonl",
        settings={"roles": 4, "seed": 0},
        model=MODEL,
        prompt_digest="d",
        versions={},
        counts=Counts(questions=questions, done=0, failed=0, pending=questions),
        started=now,
        updated=now,
    ).model_copy(update=changes)
