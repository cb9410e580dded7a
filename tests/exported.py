"""Records, failures and manifests of an export that was never run."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from scene.export import Counts, Failure, Manifest
from scene.nouns import ModelIdentity
from scene.record import SceneRecord

SAMPLE = Path(__file__).resolve().parents[1] / "docs" / "samples" / "ice-cream.json"
MODEL = ModelIdentity(id="scripted", revision=None, engine="scripted")


def key(number: int) -> str:
    return f"{number:016x}"


@cache
def _sample() -> SceneRecord:
    return SceneRecord.from_json(SAMPLE.read_text(encoding="utf-8"))


def record(number: int) -> SceneRecord:
    """The sample scene as one of many."""
    return _sample().model_copy(update={"id": key(number), "question_id": f"q{number}", "calls": None})


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
