"""The rows that training is measured on."""

from benchmarks.training import examples


def test_rows_are_of_unequal_length_and_always_the_same() -> None:
    rows = examples(300)
    assert rows == examples(300)
    lengths = [len(row.answer.split()) + len(row.prompt[0].content.split()) for row in rows]
    assert max(lengths) > 3 * min(lengths)
