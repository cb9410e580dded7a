"""Writing twins: what is finished stays in a journal beside the question file, which is made of it."""

import asyncio
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

import prompts
from cli.options import ModelChoice
from cli.output import check_writable, save
from cli.views.console import plain_console
from cli.views.progress import Working
from cli.work.exporting import report
from cli.work.loading import is_named, loaded
from evaluation.records import Journal
from finetune.data.scenes import TWIN
from finetune.data.twins import DRAFTS, PROMPT, REASONS, TwinSet, Written, twin_set, write_twins
from inference.chat_model import EngineChatModel
from inference.engine import Engine
from nodes.asking import Asker
from scene.errors import InputError, MonopolylogueError
from scene.files import lock
from scene.nouns import Kind
from scene.origin import played_with
from scene.settings import SceneSettings
from scene.tables.questions import Question, QuestionSet


def run_twins(
    found: QuestionSet, source: str, settings: SceneSettings, choice: ModelChoice, out: Path
) -> None:
    """Write the twins that are missing, then the file of all pairs, and say what there is.

    Raises:
        MonopolylogueError: A question or the file can't be used, the model can't be loaded or is another one
            than before, the engine failed, or not one question has a twin.
    """
    console = plain_console(stderr=True)
    report(console, source, found)
    _check_ids(found.questions, source)
    with _journal(out) as journal:
        digest = prompts.digest(PROMPT.partition("/")[0])
        told = settings.seed, settings.temperature, digest
        _check(all((one.seed, one.temperature, one.prompts) == told for one in journal.records), out)
        try:
            done = _done(journal, found)
            left = [question for question in found.questions if question.id not in done]
            if left or not is_named(choice, journal.records[0].model):
                with loaded(choice, console) as engine:
                    now = played_with(engine.identity, digest)
                    _check(all(played_with(one.model, one.prompts) == now for one in journal.records), out)
                    _write(engine, left, journal, settings, digest, console)
        finally:
            pairs = twin_set(found.questions, _done(journal, found))
            save(out, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in pairs.rows))
    _show(pairs, len(found.questions), out)


def _write(
    engine: Engine,
    questions: Sequence[Question],
    journal: Journal[Written],
    settings: SceneSettings,
    digest: str,
    console: Console,
) -> None:
    """Write twins, each kept on the disk once it is finished."""
    done = 0
    with Working(console) as working:

        def keep(question: Question, kind: Kind, twin: str, reason: str) -> None:
            nonlocal done
            journal.append(
                Written(
                    id=question.id,
                    question=question.text,
                    given=question.kind,
                    kind=kind,
                    twin=twin,
                    reason=reason,
                    seed=settings.seed,
                    temperature=settings.temperature,
                    prompts=digest,
                    model=engine.identity,
                )
            )
            done += 1
            working.say(f"twins: {done:,} of {len(questions):,}")

        asker = Asker(EngineChatModel(engine=engine), settings, "twins")
        asyncio.run(write_twins(questions, asker, keep, max(1, engine.requests_at_once // DRAFTS)))


@contextmanager
def _journal(out: Path) -> Iterator[Journal[Written]]:
    """What is finished of a file, held by this process alone.

    Raises:
        InputError: Another process writes it, it is somebody else's, or it can't be written.
    """
    check_writable(out)
    path = out.with_name(f"{out.name}.journal")
    if out.exists() and not path.exists():
        raise InputError(f"{out} is there already, and not of twins; give another --out.")
    try:
        handle = lock(path)
    except BlockingIOError as error:
        raise InputError(
            f"Another process writes {out}; wait until it ends, or give another --out."
        ) from error
    try:
        yield Journal(path, Written)
    finally:
        os.close(handle)


def _done(journal: Journal[Written], found: QuestionSet) -> dict[str, Written]:
    """What is finished of the questions as they are now, by their ids."""
    asked = {(one.id, one.text, one.kind) for one in found.questions}
    return {one.id: one for one in journal.records if (one.id, one.question, one.given) in asked}


def _check(unchanged: bool, out: Path) -> None:
    """Refuse to mix what different models, seeds or prompts have written."""
    if not unchanged:
        raise InputError(
            f"{out} was begun with another model, seed, temperature or prompt; give the old ones to go on, "
            "or another --out to begin anew."
        )


def _check_ids(questions: Sequence[Question], source: str) -> None:
    """Each question needs an id of its own, of which its twin's is made.

    Raises:
        InputError: One has not.
    """
    seen: set[str] = set()
    for question in questions:
        if question.id in seen or question.id.endswith(TWIN):
            why = "is a twin's" if question.id.endswith(TWIN) else "is another question's too"
            raise InputError(f"{source}, {question.place}: its id {question.id!r} {why}; mend it.")
        seen.add(question.id)


def _show(pairs: TwinSet, questions: int, out: Path) -> None:
    """What there is, on standard output.

    Raises:
        MonopolylogueError: There is no pair.
    """
    console = plain_console()
    for reason, why in REASONS.items():
        if count := pairs.dropped[reason]:
            console.print(f"left out: {count:,} {reason}: {why}")
    if not pairs.rows:
        raise MonopolylogueError("Not one question has a twin; try another --seed, or a larger model.")
    console.print(f"{len(pairs.rows) // 2:,} of {questions:,} questions have a twin; written to {out}.")
