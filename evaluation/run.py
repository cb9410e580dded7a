"""What is not done yet: questions put to systems, references scored, pairs of answers judged."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from statistics import median

from evaluation.grader import Grader
from evaluation.judge import Judge
from evaluation.methods import method_named
from evaluation.planted import compared_by, grades_by, judging_of, planted_pairs, verdict, verdicts
from evaluation.records import Answer, Likelihood
from evaluation.session import Reply, Sampling, Scenes, Session
from evaluation.sets import Item
from evaluation.store import JUDGE, Store
from evaluation.systems import System
from inference.engine import ChatMessage, Engine, GenerationRequest
from nodes.together import together
from scene.errors import InputError, PromptTooLongError, ReplyError
from scene.settings import SceneSettings

SCORED_AT_ONCE = 64
"""References scored before they are kept."""

ENDLESS, PACES = "Count from one to ten thousand, in words, one number a line. Leave none out.", 3
"""What is asked to see how fast a model writes, and how often it counts."""

GRADES = 3
"""Questions about an answer that a grader has under way at once."""

Progress = Callable[[int, int], None]
"""Called with how many of how many are done."""


def unanswered(
    store: Store, system: System, items: Sequence[Item], *, retry_failed: bool = False
) -> list[Item]:
    """The questions that a system has no answer to yet; those that it failed at too where they are retried.

    Raises:
        InputError: A question of the same set and id was another one before.
    """
    done = {answer.key: answer for answer in store.answers.records}
    left = []
    for item in items:
        answer = done.get((system.name, *item.key))
        if answer is not None and answer.question != item.question:
            raise InputError(
                f"Question {item.id} of {item.set} was another one when {store.folder} was begun; give "
                "another --out."
            )
        if answer is None or (retry_failed and answer.error is not None):
            left.append(item)
    return left


async def answer_all(
    engine: Engine,
    system: System,
    items: Sequence[Item],
    store: Store,
    sampling: Sampling,
    scene: SceneSettings,
    progress: Progress,
    scenes: Scenes | None = None,
) -> None:
    """Put questions to one system, as many at once as keep its engine busy; each answer is kept at once.

    A question that the method fails at, or that does not fit the model, is kept with the reason. Methods that
    need scenes of the set get `scenes`.

    Raises:
        EngineError: The engine failed. The answers that were finished are kept.
    """
    method = method_named(system.method)
    room = asyncio.Semaphore(max(1, engine.requests_at_once // method.at_once))
    settings = system.scene_settings(scene)
    scenes = scenes or Scenes(())
    budget = scenes.tokens if system.tokens == "scenes" else int(system.tokens)
    last, done = time.perf_counter(), 0

    async def one(item: Item) -> None:
        nonlocal last, done
        async with room:
            session = Session(
                engine, item.question, sampling, settings, store.prompts, scenes=scenes, budget=budget
            )
            error = None
            try:
                reply = await method.answer(session)
            except (ReplyError, InputError) as failure:
                reply, error = Reply("", ended=False), str(failure)
            now = time.perf_counter()
            store.answers.append(
                Answer(
                    system=system.name,
                    set=item.set,
                    id=item.id,
                    question=item.question,
                    text=reply.text,
                    ended=reply.ended,
                    prompt=reply.prompt,
                    rejected=reply.rejected,
                    calls=session.meter.calls,
                    prompt_tokens=session.meter.prompt_tokens,
                    completion_tokens=session.meter.completion_tokens,
                    seconds=round(now - last, 3),
                    error=error,
                )
            )
            last, done = now, done + 1
            progress(done, len(items))

    await together(one(item) for item in items)


async def seconds_per_token(engine: Engine, tokens: int) -> float | None:
    """What a token takes of a reply that goes on to its cap, with nothing else under way.

    The median of some, after one that warms the engine up; None where the reply ends before.
    """
    request = GenerationRequest(messages=(ChatMessage("user", ENDLESS),), max_tokens=tokens)
    took = []
    for _ in range(1 + PACES):
        started = time.perf_counter()
        completion = await engine.generate(request)
        took.append((time.perf_counter() - started) / tokens)
        if completion.finish_reason != "length":
            return None
    return median(took[1:])


def unscored(store: Store, system: System, items: Sequence[Item]) -> list[Item]:
    """The questions whose reference is not scored yet; none for a server, or a method of several prompts."""
    if system.base_url is not None or method_named(system.method).prompt is None:
        return []
    done = {one.key for one in store.likelihoods.records}
    return [
        item
        for item in items
        if (item.reference or item.choices) and (system.name, *item.key, item.last_choice) not in done
    ]


async def score_all(
    engine: Engine, system: System, items: Sequence[Item], store: Store, progress: Progress
) -> None:
    """Find how likely a system finds the references and the choices of questions.

    Raises:
        InputError: One of them has no tokens.
        EngineError: The engine failed. What was scored is kept.
    """
    prompt = method_named(system.method).prompt
    assert prompt is not None
    for start in range(0, len(items), SCORED_AT_ONCE):
        part = items[start : start + SCORED_AT_ONCE]
        texts = [
            (item, choice, text)
            for item in part
            for choice, text in (enumerate(item.choices) if item.choices else ((None, item.reference),))
        ]
        scores = await together(
            _score(engine, prompt(item.question, store.prompts), text) for item, _, text in texts
        )
        for (item, choice, _), (log_likelihood, tokens) in zip(texts, scores, strict=True):
            store.likelihoods.append(
                Likelihood(
                    system=system.name,
                    set=item.set,
                    id=item.id,
                    log_likelihood=log_likelihood,
                    tokens=tokens,
                    choice=choice,
                )
            )
        progress(start + len(part), len(items))


async def _score(engine: Engine, messages: tuple[ChatMessage, ...], reply: str) -> tuple[float | None, int]:
    """Log-likelihood of a reply in nats and its tokens; None where it does not fit the context window."""
    request = GenerationRequest(messages=messages, max_tokens=1, choices=(reply,), weigh=True)
    try:
        found = await engine.generate(request)
    except PromptTooLongError:
        return None, 0
    (log_likelihood,) = found.likelihoods
    return log_likelihood, found.completion_tokens + 1  # the last one is never computed


def unjudged(
    store: Store, pairs: Sequence[tuple[str, str]], items: Sequence[Item]
) -> list[tuple[Answer, Answer]]:
    """The pairs of answers, of a system and of its baseline, that the judge has not compared yet."""
    answers = {answer.key: answer for answer in store.answers.records if answer.error is None}
    done = {one.key for one in verdicts(store)}
    return [
        (answers[ours, *item.key], answers[theirs, *item.key])
        for ours, theirs in pairs
        for item in items
        if (ours, theirs, *item.key) not in done
        and {(ours, *item.key), (theirs, *item.key)} <= answers.keys()
    ]


async def judge_all(
    engine: Engine, pairs: Sequence[tuple[Answer, Answer]], store: Store, progress: Progress
) -> int:
    """Put pairs of answers before a judge.

    Returns:
        How many it gave no usable reply to; they are asked again by the next run.

    Raises:
        EngineError: The engine failed. What was judged is kept.
    """
    judge = Judge(engine, store.prompts)

    async def one(ours: Answer, theirs: Answer) -> None:
        store.judgements.append(await judge(ours, theirs))

    return await _each([partial(one, *pair) for pair in pairs], engine.requests_at_once // 2, progress)


def planted_left(store: Store) -> list[tuple[Answer, Answer]]:
    """The planted pairs that the judge has not compared yet."""
    done = {one.key for one in store.judgements.records}
    pairs = [pair.answers for pair in planted_pairs()]
    return [(one, two) for one, two in pairs if (one.system, two.system, one.set, one.id) not in done]


def ungraded(store: Store, name: str, answers: Iterable[Answer]) -> list[Answer]:
    """The answers that the grader, or the judge, has not graded yet; each once."""
    done = grades_by(store, name)
    return list({one.key: one for one in answers if one.error is None and one.key not in done}.values())


async def grade_all(engine: Engine, answers: Sequence[Answer], store: Store, progress: Progress) -> int:
    """Let a model grade answers, each by itself.

    Returns:
        How many it gave no usable reply about; they are asked about again by the next run.

    Raises:
        EngineError: The engine failed. What was graded is kept.
    """
    grader = Grader(engine)

    async def one(answer: Answer) -> None:
        store.grades.append(await grader(answer))

    at_once = engine.requests_at_once // GRADES
    return await _each([partial(one, answer) for answer in answers], at_once, progress)


def judge_by_grades(store: Store, pairs: Sequence[tuple[Answer, Answer]]) -> int:
    """Compare the judge's grades of pairs of answers, and count the pairs that lack one."""
    judging, grades = judging_of(store), grades_by(store, JUDGE)
    told = None if judging is None else judging.told_by("grades")
    margins = told.margins if told else None
    lacking = 0
    for ours, theirs in pairs:
        if ours.text == theirs.text:
            store.judgements.append(verdict(ours, theirs, 0))
        elif margins is not None and {ours.key, theirs.key} <= grades.keys():
            sign = compared_by(grades[ours.key], grades[theirs.key], margins)
            store.judgements.append(verdict(ours, theirs, sign))
        else:
            lacking += 1
    return lacking


async def _each(work: Sequence[Callable[[], Awaitable[None]]], at_once: int, progress: Progress) -> int:
    """Do everything, so much of it at once; how often the model gave no usable reply."""
    room = asyncio.Semaphore(max(1, at_once))
    done = failed = 0

    async def one(doing: Callable[[], Awaitable[None]]) -> None:
        nonlocal done, failed
        async with room:
            try:
                await doing()
            except (ReplyError, InputError):
                failed += 1
            done += 1
            progress(done, len(work))

    await together(one(doing) for doing in work)
    return failed
