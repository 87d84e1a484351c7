"""What fit shows while it runs, on standard error: one bar for the whole run, or one line per epoch."""
import os
import sys
import time

from .history import NOT_METRICS

REFRESH = 0.1
"""Seconds between two updates of the bar."""


class Progress:
    """verbose: "auto" (a bar where standard error is a terminal, else lines), 0 or False nothing, 1 or True a bar, 2 lines.

    epochs: number of the last epoch of the run; samples: rows of an epoch. Epochs are counted from 0 here and shown from 1.
    As a context manager it closes itself.
    """

    def __init__(self, verbose, epochs, samples):
        if not (verbose == "auto" or (isinstance(verbose, int) and verbose in (0, 1, 2))):
            raise ValueError(f'verbose must be "auto", 0, 1 or 2, got {verbose!r}')
        self.stream, self.epochs, self.samples, self.bar = sys.stderr, epochs, samples, None
        self.shown, self.last = -REFRESH, []  # when the bar was last drawn; the scores of the last epoch, kept beside the loss
        if verbose == "auto":
            verbose = 1 if self.stream is not None and self.stream.isatty() else 2
        self.verbose = int(verbose) if self.stream is not None else 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def due(self):
        """Whether update() would draw: ask before computing what it shows."""
        return self.verbose == 1 and time.monotonic() - self.shown >= REFRESH

    def update(self, epoch, done_rows, loss=None):
        """`done_rows` of epoch `epoch` are done, with mean loss so far `loss`. Cheap when called often."""
        if self.due():
            self.shown = time.monotonic()
            self._show(epoch, epoch * self.samples + done_rows, [] if loss is None else scores({"loss": loss}))

    def end_epoch(self, epoch, logs):
        """Epoch `epoch` is done, with its logs."""
        if self.verbose == 1:
            loss, *self.last = scores(logs)
            self._show(epoch, (epoch + 1) * self.samples, [loss])
        elif self.verbose == 2:
            rate = logs.get("samples_per_second")
            parts = [f"epoch {epoch + 1}/{self.epochs}", *scores(logs), *([f"{_rate(rate)} samples/s"] if rate else [])]
            print("  ".join(parts), file=self.stream, flush=True)

    def close(self):
        """Leave the bar as it stands. May be called twice."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _show(self, epoch, position, loss):
        if self.bar is None:
            self.bar = _bar_class()(
                total=self.epochs * self.samples, initial=epoch * self.samples, unit=" samples", unit_scale=True,
                file=self.stream, mininterval=REFRESH, **_width(self.stream),
                bar_format="{desc} {bar:10} {percentage:3.0f}%{postfix}  {rate_fmt} [{elapsed}<{remaining}]")
        self.bar.set_description_str(f"epoch {epoch + 1}/{self.epochs}", refresh=False)
        self.bar.set_postfix_str("  ".join([*loss, *self.last]), refresh=False)
        self.bar.update(position - self.bar.n)


def _bar_class():
    from tqdm import tqdm

    class Bar(tqdm):
        monitor_interval = 0  # no watcher thread of its own: fit already returns often, and forks stay safe

    return Bar


def _width(stream):
    """The terminal's size, followed while it changes; 100 x 20 where it tells none: tqdm would draw nothing for 0 x 0."""
    try:
        columns, lines = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError, AttributeError):
        columns, lines = 0, 0
    return {"dynamic_ncols": True} if columns > 2 and lines > 2 else {"ncols": 100, "nrows": 20}


def scores(logs):
    """["loss 0.1234", ...]: the loss, then the validation scores, or the training metrics where nothing is validated."""
    validation = [name for name in logs if name.startswith("val_")]
    names = ["loss", *(validation or [name for name in logs if name not in NOT_METRICS])]
    return [f"{name} {_number(name, logs[name])}" for name in names if name in logs]


def _number(name, value):
    if name.removeprefix("val_") in ("accuracy", "r2"):
        return f"{value:.3f}"
    return f"{value:#.4g}".rstrip(".")


def _rate(value):
    """Three digits at most: 950, 34k, 1.2M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            scaled = value / size
            return f"{scaled:.1f}{unit}" if scaled < 10 else f"{scaled:.0f}{unit}"
    return f"{value:.0f}"
