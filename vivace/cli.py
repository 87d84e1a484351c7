"""The command line: vivace train, bench, info.

Bad input is one line on standard error and exit status 2; Ctrl-C one line and 130.
"""
import argparse
import os
import re
import sys

OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD"}
PICTURES = (".png", ".pdf", ".svg", ".jpg")


class _Refused(Exception):
    """Bad input, in one line."""


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise _Refused(f"{message} (see {self.prog} --help)")


def main(argv=None):
    """Run the command line `argv` (default: that of the process); returns the exit status."""
    try:
        args = _parser().parse_args(argv)
        return args.run(args) or 0
    except SystemExit as done:  # --help, --version
        return done.code or 0
    except KeyboardInterrupt:
        print("vivace: interrupted, nothing was saved", file=sys.stderr)
        return 130
    except (_Refused, ValueError, ImportError, ArithmeticError, OSError) as error:
        print(f"vivace: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
        return 2


def _parser():
    parser = _Parser(prog="vivace", description="Train dense networks on this machine's CPU.")
    parser.add_argument("--version", action="store_true", help="print the version and leave")
    parser.set_defaults(run=lambda args: _version(args, parser))
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)
    _train_parser(commands)
    bench = commands.add_parser("bench", help="time a training step of every backend beside NumPy, results verified first")
    bench.add_argument("--seconds", type=_positive(float), default=20.0, help="time to spend on measuring (default 20)")
    bench.set_defaults(run=_bench)
    info = commands.add_parser("info", help="print backend, instruction set, threads and versions")
    info.set_defaults(run=_info)
    return parser


def _train_parser(commands):
    from .datasets import NAMES
    train = commands.add_parser(
        "train", help="train a network on a built-in data set and report its score on untouched rows",
        description="Train a network on a data set, stop early by a validation part, report the score on untouched test rows. "
                    "The saved model takes inputs as they come: their standardisation is folded into its first layer "
                    "(and a regression target's into its last).")
    train.add_argument("data", metavar="NAME", help=f"one of {', '.join(NAMES)}")
    option = train.add_argument
    option("--hidden", type=_widths, default="128", metavar="W,W", help="hidden widths (%(default)s), or none")
    option("--epochs", type=_positive(int), default=100, metavar="N", help="passes over the training rows, at most (%(default)s)")
    option("--batch-size", type=_positive(int), default=32, metavar="N", help="rows per step (%(default)s)")
    option("--lr", type=_positive(float), default=2e-3, metavar="X", help="learning rate (%(default)s)")
    option("--optimizer", choices=OPTIMIZERS, default="adamw", help="update rule (%(default)s)")
    option("--dropout", type=_fraction, default=0.1, metavar="X", help="part of hidden units dropped in training (%(default)s)")
    option("--patience", type=_positive(int), default=10, metavar="N",
           help="epochs to wait for a better validation loss (%(default)s)")
    option("--seed", type=_natural, default=0, metavar="N", help="decides split, first weights, order and dropout (%(default)s)")
    option("--seeds", type=_positive(int), default=1, metavar="K", help="train with K seeds, print the mean (%(default)s)")
    option("--threads", type=_positive(int), default=None, metavar="N", help="threads (chosen by the size of a step)")
    option("--max-time", type=_positive(float), default=None, metavar="SECONDS", help="time of one fit, at most (no limit)")
    option("--out", default="model.vivace", metavar="FILE", help="where the model of the first seed goes (%(default)s)")
    option("--plot", default="curves.png", metavar="FILE", help="where the picture of its curves goes (%(default)s)")
    option("--quiet", action="store_true", help="no progress, only results")
    train.set_defaults(run=_train)


def _version(args, parser):
    if not args.version:
        parser.print_help()
        return 0
    import vivace
    print(f"vivace {vivace.__version__}")


def _info(args):
    import vivace
    vivace.show_config()


def _bench(args):
    from .benchmarks import step
    return step.main(["--seconds", str(args.seconds)])


def _train(args):
    from . import datasets
    if args.data not in datasets.NAMES:
        raise _Refused(f"unknown data set {args.data!r}: known are {', '.join(datasets.NAMES)}")
    _check_paths(args)
    data, runs = datasets.load(args.data), []
    for seed in range(args.seed, args.seed + args.seeds):
        parts = datasets.split(data.X, data.y, seed=seed, stratify=data.task == "classification")
        if not runs:
            _describe(data, parts)
        trainer = _fit(args, data, parts, seed)
        scores = _scores(trainer, parts.test, data.task)
        runs.append((trainer, scores))
        run, which = trainer.last_run, f"seed {seed}: " if args.seeds > 1 else ""
        print(f"{which}test {_line(scores)}; {len(trainer.history)} of at most {args.epochs} epochs in {run.seconds:.2f} s "
              f"({run.samples_per_second:,.0f} samples/s, threads: {run.threads})", flush=True)
    if args.seeds > 1:
        mean = {name: sum(scores[name] for _, scores in runs) / len(runs) for name in runs[0][1]}
        print(f"mean of {args.seeds} seeds: test {_line(mean)}")
    _save(runs[0][0], args)


def _check_paths(args):
    """Before the training, not after it."""
    for option, path in (("--out", args.out), ("--plot", args.plot)):
        folder = os.path.dirname(path) or "."
        if not os.path.isdir(folder) or not os.access(folder, os.W_OK) or os.path.isdir(path):
            raise _Refused(f"{option} must name a file in a folder that can be written to, got {path!r}")
    if not args.plot.endswith(PICTURES):
        raise _Refused(f"--plot must end in {', '.join(PICTURES)}, got {args.plot!r}")
    if os.path.abspath(args.plot) == os.path.abspath(args.out):
        raise _Refused(f"--out and --plot must differ, got {args.plot!r} twice")


def _describe(data, parts):
    kind = f"{len(data.target_names)} classes" if data.target_names else "regression"
    train, validation, test = (len(part[0]) for part in parts)
    print(f"{data.name}: {len(data.X)} rows, {data.X.shape[1]} inputs, {kind}; "
          f"{train} rows to train on, {validation} to stop by, {test} untouched for the test", flush=True)


def _fit(args, data, parts, seed):
    """A Trainer that has learned parts.train, its model for rows as they come."""
    import vivace as vv

    from .datasets import Standardizer
    classes = data.task == "classification"
    (X, y), (Xv, yv), _ = parts
    inputs, targets = Standardizer(X), None if classes else Standardizer(y)
    X, Xv = inputs.transform(X), inputs.transform(Xv)
    if targets is not None:
        y, yv = targets.transform(y), targets.transform(yv)
    vv.manual_seed(seed)
    model = _network(X.shape[1], args.hidden, len(data.target_names) or 1, args.dropout)
    optimizer = getattr(vv.optim, OPTIMIZERS[args.optimizer])(model.parameters(), lr=args.lr)
    trainer = vv.Trainer(model, vv.nn.CrossEntropyLoss() if classes else vv.nn.MSELoss(), optimizer, seed=seed,
                         metrics=["accuracy" if classes else "r2"], num_threads=args.threads)
    trainer.fit(X, y, epochs=args.epochs, batch_size=args.batch_size, validation_data=(Xv, yv), max_time=args.max_time,
                callbacks=[vv.callbacks.EarlyStopping(patience=args.patience)], verbose=0 if args.quiet else "auto")
    _fold(model, inputs, targets)
    return trainer


def _network(inputs, hidden, outputs, dropout):
    from . import nn
    widths, layers = [inputs, *hidden], []
    for i, o in zip(widths[:-1], widths[1:]):
        layers += [nn.Linear(i, o), nn.ReLU(), *([nn.Dropout(dropout)] if dropout else [])]
    return nn.Sequential(*layers, nn.Linear(widths[-1], outputs))


def _fold(model, inputs, targets):
    """Let the first layer take raw inputs, w ((x - m) / s) + b = (w / s) x + (b - (w / s) m), and the last give raw targets."""
    state = {name: value.astype("float64") for name, value in model.state_dict().items()}
    first, last = (list(state)[at].rpartition(".")[0] for at in (0, -1))
    state[f"{first}.weight"] /= inputs.scale
    state[f"{first}.bias"] -= state[f"{first}.weight"] @ inputs.mean
    if targets is not None:
        state[f"{last}.weight"] *= targets.scale
        state[f"{last}.bias"] = state[f"{last}.bias"] * targets.scale + targets.mean
    model.load_state_dict(state)


def _scores(trainer, part, task):
    from . import metrics
    X, y = part
    prediction = trainer.predict(X)
    if task == "classification":
        return {"accuracy": metrics.accuracy(prediction, y)}
    return {"R2": metrics.r2(prediction, y), "MAE": metrics.mae(prediction, y), "RMSE": metrics.rmse(prediction, y)}


def _save(trainer, args):
    trainer.save(args.out)
    print(f"model: {args.out}")
    if not len(trainer.history):
        print("no picture: the time was over before the first epoch was")
        return
    try:
        trainer.history.plot(args.plot)
    except ImportError as error:
        print(f"no picture: {error}")
    else:
        print(f"curves: {args.plot}")


def _line(scores):
    form = {"accuracy": ".4f", "R2": ".4f"}
    return ", ".join(f"{name} {format(value, form.get(name, '.4g'))}" for name, value in scores.items())


def _positive(kind):
    def read(text):
        value = _number(kind, text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"must be above 0, got {text!r}")
        return value
    return read


def _natural(text):
    value = _number(int, text)
    if not 0 <= value < 2**63:
        raise argparse.ArgumentTypeError(f"must be an integer in 0..2^63 - 1, got {text!r}")
    return value


def _fraction(text):
    value = _number(float, text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"must be in 0..1, below 1, got {text!r}")
    return value


def _number(kind, text):
    try:
        return kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be {'an integer' if kind is int else 'a number'}, got {text!r}") from None


def _widths(text):
    """(128, 64) from "128,64" or "128 64"; () from "none"."""
    if text.strip() == "none":
        return ()
    parts = re.split(r"[\s,]+", text.strip().strip(","))
    if not all(re.fullmatch(r"[1-9]\d{0,8}", part) for part in parts):
        raise argparse.ArgumentTypeError(f"must be widths such as 128,64, or none, got {text!r}")
    return tuple(map(int, parts))


