"""Learning from one's own mistakes (mistake analysis, Chen et al. 2023, arXiv 2310.10477).

A model is led into a bad answer, told that it is one, and learns to say why of itself, without being told.
Good answers, which it is led to by a prompt, are learned beside these analyses.
"""

from dataclasses import replace

from evaluation.session import Reply, Session
from finetune.data.split import rank


async def mistake_analysis(session: Session) -> Reply:
    """The analysis of a bad answer for one half of the questions, a good answer for the other.

    So that there is one row for each question, as of every method.
    """
    if int(rank(session.question, 0), 16) % 2:
        return await session.say("contrast_good")
    mistake = await session.say("contrast_bad")
    analysis = await session.say("analysis_guided", answer=mistake.text)
    asked = session.prompts.load("evaluation/analysis").filled(
        {"question": session.question, "answer": mistake.text}
    )
    return replace(analysis, prompt=asked)
