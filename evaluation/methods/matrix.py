"""MATRIX at inference: the scene around the model's own answer, and the answer after it."""

from __future__ import annotations

from evaluation.session import Reply, Session
from graph import build_graph
from graph.play import play


async def matrix(session: Session) -> Reply:
    """Play a scene around the draft, and give the answer that came out of it.

    Raises:
        ReplyError: The scene failed.
    """
    draft = await session.draft()
    record = await play(
        build_graph(session.model, prompt_set=session.prompts),
        session.question,
        model=session.meter.identity,
        first_answer=draft.text,
        settings=session.scene,
        prompt_set=session.prompts,
    )
    if record.answer == record.first_answer:
        return Reply(record.answer, draft.ended)
    # The node trims a revision that was cut off, so that its text no longer tells.
    *_, revision = (call for call in record.calls or () if call.node == "revise")
    return Reply(record.answer, revision.completion not in session.meter.cut)
