"""In which order rows are seen: drawn of seed and epoch alone, and no step of short rows only."""

from types import SimpleNamespace

import pytest

from finetune.order import EpochOrder

LENGTHS = [20] * 15 + [60 + n for n in range(99)]
"""Fifteen short refusals among longer answers."""


def order(batch=1, *, epoch=0, group=True, seed=0, lengths=LENGTHS):
    made = EpochOrder(lengths, batch, group=group, seed=seed)
    made.epoch = epoch
    return list(made)


def steps(rows, size):
    return [rows[at : at + size] for at in range(0, len(rows), size)]


@pytest.mark.parametrize("batch", [1, 4, 8])
@pytest.mark.parametrize("group", [True, False])
def test_every_row_comes_once_in_an_order_of_seed_and_epoch(batch, group):
    rows = order(batch, group=group)
    assert sorted(rows) == list(range(len(LENGTHS)))
    assert order(batch, group=group) == rows
    assert order(batch, group=group, epoch=1) != rows
    assert order(batch, group=group, seed=1) != rows


def test_one_row_at_a_time_is_never_put_beside_its_like():
    assert order(1, group=True) == order(1, group=False)
    for step in steps(order(1, group=True), 4)[:-1]:
        assert sum(row < 15 for row in step) < 4


def test_batches_of_like_length_in_no_order():
    batches = steps(order(8), 8)
    longest = [max(LENGTHS[row] for row in batch) for batch in batches]
    assert sum(longest) < sum(max(LENGTHS[row] for row in batch) for batch in steps(order(8, group=False), 8))
    assert longest != sorted(longest)
    assert longest != sorted(longest, reverse=True)
    assert [len(batch) for batch in batches] == [8] * 14 + [2]


@pytest.mark.parametrize(("done", "epoch"), [(0, 0), (28, 0), (29, 1), (57, 1), (58, 2)])
def test_the_epoch_is_that_of_the_steps_done(done, epoch):
    made = EpochOrder(LENGTHS, 1, group=False, seed=0)
    args = SimpleNamespace(train_batch_size=1, world_size=1, gradient_accumulation_steps=4)
    made.on_epoch_begin(args, SimpleNamespace(global_step=done), None)
    assert made.epoch == epoch
