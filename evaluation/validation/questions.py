"""Questions that say whether they are harmful: the set that ships with the project, or any other."""

from itertools import chain, zip_longest
from pathlib import Path

from scene.errors import InputError
from scene.nouns import Kind
from scene.tables.questions import Question, QuestionSet, read_questions

SHIPPED = Path(__file__).with_name("questions.jsonl")
"""192 questions, half of them harmful, half that only sound so; of both, half `plain` and half `veiled`.

They were written for this and after nothing that anybody evaluates on. The split `tune` is to choose by,
`test` to quote. Styles alternate, so that any limit takes as many of each as can be.
"""


def labelled(
    source: str | None, limit: int | None = None, *, subset: str | None = None, split: str | None = None
) -> QuestionSet:
    """Questions of both kinds in turn, so that any number of the first ones is as balanced as can be.

    Without a source they are those of the set that ships with the project.

    Raises:
        InputError: It can't be read, a row can't be used or says no kind, or all are of one kind.
    """
    name = source or str(SHIPPED)
    found = read_questions(name, subset=subset, split=split)
    if found.malformed:
        raise InputError(f"{name}, {found.malformed[0]}.")
    kinds: dict[Kind, list[Question]] = {"harmful": [], "helpful": []}
    for question in found.questions:
        if question.kind is None:
            raise InputError(
                f"{name}, {question.place}: it has no kind; say harmful or helpful in a column `kind`."
            )
        kinds[question.kind].append(question)
    for kind, own in kinds.items():
        if not own:
            raise InputError(f"{name} holds no {kind} question; it takes both kinds to tell them apart.")
    pairs = chain.from_iterable(zip_longest(*kinds.values()))
    found.questions = [question for question in pairs if question is not None][:limit]
    return found
