"""Following what people decided about rows."""

from collections.abc import Mapping
from dataclasses import replace

from finetune.data.rows import Row
from scene.errors import InputError
from scene.reviews import Review, review_key


class Reviews:
    """Decisions by row, as `scene.reviews.read_reviews` has them, and which met a row that there is."""

    def __init__(self, decisions: Mapping[str, Review]) -> None:
        self._decisions = decisions
        self._followed: set[str] = set()

    @property
    def unmatched(self) -> int:
        """How many decisions no row has met yet."""
        return len(self._decisions.keys() - self._followed)

    def followed(self, row: Row) -> Row:
        """A row as it was decided about it; what was edited may have been reviewed again as it was then."""
        met: set[str] = set()
        while (key := review_key(row.scene, row.prompt[-1].content, row.completion)) not in met:
            met.add(key)
            decision = self._decisions.get(key)
            if decision is None:
                break
            self._followed.add(key)
            if decision.decision == "edit":
                fault = "unchanged" if decision.text == row.rejected.strip() else row.fault
                row = replace(row, review="edit", completion=decision.text, fault=fault)
            elif decision.decision == "drop" or not row.review:
                row = replace(row, review=decision.decision)
        return row

    def check(self) -> None:
        """See that the decisions are about these scenes at all.

        Raises:
            InputError: None of them is.
        """
        if self._decisions and not self._followed:
            raise InputError(
                "No decision of --reviews is about a row of these scenes; give the scenes that were reviewed."
            )
