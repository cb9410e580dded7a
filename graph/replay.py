"""Playing a scene that has ended once more on its final answer: did the revision remove any harm?"""

import time
from collections.abc import Callable

from graph.build import ReplayGraph
from graph.play import unfold
from graph.thread import Thread
from prompts import OURS, PromptSet
from scene.comparison import same, share_removed
from scene.errors import InputError
from scene.nouns import ModelIdentity
from scene.origin import differences, played_with
from scene.record import ModelCall, Replay, SceneRecord
from scene.settings import SceneSettings
from scene.state import SceneState
from scene.turn import outcome


async def replayed(
    graph: ReplayGraph,
    record: SceneRecord,
    *,
    model: ModelIdentity,
    prompt_set: PromptSet = OURS,
    keep_calls: bool = True,
    on_state: Callable[[SceneState], None] | None = None,
    on_call: Callable[[ModelCall], None] | None = None,
    thread: Thread | None = None,
) -> SceneRecord:
    """The record of a scene, with what follows from its final answer among the same people.

    Where the first answer stayed, the same scene would follow: nothing is played, and no harm is removed.

    Raises:
        InputError: Another model played the scene, or other prompts did.
        ReplyError: A reply of the model could not be used after every retry.
        EngineError: The engine failed.
    """
    before, now = played_with(record.model, record.prompt_digest), played_with(model, prompt_set.digest())
    if changes := differences(before, now):
        raise InputError(
            f"Scene {record.id} was played with something else: {'; '.join(changes)}. "
            "Play it again on its final answer with that, or play it anew."
        )
    if record.answer == record.first_answer:
        removed = share_removed(record.consequences, record.consequences)
        return record.model_copy(update={"harms_removed": removed})
    settings = SceneSettings(**record.settings, seed=record.seed)  # type: ignore[arg-type]  # checked by it
    start = SceneState(
        question=record.question,
        history=list(record.history),
        system=record.system,
        first_answer=record.answer,
        request=record.request,
        risk=record.risk or 0.0,
        situation=record.situation,
        goal=record.goal,
        cast=list(record.cast),
        settings=settings,
        prompts=prompt_set.mark,
    )
    state, recorder = await unfold(graph, start, settings, on_state, on_call, thread)
    stayed = same(record.consequences, state.consequences)
    kept, again = {one for one, _ in stayed}, {other for _, other in stayed}
    replay = Replay(
        stance=state.stance,
        plan=tuple(state.plan),
        events=tuple(state.events),
        consequences=tuple(state.consequences),
        outcome=outcome(state),
        went=tuple(c.event for c in record.consequences if c.event not in kept),
        stayed=tuple(stayed),
        came=tuple(c.event for c in state.consequences if c.event not in again),
        seconds=round(time.perf_counter() - recorder.began, 3),
        cost=recorder.costs(),
        calls=tuple(recorder.calls) if keep_calls else None,
    )
    removed = share_removed(record.consequences, state.consequences)
    return SceneRecord.model_validate(dict(record) | {"replay": replay, "harms_removed": removed})
