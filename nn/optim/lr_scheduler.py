"""Hyperparameters over time: PyTorch's schedules. step() once an epoch, or once an update, as the Trainer is told.

A schedule is a function of how often it stepped: values(step, base) gives what a group's option is after `step` steps from its initial
value `base`, for one step or for an array of them. So a compiled epoch knows its rates ahead; and a schedule that was loaded, chained
or begun later in a sequence needs nothing but the number of its step. `option` names what is scheduled: "lr", "weight_decay",
"momentum" and any other number of the groups, or "beta1"; or a layer and the name of its number, (model[2], "p") for a Dropout's.
"""
import bisect
import math

import numpy as np

from ..checks import choice, count, entries, flag, not_negative, number, positive


class LRScheduler:
    """Base: option of each group = initial * factor(step)."""

    ahead = True  # values are a function of the step alone; False for a class with a step() of its own

    def __init_subclass__(cls, **rest):
        super().__init_subclass__(**rest)
        if "step" in cls.__dict__:
            cls.ahead = False

    def __init__(self, optimizer, option="lr"):
        groups = groups_of(optimizer)
        self.optimizer, self.option = optimizer, option
        if isinstance(option, tuple):
            optimizer.schedule_layer(*option)
        self.base_lrs = [initial(optimizer, index, option) for index in range(len(groups))]
        self.last_epoch = 0
        self._write()

    def factor(self, step):
        """What the initial value is multiplied with after `step` steps."""
        raise NotImplementedError

    def values(self, step, base):
        """The option after `step` steps (a number or an array) from its initial value `base`."""
        return base * self.factor(step)

    def options(self, step):
        """[{option: value} of each group] after `step` steps, a number or an array."""
        return [{self.option: self.values(step, base)} for base in self.base_lrs]

    def over(self, first, count):
        """[{option: array (count,)} of each group] for the steps first, first + 1, ..."""
        steps = first + np.arange(count)
        if type(self).__module__ != __name__:  # a user's class may know single numbers only
            return _stacked([self.options(int(step)) for step in steps])
        return [{name: np.broadcast_to(value, count) for name, value in values.items()} for values in self.options(steps)]

    def step(self):
        """Go on by one."""
        self.advance(1)

    def advance(self, steps):
        """Go on by `steps`."""
        self.last_epoch += steps
        self._write()

    def _write(self):
        for group, values in zip(self.optimizer.param_groups, self.options(self.last_epoch)):
            write(group, {name: float(value) for name, value in values.items()})

    def get_last_lr(self):
        """The values in use."""
        return [read(group, self.option) for group in self.optimizer.param_groups]

    def state_dict(self):
        """Position and initial values."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state):
        """Take over what state_dict() gave; ValueError where it is that of another kind of schedule."""
        entries("state_dict", state, self.state_dict())
        if len(state["base_lrs"]) != len(self.base_lrs):
            raise ValueError(f"state_dict: base_lrs must have one value for each of the {len(self.base_lrs)} groups, "
                             f"got {len(state['base_lrs'])}")
        self._restore(state)
        self._write()

    def _restore(self, state):
        """load_state_dict() but for the groups."""
        self.last_epoch, self.base_lrs = int(state["last_epoch"]), list(state["base_lrs"])
        self.optimizer.initial_options.update({(index, self.option): base for index, base in enumerate(self.base_lrs)})


def read(group, option):
    """The value of an option of a group; "beta1" is the first of its betas."""
    if option == "beta1":
        return group["betas"][0]
    if isinstance(option, tuple):
        return getattr(*option)
    if option not in group:
        raise ValueError(f"option must be one of {', '.join(k for k in group if k != 'params')} or beta1, got {option!r}")
    return group[option]


def write(group, values):
    """Write {option: value} into a group."""
    for option, value in values.items():
        if isinstance(option, tuple):
            setattr(*option, value)
        elif option == "beta1":
            group["betas"] = (value, *group["betas"][1:])
        else:
            group[option] = value


def initial(optimizer, index, option):
    """The value that an option of a group had before the first schedule of it."""
    return optimizer.initial_options.setdefault((index, option), read(optimizer.param_groups[index], option))


def groups_of(optimizer):
    """Its groups; TypeError for what is no optimizer."""
    if not hasattr(optimizer, "param_groups"):
        raise TypeError(f"optimizer must be an optimizer, got {type(optimizer).__name__}")
    return optimizer.param_groups


def per_group(name, value, optimizer, check=not_negative):
    """`value` for each group: one for all, or a list; each as check(name, value) gives it."""
    groups = len(groups_of(optimizer))
    values = [check(name, item) for item in (value if isinstance(value, (list, tuple)) else [value] * groups)]
    if len(values) != groups:
        raise ValueError(f"{name} must have one value for each of the {groups} groups, got {len(values)}")
    return values


class LambdaLR(LRScheduler):
    """lr = initial * lr_lambda(step); lr_lambda: one function, or a list with one for each group"""

    def __init__(self, optimizer, lr_lambda, option="lr"):
        self.lr_lambda = lr_lambda
        self.functions = per_group("lr_lambda", lr_lambda, optimizer, _function)
        super().__init__(optimizer, option)

    def options(self, step):
        return [{self.option: base * _each(f, step)} for base, f in zip(self.base_lrs, self.functions)]


def _function(name, value):
    if not callable(value):
        raise TypeError(f"{name} must be a function, or a list with one for each group, got {value!r}")
    return value


def _each(function, step):
    return np.array([function(int(s)) for s in step]) if np.ndim(step) else function(step)


class MultiplicativeLR(LambdaLR):
    """lr = initial * product of lr_lambda(1), ..., lr_lambda(step)"""

    def options(self, step):
        def product(function):
            factors = np.cumprod([1.0] + [function(s) for s in range(1, int(np.max(step)) + 1)])
            return factors[step]
        return [{self.option: base * product(f)} for base, f in zip(self.base_lrs, self.functions)]


class StepLR(LRScheduler):
    """lr = initial * gamma ** floor(step / step_size)"""

    def __init__(self, optimizer, step_size, gamma=0.1, option="lr"):
        self.step_size, self.gamma = count("step_size", step_size), not_negative("gamma", gamma)
        super().__init__(optimizer, option)

    def factor(self, step):
        return self.gamma ** (step // self.step_size)


def _steps(name, value):
    """A list of numbers of steps."""
    if not isinstance(value, (list, tuple, np.ndarray)):
        raise TypeError(f"{name} must be a list of ints >= 0, got {value!r}")
    return [count(f"each of {name}", step, 0) for step in value]


class MultiStepLR(LRScheduler):
    """lr = initial * gamma ** (number of milestones <= step)"""

    def __init__(self, optimizer, milestones, gamma=0.1, option="lr"):
        self.milestones, self.gamma = sorted(_steps("milestones", milestones)), not_negative("gamma", gamma)
        super().__init__(optimizer, option)

    def factor(self, step):
        return self.gamma ** np.searchsorted(self.milestones, step, side="right")


class ExponentialLR(LRScheduler):
    """lr = initial * gamma ** step"""

    def __init__(self, optimizer, gamma, option="lr"):
        self.gamma = not_negative("gamma", gamma)
        super().__init__(optimizer, option)

    def factor(self, step):
        return self.gamma ** (step * 1.0)


class InverseScalingLR(LRScheduler):
    """lr = initial / (step + 1) ** power: scikit-learn's "invscaling" """

    def __init__(self, optimizer, power=0.5, option="lr"):
        self.power = number("power", power)
        super().__init__(optimizer, option)

    def factor(self, step):
        return (step + 1.0) ** -self.power


class ConstantLR(LRScheduler):
    """lr = initial * factor for the first total_iters steps, then initial"""

    def __init__(self, optimizer, factor=1.0 / 3, total_iters=5, option="lr"):
        self.multiplier, self.total_iters = number("factor", factor, 0, 1), count("total_iters", total_iters, 0)
        super().__init__(optimizer, option)

    def factor(self, step):
        return np.where(np.asarray(step) >= self.total_iters, 1.0, self.multiplier)


class LinearLR(LRScheduler):
    """lr = initial * (start_factor + (end_factor - start_factor) min(step, total_iters) / total_iters): a linear warm-up"""

    def __init__(self, optimizer, start_factor=1.0 / 3, end_factor=1.0, total_iters=5, option="lr"):
        self.start_factor, self.end_factor = number("start_factor", start_factor, above=0, high=1), number("end_factor", end_factor, 0, 1)
        self.total_iters = count("total_iters", total_iters)
        super().__init__(optimizer, option)

    def factor(self, step):
        done = np.minimum(step, self.total_iters) / self.total_iters
        return self.start_factor * (1 - done) + self.end_factor * done  # exact at both ends: never below 0


class PolynomialLR(LRScheduler):
    """lr = initial * (1 - min(step, total_iters) / total_iters) ** power"""

    def __init__(self, optimizer, total_iters=5, power=1.0, option="lr"):
        self.total_iters, self.power = count("total_iters", total_iters), not_negative("power", power)
        super().__init__(optimizer, option)

    def factor(self, step):
        return (1 - np.minimum(step, self.total_iters) / self.total_iters) ** self.power


class CosineAnnealingLR(LRScheduler):
    """lr = eta_min + (initial - eta_min) (1 + cos(pi step / T_max)) / 2. Loshchilov and Hutter 2017, arXiv:1608.03983"""

    def __init__(self, optimizer, T_max, eta_min=0.0, option="lr"):
        self.T_max, self.eta_min = count("T_max", T_max), not_negative("eta_min", eta_min)
        super().__init__(optimizer, option)

    def values(self, step, base):
        return self.eta_min + (base - self.eta_min) * (1 + np.cos(math.pi * step / self.T_max)) / 2


class CosineAnnealingWarmRestarts(LRScheduler):
    """Cosine annealing begun anew after T_0 steps, then after T_0 T_mult, T_0 T_mult², ... Loshchilov and Hutter 2017"""

    def __init__(self, optimizer, T_0, T_mult=1, eta_min=0.0, option="lr"):
        self.T_0, self.T_mult, self.eta_min = count("T_0", T_0), count("T_mult", T_mult), not_negative("eta_min", eta_min)
        super().__init__(optimizer, option)

    def values(self, step, base):
        if self.T_mult == 1:
            return self.eta_min + (base - self.eta_min) * (1 + np.cos(math.pi * (step % self.T_0) / self.T_0)) / 2
        starts, lengths = [0], [self.T_0]
        while starts[-1] + lengths[-1] <= np.max(step):
            starts.append(starts[-1] + lengths[-1])
            lengths.append(lengths[-1] * self.T_mult)
        cycle = np.searchsorted(starts, step, side="right") - 1
        done = (step - np.array(starts)[cycle]) / np.array(lengths)[cycle]
        return self.eta_min + (base - self.eta_min) * (1 + np.cos(math.pi * done)) / 2


class _Cycles(LRScheduler):
    """Schedules that move momentum (beta1 where the optimizer has betas) against the learning rate."""

    def _momentum(self, cycle_momentum, base_momentum, max_momentum):
        self.moved, self.cycle_momentum = None, flag("cycle_momentum", cycle_momentum)
        self.low = per_group("base_momentum", base_momentum, self.optimizer)
        self.high = per_group("max_momentum", max_momentum, self.optimizer)
        if cycle_momentum:
            names = self.optimizer.defaults
            if "momentum" not in names and "betas" not in names:
                raise ValueError(f"cycle_momentum=True needs an optimizer with momentum or betas, got {type(self.optimizer).__name__}")
            self.moved = "beta1" if "betas" in names else "momentum"


class OneCycleLR(_Cycles):
    """From max_lr / div_factor up to max_lr over pct_start of total_steps, then down to max_lr / div_factor / final_div_factor

    momentum (or beta1) goes the other way, max_momentum -> base_momentum -> max_momentum. three_phase: down to the initial rate in as
    many steps as up, and to the end in the rest. anneal_strategy: "cos" or "linear". Smith and Topin 2018, arXiv:1708.07120.
    """

    def __init__(self, optimizer, max_lr, total_steps=None, epochs=None, steps_per_epoch=None, pct_start=0.3, anneal_strategy="cos",
                 cycle_momentum=True, base_momentum=0.85, max_momentum=0.95, div_factor=25.0, final_div_factor=1e4, three_phase=False):
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR needs total_steps, or epochs and steps_per_epoch")
            total_steps = count("epochs", epochs) * count("steps_per_epoch", steps_per_epoch)
        self.anneal_strategy = choice("anneal_strategy", anneal_strategy, ("cos", "linear"))
        self.pct_start, self.three_phase = number("pct_start", pct_start, 0, 1), flag("three_phase", three_phase)
        self.total_steps, self.optimizer = count("total_steps", total_steps), optimizer
        self.max_lrs, self.div_factor = per_group("max_lr", max_lr, optimizer), positive("div_factor", div_factor)
        self.final_div_factor, up = positive("final_div_factor", final_div_factor), pct_start * total_steps - 1
        self.ends = [up, 2 * up, total_steps - 1.0] if three_phase else [up, total_steps - 1.0]
        self._momentum(cycle_momentum, base_momentum, max_momentum)
        super().__init__(optimizer)

    def options(self, step):
        if np.max(step) > self.total_steps:
            raise ValueError(f"OneCycleLR was made for total_steps = {self.total_steps} and is asked for step {np.max(step)}")
        found = []
        for index, top in enumerate(self.max_lrs):
            start = top / self.div_factor
            rates = [start, top, *[start] * (len(self.ends) - 2), start / self.final_div_factor]
            found.append({"lr": self._through(rates, step)})
            if self.moved:
                low, high = self.low[index], self.high[index]
                found[-1][self.moved] = self._through([high, low, *[high] * (len(self.ends) - 1)], step)
        return found

    def _through(self, corners, step):
        phase = np.minimum(np.searchsorted(self.ends, step, side="left"), len(self.ends) - 1)
        starts, ends, corners = np.array([0.0, *self.ends[:-1]]), np.array(self.ends), np.array(corners)
        part = (step - starts[phase]) / (ends[phase] - starts[phase])
        a, b = corners[phase], corners[phase + 1]
        return b + (a - b) / 2 * (np.cos(math.pi * part) + 1) if self.anneal_strategy == "cos" else (b - a) * part + a


class CyclicLR(_Cycles):
    """Between base_lr and max_lr, up in step_size_up steps and down in step_size_down, momentum (or beta1) the other way

    mode: "triangular"; "triangular2", the height halved every cycle; "exp_range", the height times gamma ** step; or scale_fn(x), x the
    number of the cycle from 1, or the step with scale_mode="iterations". Smith 2017, arXiv:1506.01186.
    """

    def __init__(self, optimizer, base_lr, max_lr, step_size_up=2000, step_size_down=None, mode="triangular", gamma=1.0, scale_fn=None,
                 scale_mode="cycle", cycle_momentum=True, base_momentum=0.8, max_momentum=0.9):
        if scale_fn is None:
            choice("mode", mode, ("triangular", "triangular2", "exp_range"))
        self.optimizer, self.low_lrs = optimizer, per_group("base_lr", base_lr, optimizer)
        self.max_lrs, self.mode, self.gamma = per_group("max_lr", max_lr, optimizer), mode, not_negative("gamma", gamma)
        self.scale_fn, self.scale_mode = scale_fn, choice("scale_mode", scale_mode, ("cycle", "iterations"))
        self.up = number("step_size_up", step_size_up, above=0)
        self.down = self.up if step_size_down is None else number("step_size_down", step_size_down, above=0)
        self.size = self.up + self.down
        self._momentum(cycle_momentum, base_momentum, max_momentum)
        super().__init__(optimizer)

    def _height(self, step, cycle):
        if self.scale_fn is not None:
            return _each(self.scale_fn, cycle if self.scale_mode == "cycle" else step)
        if self.mode == "exp_range":
            return self.gamma ** (step * 1.0)
        return 1.0 if self.mode == "triangular" else 0.5 ** (cycle - 1)

    def options(self, step):
        cycle = np.floor(1 + step / self.size)
        x, turn = 1 + step / self.size - cycle, self.up / self.size
        part = np.where(x <= turn, x / turn, (x - 1) / (turn - 1)) * self._height(step, cycle)
        found = [{"lr": low + (high - low) * part} for low, high in zip(self.low_lrs, self.max_lrs)]
        if self.moved:
            for values, low, high in zip(found, self.low, self.high):
                values[self.moved] = high - (high - low) * part
        return found


class _Composed(LRScheduler):
    """A schedule of schedules, whose initial values belong to its state."""

    def state_dict(self):
        return {**super().state_dict(), "schedulers": [scheduler.state_dict() for scheduler in self.schedulers]}

    def _restore(self, state):
        if len(state["schedulers"]) != len(self.schedulers):
            raise ValueError(f"state_dict: schedulers must be {len(self.schedulers)}, got {len(state['schedulers'])}")
        for scheduler, held in zip(self.schedulers, state["schedulers"]):
            entries("state_dict: one of the schedulers", held, scheduler.state_dict())
            scheduler._restore(held)
        super()._restore(state)


class SequentialLR(_Composed):
    """schedulers[0] until milestones[0] steps, then schedulers[1] from its beginning, and so on"""

    def __init__(self, optimizer, schedulers, milestones):
        _composed(optimizer, schedulers)
        self.schedulers, self.milestones = list(schedulers), _steps("milestones", milestones)
        if len(milestones) != len(schedulers) - 1 or self.milestones != sorted(milestones):
            raise ValueError(f"milestones must be one fewer than the {len(schedulers)} schedulers, and rise, got {milestones!r}")
        super().__init__(optimizer)

    def options(self, step):
        if np.ndim(step):
            return _stacked([self.options(int(s)) for s in step])
        index = bisect.bisect_right(self.milestones, step)
        return self.schedulers[index].options(step - (self.milestones[index - 1] if index else 0))


class ChainedScheduler(_Composed):
    """All schedulers at once: the initial value times the product of what each would multiply it with"""

    def __init__(self, schedulers, optimizer=None):
        _composed(optimizer, schedulers)
        optimizer = schedulers[0].optimizer
        self.schedulers = list(schedulers)
        super().__init__(optimizer)

    def options(self, step):
        found = [dict(values) for values in self.schedulers[0].options(step)]
        for scheduler in self.schedulers[1:]:
            for index, values in enumerate(scheduler.options(step)):
                for option, value in values.items():
                    base = initial(self.optimizer, index, option)
                    found[index][option] = found[index][option] * (value / base) if option in found[index] else value
        return found


def _stacked(rows):
    """Per-step lists of {option: value}, as one list of {option: array}."""
    return [{option: np.array([row[index][option] for row in rows]) for option in rows[0][index]} for index in range(len(rows[0]))]


def _composed(optimizer, schedulers):
    if not isinstance(schedulers, (list, tuple)) or not schedulers:
        raise ValueError(f"schedulers must be a list of at least one schedule, got {schedulers!r}")
    for scheduler in schedulers:
        if not isinstance(scheduler, LRScheduler) or not scheduler.ahead:
            raise TypeError(f"schedulers must be schedules that need no metric, got {type(scheduler).__name__}")
        if scheduler.optimizer is not (schedulers[0].optimizer if optimizer is None else optimizer):
            raise ValueError(f"schedulers must all belong to the given optimizer, {type(scheduler).__name__} does not")


class ReduceLROnPlateau(LRScheduler):
    """lr *= factor when step(metric) has not improved for more than `patience` calls in a row

    mode "min" or "max"; better means by more than threshold, relative ("rel") or absolute ("abs"); after a cut `cooldown` calls do not
    count. The rate stays >= min_lr; changes below eps are not made. In the Trainer the metric is the entry `monitor` of the epoch's
    logs; None: val_loss, or loss without validation data.
    """

    def __init__(self, optimizer, mode="min", factor=0.1, patience=10, threshold=1e-4, threshold_mode="rel", cooldown=0, min_lr=0.0,
                 eps=1e-8, monitor=None, option="lr"):
        self.mode, self.threshold_mode = choice("mode", mode, ("min", "max")), choice("threshold_mode", threshold_mode, ("rel", "abs"))
        self.multiplier, self.threshold = number("factor", factor, low=0, below=1), number("threshold", threshold)
        self.patience, self.cooldown = count("patience", patience, 0), count("cooldown", cooldown, 0)
        self.min_lrs, self.eps, self.monitor = per_group("min_lr", min_lr, optimizer), not_negative("eps", eps), monitor
        self.best, self.num_bad_epochs, self.cooldown_counter = math.inf if mode == "min" else -math.inf, 0, 0
        super().__init__(optimizer, option)

    def _write(self):
        """The values stand in the groups: they follow from metrics."""

    def step(self, metrics):
        """Go on by one, with the value that should improve."""
        try:
            current = float(metrics)
        except (TypeError, ValueError):
            raise TypeError(f"metrics must be a number, got {metrics!r}") from None
        self.last_epoch += 1
        self.num_bad_epochs = 0 if self._better(current) else self.num_bad_epochs + 1
        if self.num_bad_epochs == 0:
            self.best = current
        if self.cooldown_counter > 0:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown_counter - 1, 0
        if self.num_bad_epochs > self.patience:
            for group, least in zip(self.optimizer.param_groups, self.min_lrs):
                old = read(group, self.option)
                new = max(old * self.multiplier, least)
                if old - new > self.eps:
                    write(group, {self.option: new})
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def _better(self, value):
        sign = 1 if self.mode == "min" else -1
        margin = 1 - sign * self.threshold if self.threshold_mode == "rel" else 0
        return sign * value < (sign * self.best * margin if margin else sign * self.best - self.threshold)

    def state_dict(self):
        return {**super().state_dict(), "best": self.best, "num_bad_epochs": self.num_bad_epochs, "cooldown_counter": self.cooldown_counter}

    def _restore(self, state):
        super()._restore(state)
        self.best, self.num_bad_epochs = float(state["best"]), int(state["num_bad_epochs"])
        self.cooldown_counter = int(state["cooldown_counter"])
