"""Options that are none are refused where they are given, by name, with what was expected and what came."""
import re

import numpy as np
import pytest
import vivace.nn.functional as F

import vivace as vv
from vivace import nn, optim

s, init, utils = optim.lr_scheduler, nn.init, nn.utils
X = nn.Tensor([[1.0, 2.0]])
NUMBER, NOT_NEGATIVE, SHARE = "must be a finite number", "must be a finite number >= 0", "must lie in 0..1"


def leaf():
    p = nn.Parameter(np.ones((2, 2)))
    p.grad = np.ones((2, 2))
    return p


def sgd(**options):
    return optim.SGD([leaf()], lr=0.1, **options)


def changed(step, optimizer=optim.SGD, **options):
    """A step, by hand or of a plan, after options of the group were changed."""
    layer = nn.Linear(2, 1)
    o = optimizer(layer.parameters(), lr=0.1)
    trainer = vv.Trainer(layer, nn.MSELoss(), o)
    for _ in range(2):
        if step == "plan":
            trainer.fit(np.ones((4, 2)), np.ones(4), epochs=1, verbose=0)
        else:
            layer.weight.grad = np.ones((1, 2))
            o.step()
        o.param_groups[0].update(options)


REFUSED = {
    "p of Dropout": [(lambda v: nn.Dropout(v), "p", SHARE, ("a", None, True, 1.5, np.nan)),
                     (lambda v: F.dropout(X, v), "p", SHARE, ("a",))],
    "activations": [(nn.LeakyReLU, "negative_slope", NOT_NEGATIVE, ("a", -1)), (nn.ELU, "alpha", NOT_NEGATIVE, ("a",)),
                    (nn.CELU, "alpha", "> 0", ("a", 0)), (lambda v: nn.Threshold(v, 1), "threshold", "must be a number", ("a", np.nan)),
                    (lambda v: nn.Threshold(1, v), "value", "must be a number", ("a",)),
                    (nn.PReLU, "num_parameters", "an int >= 1", ("a",)),
                    (lambda v: nn.PReLU(init=v), "init", NUMBER, ("a", np.inf)), (lambda v: nn.RReLU(v), "lower", NOT_NEGATIVE, ("a",)),
                    (lambda v: nn.Hardtanh(v), "min_val", "must be a number", ("a",)), (nn.Softplus, "beta", "> 0", ("a",)),
                    (lambda v: F.leaky_relu(X, v), "negative_slope", NOT_NEGATIVE, ("a", np.inf))],
    "layers": [(nn.GaussianNoise, "std", NOT_NEGATIVE, ("a",)), (lambda v: nn.BatchNorm1d(2, momentum=v), "momentum", SHARE, ("a", 2)),
               (lambda v: nn.LayerNorm(2, eps=v), "eps", "> 0", ("a",)),
               (lambda v: nn.Linear(2, 2, v), "bias", "True or False", ("float64",)),
               (lambda v: nn.Embedding(3, 2, v), "padding_idx", "an int >= -3", ("a",))],
    "losses": [(lambda v: nn.CrossEntropyLoss(weight=v), "weight", r"weights (C,)", ("balanced", [[1], [1, 2]], [1, -1])),
               (lambda v: nn.CrossEntropyLoss(v), "from_logits", "True or False", ("yes", 2)),
               (lambda v: nn.CrossEntropyLoss(label_smoothing=v), "label_smoothing", SHARE, ("a",)),
               (lambda v: nn.BCEWithLogitsLoss(pos_weight=v), "pos_weight", "weights (O,)", ("a",)),
               (nn.QuantileLoss, "quantile", "a number in 0..1 or one per output", ("a", [0.1, "b"])),
               (lambda v: nn.HuberLoss(delta=v), "delta", "a finite number > 0", (-1, "a")),
               (nn.KLDivLoss, "reduction", "'mean', 'batchmean' or 'sum'", ("none", 3, np.ones(2))),
               (nn.MSELoss, "reduction", "'mean' or 'sum'", ("none",))],
    "options": [(lambda v: sgd(nesterov=v), "nesterov", "True or False", ("x",)),
                (lambda v: optim.SGD([leaf()], lr=v), "lr", NOT_NEGATIVE, (np.inf, np.nan, 10 ** 400)),
                (lambda v: sgd(dampening=v), "dampening", NUMBER, ("a",)), (lambda v: sgd(maximize=v), "maximize", "True or False", ("a",)),
                (lambda v: optim.Adam([leaf()], betas=v), "each of betas", ">= 0 and < 1", (("a", 0.9), [0.9, 1])),
                (lambda v: optim.Adam([leaf()], amsgrad=v), "amsgrad", "True or False", ("a",)),
                (lambda v: optim.LBFGS([leaf()], max_iter=v), "max_iter", "an int >= 1", ("a", 2.5)),
                (lambda v: optim.SGD([v]), "params", "groups {'params': [...], option: value}", ({"lr": 1},))],
    "changed options": [(lambda v: changed("eager", lr=v), "lr", NOT_NEGATIVE, ("a", np.inf, -1)),
                        (lambda v: changed("plan", lr=v), "lr", NOT_NEGATIVE, ("a",)),
                        (lambda v: changed("eager", optim.Adam, betas=v), "betas", "two numbers", ("a",)),
                        (lambda v: changed("plan", optim.LBFGS, lr=v), "lr", NOT_NEGATIVE, ("a",))],
    "state": [(lambda v: sgd().load_state_dict(v), "state_dict", "entries state, param_groups", ({}, 3)),
              (lambda v: sgd().load_state_dict({"state": {}, "param_groups": [v]}), "state_dict: a group", "entries params", ({},)),
              (lambda v: s.StepLR(sgd(), 1).load_state_dict(v), "state_dict", "entries last_epoch, base_lrs", ({}, None)),
              (lambda v: s.ReduceLROnPlateau(sgd()).load_state_dict(v), "state_dict", "best", ({"last_epoch": 0, "base_lrs": [1]},)),
              (lambda v: s.ReduceLROnPlateau(sgd()).step(v), "metrics", "must be a number", ("a", None))],
    "schedules": [(lambda v: s.StepLR(sgd(), v, 1), "step_size", "an int >= 1", ("a",)),
                  (lambda v: s.ExponentialLR(sgd(), v), "gamma", NOT_NEGATIVE, ("a", -1)),
                  (lambda v: s.MultiStepLR(sgd(), v), "milestones", "ints >= 0", ("a", 3)),
                  (lambda v: s.MultiStepLR(sgd(), v), "each of milestones", "int >= 0", ([-1], [0.5])),
                  (lambda v: s.ConstantLR(sgd(), v), "factor", SHARE, (2, "a")),
                  (lambda v: s.LambdaLR(sgd(), v), "lr_lambda", "a function", (3,)),
                  (lambda v: s.OneCycleLR(sgd(), v, 5), "max_lr", NOT_NEGATIVE, ("a", [None])),
                  (lambda v: s.CyclicLR(sgd(), 0, 1, v, cycle_momentum=False), "step_size_up", "> 0", ("a", 0)),
                  (lambda v: s.ReduceLROnPlateau(sgd(), patience=v), "patience", "an int >= 0", ("a",)),
                  (lambda v: s.SequentialLR(sgd(), v, []), "schedulers", "a list of at least one schedule", (5,)),
                  (lambda v: s.LambdaLR(v, abs), "optimizer", "an optimizer", (3,))],
    "initialisers": [(init.xavier_uniform_, "tensor", "a weight of shape (O, I)", (3,)), (init.uniform_, "tensor", "a Parameter", (X, 3)),
                     (lambda v: init.xavier_normal_(leaf(), v), "gain", NOT_NEGATIVE, ("a", np.nan)),
                     (lambda v: init.orthogonal_(leaf(), v), "gain", NUMBER, ("a",)),
                     (lambda v: init.sparse_(leaf(), v), "sparsity", SHARE, (2,)),
                     (lambda v: init.kaiming_normal_(leaf(), mode=v), "mode", "'fan_in' or 'fan_out'", (3, "fan")),
                     (lambda v: init.normal_(leaf(), 0, v), "std", NOT_NEGATIVE, (-1,)),
                     (lambda v: init.uniform_(leaf(), 1, v), "b", ">= 1", (0,)),
                     (lambda v: init.trunc_normal_(leaf(), b=v), "b", "> -2", (-2,)),
                     (init.calculate_gain, "nonlinearity", "'linear'", ([],))],
    "clipping": [(lambda v: utils.clip_grad_norm_(v, 1.0), "parameters", "a Parameter|one Parameter", (5, [X])),
                 (lambda v: utils.clip_grad_norm_([leaf()], v), "max_norm", NOT_NEGATIVE, ("a", np.nan)),
                 (lambda v: utils.clip_grad_norm_([leaf()], 1, v), "norm_type", "> 0", (0, "a")),
                 (lambda v: utils.clip_grad_value_([leaf()], v), "clip_value", NOT_NEGATIVE, ("a",))],
    "the rest": [(lambda v: vv.Trainer(nn.Linear(2, 1), nn.MSELoss(), sgd(), metrics=v), "metrics", "names or functions", (5,)),
                 (F.cat, "tensors", "at least one", ([], iter(()))), (vv.load, "path", "a str or an os.PathLike", (3, None)),
                 (lambda v: v ** X, "base", "> 0", (-2, "a", np.ones(2)))],
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_wrong_option_is_named(kind):
    for make, name, expected, values in REFUSED[kind]:
        for value in values:
            with pytest.raises((TypeError, ValueError)) as caught:
                make(value)
            said = str(caught.value)
            assert re.match(rf"{name}\b", said) and any(part in said for part in expected.split("|")) and "got " in said, (kind, name, said)


def test_what_does_not_fit_changes_nothing():
    o = sgd(momentum=0.9)
    o.step()
    state = o.state_dict()
    for change, says in ((lambda d: d["param_groups"][0].update(lr="a"), "lr must be"),
                         (lambda d: d["state"][0].pop("momentum_buffer"), "parameter 0 must have the entries step, momentum_buffer"),
                         (lambda d: d["state"][0].update(momentum_buffer=np.ones(3)), r"momentum_buffer .* must have shape \(2, 2\)")):
        wrong = {"state": {0: dict(state["state"][0], step=9)}, "param_groups": [dict(state["param_groups"][0], weight_decay=0.5)]}
        change(wrong)
        with pytest.raises((TypeError, ValueError), match=says):
            o.load_state_dict(wrong)
    assert o.param_groups[0]["lr"] == 0.1 and o.param_groups[0]["weight_decay"] == 0 and list(o.steps.values()) == [1]
    o.load_state_dict({"state": {}, "param_groups": [{"params": [0], "lr": 0.5, "foreach": None}]})  # PyTorch's has more
    assert o.param_groups[0]["lr"] == 0.5 and "foreach" not in o.param_groups[0]
