"""What is left to play of a set of questions, given what an export's folder already holds."""

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from graph.play import versions
from prompts import OURS, PromptSet
from scene.cast import IMAGINED, Given
from scene.errors import ExportError
from scene.export import Contents, Counts, Manifest
from scene.nouns import Kind, ModelIdentity
from scene.record import SceneRecord, scene_id
from scene.settings import SceneSettings
from scene.tables.questions import Question, QuestionSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One question to play a scene for.

    Attributes:
        id: Id of its record. It does not change when a scene that failed is played again.
        attempt: How often the scene was played before and failed; each time with another seed, since the
            same one would most likely fail again.
        played: The scene, where it was played and the engine failed in its replay: that alone is left to do.
    """

    id: str
    question: Question
    settings: SceneSettings
    given: Given = IMAGINED
    attempt: int = 0
    played: SceneRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an export has to do."""

    jobs: list[Job]
    questions: int
    done: int
    failed: int


def chosen(questions: Sequence[Question], shuffle_seed: int | None, limit: int | None) -> list[Question]:
    """The questions in the order in which they are played: shuffled if asked for, then cut off."""
    ordered = list(questions)
    if shuffle_seed is not None:
        random.Random(shuffle_seed).shuffle(ordered)
    return ordered[:limit]


def new_manifest(
    source: str,
    found: QuestionSet,
    asked: int,
    settings: SceneSettings,
    model: ModelIdentity,
    *,
    kind: Kind | None,
    keep_calls: bool,
    verify: bool = False,
    structured: bool = True,
    given: Given = IMAGINED,
    prompt_set: PromptSet = OURS,
) -> Manifest:
    """The manifest of an export that has not begun."""
    now = datetime.now(UTC)
    return Manifest(
        state="running",
        source=source,
        settings={
            **asdict(settings),
            "kind": kind,
            "keep_calls": keep_calls,
            "verify": verify,
            "structured": structured,
            **({"cast": given.digest} if given.digest else {}),
        },
        model=model,
        prompt_digest=prompt_set.digest(),
        prompt_folder=prompt_set.folder,
        versions=dict(versions()),
        counts=Counts(questions=asked, done=0, failed=0, pending=asked),
        malformed=tuple(map(str, found.malformed)),
        repeated=tuple(map(str, found.repeated)),
        started=now,
        updated=now,
    )


def check_unchanged(old: Manifest | None, new: Manifest, folder: object) -> None:
    """Refuse to go on with an export under other settings: its rows would not belong together.

    Raises:
        ExportError: They differ; the sentence says in what, and what to do.
    """
    if old is not None and (changes := old.changes(new)):
        raise ExportError(
            f"{folder} was begun with other settings: {'; '.join(changes)}. "
            "Give the old ones to go on with it, or another --out to begin anew."
        )


def plan(
    questions: Sequence[Question],
    settings: SceneSettings,
    model: ModelIdentity,
    contents: Contents,
    *,
    retry_failed: bool = False,
    given: Given = IMAGINED,
    prompt_set: PromptSet = OURS,
) -> Plan:
    """Sort questions into those that are done, failed, and to be played.

    Raises:
        ExportError: The folder holds scenes of other questions, or questions are of another kind now.
    """
    digest = prompt_set.digest()
    jobs: list[Job] = []
    done = failed = 0
    ids = set()
    changed: list[str] = []
    for question in questions:
        key = scene_id(
            question.text,
            question.first_answer,
            settings,
            model,
            digest,
            question_id=question.id,
            context=question,
            given=given,
        )
        ids.add(key)
        failure = contents.failed.get(key)
        if key in contents.done:
            done += 1
            kind = contents.kinds.get(key, question.kind)
            if kind != question.kind:
                changed.append(f"{question.id} was {kind} and is now {question.kind}")
        elif failure is not None and not retry_failed:
            failed += 1
        else:
            attempt = failure.attempt + 1 if failure is not None else 0
            jobs.append(Job(id=key, question=question, settings=settings, given=given, attempt=attempt))
    others = len(contents.done - ids) + len(contents.failed.keys() - ids)
    if others:
        raise ExportError(
            f"{others:,} of the scenes in the folder belong to questions that are not among the "
            f"{len(questions):,} asked now. Give the same questions, --limit and --shuffle-seed to go on "
            "(more questions may be added), or another --out to begin anew."
        )
    if changed:
        raise ExportError(
            f"{len(changed):,} finished scenes would keep another kind than their questions have now "
            f"(the first, {changed[0]}). Give the old kinds to go on, or another --out to begin anew."
        )
    return Plan(jobs=jobs, questions=len(questions), done=done, failed=failed)
