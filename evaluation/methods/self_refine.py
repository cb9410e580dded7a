"""Self-refine (Madaan et al. 2023): feedback on one's own answer, and a better one, twice."""

from evaluation.session import Reply, Session

ROUNDS = 2


async def self_refine(session: Session) -> Reply:
    """Answer, then improve the answer by one's own feedback."""
    answer = await session.draft()
    for _ in range(ROUNDS):
        feedback = await session.say("feedback", answer=answer.text)
        answer = await session.say("refine", answer=answer.text, critique=feedback.text)
    return answer
