"""MATRIX at inference: the scene around the model's own answer, and the answer after it."""

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
    # The second answer is the last that a scene says.
    return Reply(record.answer, session.meter.ended if record.revision else draft.ended)
