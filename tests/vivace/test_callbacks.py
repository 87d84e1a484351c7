"""Callbacks driven by a trainer that does nothing but go through given logs."""
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from vivace.callbacks import Callback, EarlyStopping, LambdaCallback, StopWhen


class Model:
    """Weights that tell the epoch they come from."""

    def __init__(self):
        self.w = np.zeros(2)

    def state_dict(self):
        return {"w": self.w.copy()}

    def load_state_dict(self, state):
        self.w[...] = state["w"]


def trainer():
    return SimpleNamespace(model=Model(), epoch=0, stop_training=False, stop_reason=None)


def run(callback, logs, on=None, end=True):
    """Epochs done of `logs` (dicts, or losses), and the trainer; end=False leaves as if killed."""
    on = on or trainer()
    on.stop_training = False
    callback.on_train_begin(on)
    done = 0
    for log in logs:
        on.model.w += 1
        callback.on_epoch_end(on, on.epoch, log if isinstance(log, dict) else {"loss": log})
        on.epoch += 1
        done += 1
        if on.stop_training:
            break
    if end:
        callback.on_train_end(on)
    return done, on


def test_early_stopping_waits_and_restores_the_best_weights():
    stop = EarlyStopping(patience=3)
    done, on = run(stop, [5, 4, 3, 3.5, 3, 3.1, 1])
    assert done == 6 and (stop.best, stop.best_epoch, stop.wait) == (3, 2, 3)
    assert on.model.w.tolist() == [3, 3]
    assert on.stop_reason == "loss has not improved for 3 epochs (best 3 in epoch 3)"


def test_early_stopping_restores_even_when_nothing_stops_it():
    assert run(EarlyStopping(), [2, 1, 3])[1].model.w.tolist() == [2, 2]
    assert run(EarlyStopping(restore_best=False), [2, 1, 3])[1].model.w.tolist() == [3, 3]


def test_early_stopping_prefers_validation_and_knows_directions():
    logs = [{"loss": 1 / e, "val_loss": e, "val_accuracy": -e, "score": e} for e in range(1, 9)]
    assert run(EarlyStopping(patience=2), logs)[0] == 3
    assert run(EarlyStopping("loss", patience=2), logs)[0] == 8
    assert run(EarlyStopping("val_accuracy", patience=2), logs)[0] == 3
    assert run(EarlyStopping("score", mode="max", patience=2), logs)[0] == 8
    assert run(EarlyStopping("score", mode="min", patience=2), logs)[0] == 3


def test_early_stopping_min_delta():
    assert run(EarlyStopping(patience=2, min_delta=0.5), [3, 2.4, 2.0, 1.95, 1.0])[0] == 4  # 2.0 and 1.95 are too near 2.4
    assert run(EarlyStopping("val_r2", patience=1, min_delta=0.1), [{"val_r2": x} for x in (0.1, 0.3, 0.35, 0.9)])[0] == 3


@pytest.mark.parametrize("patience", [0, 1])
def test_early_stopping_at_the_first_failure(patience):
    assert run(EarlyStopping(patience=patience), [3, 2, 2, 1])[0] == 3


def test_nan_never_improves():
    stop = EarlyStopping(patience=2)
    done, on = run(stop, [math.nan, 2, math.nan, 1, math.nan, math.nan, 0])
    assert done == 6 and stop.best == 1 and on.model.w.tolist() == [4, 4]
    done, on = run(EarlyStopping(patience=2), [math.nan, math.nan, 1])
    assert done == 2 and on.model.w.tolist() == [2, 2] and "none was finite" in on.stop_reason


@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_early_stopping_goes_on_counting(cut):
    losses = [5, 4, 4, 3, 3, 3, 3, 3]
    whole = EarlyStopping(patience=3)
    total, end = run(whole, losses)
    first, on = EarlyStopping(patience=3), trainer()
    run(first, losses[:cut], on, end=False)
    resumed = EarlyStopping(patience=3)
    resumed.load_state(first.state())
    done, on = run(resumed, losses[cut:], on)
    assert cut + done == total and (resumed.best, resumed.best_epoch, resumed.wait) == (whole.best, whole.best_epoch, whole.wait)
    assert on.model.w.tolist() == end.model.w.tolist()


def test_early_stopping_state_is_json_beside_the_weights():
    stop = EarlyStopping()
    json.dumps(stop.state(), allow_nan=False)
    run(stop, [2, 1])
    state = stop.state()
    assert state.pop("weights")["w"].tolist() == [2, 2]
    assert json.loads(json.dumps(state)) == {"epoch": 2, "name": "loss", "best": 1.0, "best_epoch": 1, "wait": 0}
    with pytest.raises(ValueError, match="EarlyStopping state must have epoch, name"):
        stop.load_state({"wait": 3})


def test_a_new_run_starts_anew_and_a_stopped_one_gets_new_patience():
    stop = EarlyStopping(patience=2)
    done, on = run(stop, [1, 2, 2, 2])
    assert done == 3
    done, on = run(stop, [2, 2, 2], on)
    assert done == 2 and stop.best == 1 and on.model.w.tolist() == [1, 1]
    done, other = run(stop, [9, 8, 7])
    assert done == 3 and stop.best == 7 and other.model.w.tolist() == [3, 3]


def test_stop_when():
    assert run(StopWhen(loss_below=2), [4, 3, 2, 1.9, 1])[0] == 4
    assert run(StopWhen(loss_below=2, patience=2), [1, 3, 1, 1, 1])[0] == 4
    assert run(StopWhen(loss_change_below=0.2), [4, 3, 2, 1.9, 1])[0] == 4
    assert run(StopWhen(loss_change_below=0.2), [4, 3, 3.1, 1])[0] == 3
    logs = [{"loss": 1.0, "grad_norm": 1 / e, "val_accuracy": e / 10} for e in range(1, 9)]
    assert run(StopWhen(grad_norm_below=0.3), logs)[0] == 4
    assert run(StopWhen(metric_above=("val_accuracy", 0.5)), logs)[0] == 6
    done, on = run(StopWhen(metric_above={"val_accuracy": 0.5}, grad_norm_below=0.3), logs)
    assert done == 4 and on.stop_reason == "grad_norm_below 0.3 reached"
    assert run(StopWhen(loss_below=1, loss_change_below=1), [math.nan] * 4)[0] == 4


def test_stop_when_goes_on_counting():
    first, second, on = StopWhen(loss_change_below=0.2, patience=2), StopWhen(loss_change_below=0.2, patience=2), trainer()
    run(first, [4, 3, 3], on)
    second.load_state(json.loads(json.dumps(first.state())))
    assert run(second, [3, 3], on)[0] == 1
    assert run(StopWhen(loss_change_below=0.2, patience=2), [3, 3, 3], on)[0] == 3


def test_stop_when_names_what_is_missing():
    with pytest.raises(ValueError, match="grad_norm_below must name an entry of the logs, which are loss, got 'grad_norm'"):
        run(StopWhen(grad_norm_below=1), [1])
    with pytest.raises(ValueError, match="metric_above must name an entry of the logs, which are loss, got 'r2'"):
        run(StopWhen(metric_above=("r2", 0.9)), [1])
    with pytest.raises(ValueError, match="monitor must name an entry of the logs, which are loss, got 'val_loss'"):
        run(EarlyStopping("val_loss"), [1])


@pytest.mark.parametrize("make, error", [
    (lambda: EarlyStopping(patience=-1), "patience must be an integer >= 0, got -1"),
    (lambda: EarlyStopping(patience=2.5), "patience must be an integer >= 0, got 2.5"),
    (lambda: EarlyStopping(min_delta=-1), "min_delta must be a finite number >= 0, got -1"),
    (lambda: EarlyStopping(mode="up"), 'mode must be "auto", "min" or "max", got \'up\''),
    (lambda: EarlyStopping("score"), 'mode must be "min" or "max" for monitor=\'score\', which "auto" does not know'),
    (lambda: EarlyStopping(3), "monitor must be a name of the logs or None, got int"),
    (lambda: StopWhen(), "StopWhen needs loss_below, .* got none"),
    (lambda: StopWhen(loss_below="1"), "loss_below must be a finite number, got '1'"),
    (lambda: StopWhen(loss_below=1, patience=0), "patience must be an integer >= 1, got 0"),
    (lambda: StopWhen(metric_above=0.9), r"metric_above must be \{name: value\} or \(name, value\), got 0.9"),
    (lambda: StopWhen(metric_above={"r2": math.nan}), r"metric_above\['r2'\] must be a finite number, got nan"),
    (lambda: LambdaCallback(on_epoch=print), "LambdaCallback takes on_train_begin, .* got 'on_epoch'"),
    (lambda: LambdaCallback(on_epoch_end=3), "on_epoch_end must be a function, got int"),
])
def test_arguments(make, error):
    with pytest.raises((ValueError, TypeError), match=error):
        make()


def test_lambda_callback():
    seen = []
    callback = LambdaCallback(on_train_begin=lambda t: seen.append("begin"), on_train_end=None,
                              on_epoch_end=lambda t, e, logs: seen.append((e, logs["loss"])))
    run(callback, [3, 2])
    assert seen == ["begin", (0, 3), (1, 2)]
    per_batch = LambdaCallback(on_batch_end=lambda t, step, logs: seen.append(step))
    per_batch.on_batch_end(None, 7, {})
    assert seen[-1] == 7 and isinstance(per_batch, LambdaCallback)
    assert type(callback).on_batch_end is Callback.on_batch_end and type(per_batch).on_batch_end is not Callback.on_batch_end
