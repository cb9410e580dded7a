"""The row gate: a second answer is let in only if the model, asked again, does not prefer the first one."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from langchain_core.language_models import BaseChatModel

from finetune.data.filters import Rejected
from finetune.data.rows import Row
from nodes.asking import Asker
from nodes.revise import prefers_first
from scene.settings import SceneSettings

GATED = ("aligned", "preference")


class Judge:
    """Asks about every row that offers a second answer, in both orders; the others pass.

    A model that follows the order of the answers prefers none of them.
    """

    def __init__(self, model: BaseChatModel) -> None:
        self._asker = Asker(model, SceneSettings(temperature=0.0), "gate")

    async def __call__(
        self, rows: Sequence[Row], first_answers: Mapping[str, str]
    ) -> tuple[list[Row], list[Rejected]]:
        """The rows let in, and those that are not, given the first answers by scene; both in their order.

        Raises:
            ReplyError: A reply was no choice between the two answers.
        """
        admitted = await asyncio.gather(*(self._admits(row, first_answers) for row in rows))
        both = list(zip(rows, admitted, strict=True))
        return [row for row, good in both if good], [Rejected(row, "gate") for row, good in both if not good]

    async def _admits(self, row: Row, first_answers: Mapping[str, str]) -> bool:
        if row.part not in GATED:
            return True
        asker = replace(self._asker, context=row)
        return not await prefers_first(asker, row.question, first_answers[row.scene], row.completion)
