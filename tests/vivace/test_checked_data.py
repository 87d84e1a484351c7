"""Calls after the first one look at their data as the first did, where a model needs more than finite numbers."""
import numpy as np
import pytest

import vivace as vv
from vivace import nn


def trainer_of(*layers):
    model = nn.Sequential(*layers)
    return vv.Trainer(model, nn.MSELoss(), vv.optim.SGD(model.parameters(), lr=0.01), seed=1)


def test_indices_are_checked_in_every_step_and_prediction():
    trainer = trainer_of(nn.Embedding(5, 3), nn.Linear(6, 1))
    X, y = np.array([[0, 1], [4, 2]], np.float32), np.zeros((2, 1), np.float32)
    wrong = np.array([[0, 1], [5, 2]], np.float32)
    step = trainer.make_step(4)
    for _ in range(3):
        step(X, y)
        trainer.predict(X)
    with pytest.raises(ValueError, match="indices 0..4"):
        step(wrong, y)
    with pytest.raises(ValueError, match="indices 0..4"):
        trainer.predict(wrong)


def test_a_batch_of_one_row_is_refused_in_every_step():
    trainer = trainer_of(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    X, y = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32), np.zeros((4, 1), np.float32)
    step = trainer.make_step(4)
    for _ in range(3):
        step(X, y)
    with pytest.raises(ValueError, match="more than 1 row"):
        step(X[:1], y[:1])


def test_a_batch_of_one_row_is_refused_by_fits_with_accumulation():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    trainer = vv.Trainer(model, nn.MSELoss(), vv.optim.SGD(model.parameters(), lr=0.01), accumulate=2)
    with pytest.raises(ValueError, match="more than 1 row"):
        trainer.fit(np.zeros((17, 3)), np.zeros((17, 1)), batch_size=4, verbose=0)


@pytest.mark.parametrize("before", [0, 2])
def test_a_search_for_the_rate_leaves_statistics_as_they_were(before):
    trainer = trainer_of(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    X, y = np.random.default_rng(0).normal(size=(40, 3)), np.ones((40, 1))
    if before:
        trainer.fit(X, y, epochs=before, verbose=0)
    held = trainer.model.state_dict()
    vv.lr_find(trainer, X, y, steps=5)
    for name, value in trainer.model.state_dict().items():
        np.testing.assert_array_equal(value, held[name])


def test_statistics_are_written_where_a_step_reads_them():
    """The same steps one by one and as a fit, after a change of type that moves the buffers."""
    X, y = np.random.default_rng(0).normal(size=(32, 3)), np.ones((32, 1))
    found = []
    for by_step in (False, True):
        vv.manual_seed(3)
        trainer = trainer_of(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        step = trainer.make_step(8)
        if by_step:
            step(X[:8].astype(np.float32), y[:8].astype(np.float32))
        else:
            trainer.fit(X[:8].astype(np.float32), y[:8].astype(np.float32), epochs=1, batch_size=8, shuffle=False, verbose=0)
        trainer.model.double()
        if by_step:
            for at in range(0, 32, 8):
                step(X[at:at + 8], y[at:at + 8])
        else:
            trainer.fit(X, y, epochs=1, batch_size=8, shuffle=False, verbose=0)
        found.append(trainer.model.state_dict())
    assert found[0]["1.num_batches_tracked"] == 5
    for name, value in found[0].items():
        np.testing.assert_array_equal(value, found[1][name])
