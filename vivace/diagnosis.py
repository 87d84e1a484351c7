"""What is wrong with a training, told from its losses and from what its layers compute."""
import numpy as np

from . import measure

VANISHING = 1e-4
"""A layer whose gradient elements are, root of mean square, below this part of a later layer's learns nothing beside it."""

GROWTH = 1e4
"""A layer whose gradient elements are this many times those of the last layer."""

DEAD, DEAD_LEARNING = 0.5, 0.9
"""Part of a layer's units that may pass no gradient on any row of the sample: of a network whose loss has not fallen, and of one that
learns. Trained by Adam at 1e-2, ReLU networks whose loss fell a hundredfold were seen with 88% in a layer."""

SATURATED = 0.9
"""Part of the outputs of a sigmoid or tanh layer that may stand where the function is flat, while the loss has not fallen."""

LEAPT, WORSE = 4.0, 2.0
"""A loss that over an epoch was this many times that of the first step, and in the last epoch still is this many times it and worse
than outputs that say nothing, has been thrown off."""

STILL, WAY = 1e-5, 1e-2
"""Update-to-weight ratio below which no layer learns, and the way, relative to the weights, that no layer has gone in all steps."""

WILD = 0.1
"""Update-to-weight ratio at which a layer forgets what it knew within ten steps. About 1e-3 is usual."""

FALLEN, KNOWS = 0.9, 0.5
"""A loss below this part of the first one shows that the network learns; below this part of what outputs that say nothing would give,
that it has learned, here or before."""

BOUNDED = ("sigmoid", "tanh")

ADVICE = {
    "exploding": "lower the learning rate (by 10 or more), scale inputs and targets to about unit variance, clip gradients with "
                 "Trainer(clip_grad_norm=1.0), or initialise with smaller weights",
    "vanishing": "use ReLU with nn.init.kaiming_normal_ or tanh with nn.init.xavier_normal_ instead of sigmoid, fewer layers, "
                 "or residual connections x + f(x)",
    "dead": "start biases at 0, lower the learning rate, initialise with nn.init.kaiming_normal_, or use nn.LeakyReLU, ELU or SiLU",
    "saturated": "scale the inputs to about unit variance, initialise with nn.init.xavier_normal_, or lower the learning rate",
    "lr_too_low": "raise the learning rate by 10 or 100 at a time, until the update-to-weight ratio is about 1e-3",
    "lr_too_high": "lower the learning rate by 3 or 10 at a time, until the update-to-weight ratio is about 1e-3, or use a scheduler",
}
"""What to try, by kind of finding."""


class Finding:
    """kind: a key of ADVICE. layers: the names it is about, () where it is about the whole network. message: what was seen, with
    numbers. advice: what to try."""

    def __init__(self, kind, message, layers=()):
        self.kind, self.message, self.layers, self.advice = kind, message, tuple(layers), ADVICE[kind]

    def __str__(self):
        return f"{self.message}. Try: {self.advice}."

    def __repr__(self):
        return f"Finding({self.kind!r}, {self.message!r})"


class Diagnosis:
    """A sequence of Findings, the likely cause first; empty, and so false, for a healthy run. print(it) tells all of them."""

    def __init__(self, findings):
        self.findings = tuple(findings)

    healthy = property(lambda self: not self.findings)
    kinds = property(lambda self: [f.kind for f in self.findings])

    def __len__(self):
        return len(self.findings)

    def __getitem__(self, index):
        return self.findings[index]

    def __str__(self):
        return "\n".join(map(str, self.findings)) if self.findings else "healthy: nothing to report"

    __repr__ = __str__


def diagnose(trainer, X=None, y=None, sample_weight=None):
    """Look for what keeps `trainer` from learning; returns a Diagnosis, empty for a healthy run.

    It reads the losses of all fits, the records of a callbacks.Statistics where the last fit had one, and measures one more step on a
    sample (up to 512 rows of the last fit's data, or all of X, y), after which model and optimizer are put back as they were. Names:
    exploding (loss or gradients), dead units, vanishing gradients, saturated units, learning rate too low, too high. The thresholds are
    the constants of this module. Raises RuntimeError where there is neither a fit nor X and y.
    """
    from .trainer import Trainer
    if not isinstance(trainer, Trainer):
        raise TypeError(f"trainer must be a vivace.Trainer, got {type(trainer).__name__}")
    if (X is None) != (y is None):
        raise ValueError("give X and y, or neither")
    with trainer._lock:
        sample = trainer.sample if X is None else measure.Sample(*trainer._data(X, y, sample_weight))
        if sample is None:
            raise RuntimeError("diagnose needs a trainer that was fitted in this process, or data: diagnose(trainer, X, y)")
        if not len(sample.target):
            raise ValueError("X must have at least one row, got 0")
        course, losses = trainer.course, trainer.history.history.get("loss", [])
        blank = measure.blank_loss(trainer, sample)
        found = _exploded(course, losses, blank)
        if found:
            return Diagnosis(found)
        seen = measure.now(trainer, sample)
        if seen is None:
            return Diagnosis([Finding("exploding", "exploding: the loss is not finite")])
        look = Look(seen, trainer.statistics)
        learns = _learns(course, losses, blank)
        found = _growing(look) or [*_dead(look, DEAD_LEARNING if learns else DEAD), *_vanishing(look)]
        return Diagnosis(found or [*_rate(look, losses, learns, trainer), *([] if learns else _saturated(look))])


class Look:
    """What was measured now, and over the records of the last fit: the median of each statistic."""

    def __init__(self, seen, statistics):
        self.layers, self.activations = seen.layers, seen.activations
        self.functions = [n.op.function for n in seen.nodes]
        self.now = seen.record.values
        self.usual = dict(self.now)
        if statistics is not None and (statistics.layers, statistics.activations) == (seen.layers, seen.activations) and len(statistics):
            for name, value in self.now.items():
                self.usual[name] = np.median([value, *statistics[name]], axis=0)


def _exploded(course, losses, blank):
    if course.failure is not None:
        return [Finding("exploding", f"exploding: training stopped being finite ({course.failure})")]
    if course.first is None or not losses:
        return []
    first, last = max(abs(course.first), 1e-12), losses[-1]
    if max(losses) > LEAPT * first and last > max(WORSE * first, blank):
        return [Finding("exploding", f"exploding loss: {course.first:.3g} in the first step, up to {max(losses):.3g} in an epoch, "
                                     f"{last:.3g} in the last one; the learning rate is too high")]
    return []


def _learns(course, losses, blank):
    """Whether the loss has fallen; only losses of full epochs count."""
    if not losses:
        return False
    first = losses[0] if course.first is None else course.first
    return losses[-1] < FALLEN * first or losses[-1] < KNOWS * blank


def _growing(look):
    rms = look.usual["grad_rms"]
    worst = int(rms.argmax())
    if rms[-1] > 0 and rms[worst] > GROWTH * rms[-1]:
        return [Finding("exploding", f"exploding gradients: from {rms[-1]:.2g} per weight in layer {look.layers[-1]} they grow backwards "
                                     f"to {rms[worst]:.2g} in layer {look.layers[worst]}", [look.layers[worst]])]
    return []


def _dead(look, allowed):
    dead = look.now["dead"]
    names = [name for name, part, f in zip(look.activations, dead, look.functions) if part > allowed and f not in BOUNDED]
    if not names:
        return []
    parts = ", ".join(f"{part:.0%} behind layer {name.split()[0]}" for name, part in zip(look.activations, dead) if name in names)
    return [Finding("dead", f"dead units: {parts} pass no gradient on any row", [name.split()[0] for name in names])]


def _vanishing(look):
    if (look.now["dead"] == 1).any():
        return []  # what is before a dead layer has no gradient: one cause, one finding
    rms = look.usual["grad_rms"]
    later = np.maximum.accumulate(rms[::-1])[::-1]
    names = [name for name, r, top in zip(look.layers, rms, later) if r < VANISHING * top]
    if not names:
        return []
    worst = look.layers.index(names[0])
    top = look.layers[worst + int(np.argmax(rms[worst:]))]
    which = f"layer {names[0]}" if len(names) == 1 else f"layers {names[0]} to {names[-1]}"
    return [Finding("vanishing", f"vanishing gradients in {which}: {rms[worst]:.2g} per weight in layer {names[0]}, against "
                                 f"{later[worst]:.2g} in layer {top}", names)]


def _saturated(look):
    names = [name for name, part, f in zip(look.activations, look.now["saturation"], look.functions) if f in BOUNDED and part > SATURATED]
    if not names:
        return []
    return [Finding("saturated", f"saturated units: over {SATURATED:.0%} of the outputs of {', '.join(names)} stand where the function is "
                                 "flat", [name.split()[0] for name in names])]


def _rate(look, losses, learns, trainer):
    """The learning rate, judged where the loss has not fallen: updates beside the weights they change."""
    ratio = look.usual["update_ratio"]
    ratio = ratio[np.isfinite(ratio)]
    if not losses or not len(ratio):
        return []
    rates = ", ".join(f"{group['lr']:g}" for group in trainer.optimizer.param_groups)
    last, first = losses[-1], losses[0]
    if len(losses) >= 3 and last > WORSE * min(losses) and last > 0.5 * first:
        return [Finding("lr_too_high", f"learning rate too high ({rates}): the loss was {min(losses):.3g} and rose to {last:.3g}")]
    if learns:
        return []
    most = ratio.max()
    if most < STILL and most * trainer.step < WAY:
        return [Finding("lr_too_low", f"learning rate too low ({rates}): a step changes no layer by more than {most:.2g} of its weights, "
                                      f"and the loss is still {last:.3g}")]
    if most > WILD:
        return [Finding("lr_too_high", f"learning rate too high ({rates}): a step changes a layer by {most:.2g} of its weights, and the "
                                       f"loss, {first:.3g} in the first epoch, is {last:.3g}")]
    return []
