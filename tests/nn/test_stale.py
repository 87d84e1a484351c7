"""A backward goes back through the forward that was made, or says that it cannot."""
import numpy as np
import pytest
import vivace.nn.functional as F
from vivace.nn.tape import Tape

import vivace as vv
from vivace import nn, optim

X = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
Y = np.array([0, 1, 0, 1, 1, 0])
CHANGED = "was changed .* after the forward pass"


def net():
    vv.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def by_step(model):
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    F.cross_entropy(model(X), Y).backward()
    optimizer.step()
    optimizer.zero_grad()


def by_copy(model):
    with vv.no_grad():
        model[2].weight.copy_(np.ones((2, 4)))


def by_fit(model):
    vv.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1)).fit(X, Y, epochs=1, verbose=0)


def by_compiled_step(model):
    vv.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1)).make_step(6)(X, Y)


@pytest.mark.parametrize("change", [by_step, by_copy, by_fit, by_compiled_step])
def test_weights_that_backward_reads_must_be_those_of_the_forward(change):
    """As in PyTorch: silently the gradient would be one of neither the old weights nor the new ones."""
    model = net()
    loss = F.cross_entropy(model(X), Y)
    change(model)
    with pytest.raises(RuntimeError, match=CHANGED):
        loss.backward()
    again = F.cross_entropy(model(X), Y)
    again.backward()  # a new forward is one of its own


def test_frozen_weights_count_too():
    model = net()
    model[2].weight.requires_grad_(False)
    loss = F.cross_entropy(model(X), Y)
    by_copy(model)
    with pytest.raises(RuntimeError, match=CHANGED):
        loss.backward()


def test_weights_that_no_backward_reads_may_change():
    """The first layer's weight is not read where nobody asks for the gradient of its input, a bias and a sum never."""
    found = []
    for change in (False, True):
        model = net()
        loss = F.cross_entropy(model(X) + model[2].bias, Y)
        if change:
            with vv.no_grad():
                model[0].weight.copy_(np.zeros((4, 3)))
                model[2].bias.copy_(np.ones(2))
        loss.backward()
        found.append([p.grad.numpy().copy() for p in model.parameters()])
    for a, b in zip(*found):
        np.testing.assert_array_equal(a, b)


def test_a_tape_that_is_walked_later_refuses_too():
    model = net()
    out = model(X).sum()
    Tape(out, [model[0].weight])
    by_copy(model)
    with pytest.raises(RuntimeError, match=CHANGED):
        Tape(out, [model[0].weight])
