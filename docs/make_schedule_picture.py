"""Writes docs/schedules.png: learning rates of some schedules over 100 steps. Needs matplotlib: python docs/make_schedule_picture.py"""
import pathlib

import matplotlib
import numpy as np

from vivace import nn, optim

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

s = optim.lr_scheduler
SCHEDULES = {
    "StepLR(20, 0.5)": lambda o: s.StepLR(o, 20, 0.5), "ExponentialLR(0.97)": lambda o: s.ExponentialLR(o, 0.97),
    "PolynomialLR(100, 2)": lambda o: s.PolynomialLR(o, 100, 2.0), "CosineAnnealingLR(100)": lambda o: s.CosineAnnealingLR(o, 100),
    "CosineAnnealingWarmRestarts(15, 2)": lambda o: s.CosineAnnealingWarmRestarts(o, 15, 2),
    "OneCycleLR(1, 100)": lambda o: s.OneCycleLR(o, 1.0, 100, cycle_momentum=False),
    "CyclicLR(0.1, 1, 12, triangular2)": lambda o: s.CyclicLR(o, 0.1, 1.0, 12, mode="triangular2", cycle_momentum=False),
    "LinearLR, then CosineAnnealingLR": lambda o: s.SequentialLR(o, [s.LinearLR(o, 0.1, total_iters=15), s.CosineAnnealingLR(o, 85)], [15]),
}


def main():
    figure, axes = plt.subplots(2, 4, figsize=(12, 4.6), sharex=True, sharey=True)
    for axis, (name, make) in zip(axes.flat, SCHEDULES.items()):
        scheduler = make(optim.SGD([nn.Parameter(np.zeros(1))], lr=1.0))
        axis.plot(scheduler.over(0, 100)[0]["lr"])
        axis.set_title(name, fontsize=8)
        axis.grid(alpha=0.3)
    figure.supxlabel("step")
    figure.supylabel("learning rate")
    figure.tight_layout()
    figure.savefig(pathlib.Path(__file__).with_name("schedules.png"), dpi=70)


if __name__ == "__main__":
    main()
