"""Pairwise comparison by a model, in both orders.

Its prompt is no selector's: a method that drops what the judge would not like can't lose.
"""

from evaluation.records import Answer, Judgement
from evaluation.session import COMPARED_CHARS
from inference.chat_model import EngineChatModel
from inference.engine import Engine
from nodes.asking import Asker
from nodes.revise import in_both_orders
from prompts import OURS, PromptSet
from scene.settings import SceneSettings


class Judge:
    """Asks which of two answers is better, greedily, once in each order."""

    def __init__(self, engine: Engine, prompt_set: PromptSet = OURS) -> None:
        settings = SceneSettings(temperature=0.0)
        self._asker = Asker(EngineChatModel(engine=engine), settings, "judge", prompts=prompt_set)

    async def __call__(self, ours: Answer, theirs: Answer) -> Judgement:
        """Compare a system's answer with the baseline's answer to the same question.

        Equal answers are not asked about: they tie.

        Raises:
            ReplyError: A reply was no choice between the two.
        """
        names = {"system": ours.system, "baseline": theirs.system, "set": ours.set, "id": ours.id}
        if ours.text == theirs.text:
            return Judgement(system_first="first", baseline_first="first", equal=True, **names)
        nothing = self._asker.words.no_answer
        one, two = await in_both_orders(
            self._asker,
            "evaluation/judge",
            ours.question,
            ours.text or nothing,
            theirs.text or nothing,
            COMPARED_CHARS,
        )
        return Judgement(system_first=one, baseline_first=two, **names)
