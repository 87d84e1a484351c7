"""vivace train: a network for a built-in data set or for a table in a file."""
import os
from typing import NamedTuple

from .cli_options import Refused, check_writable, fraction, integer, names, positive, widths
from .threads import MOST

OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD"}
PICTURES = (".png", ".pdf", ".svg", ".jpg")

LARGEST, SMALLEST = 1e37, 1e-30
"""What a target may be and differ by: far enough from the ends of float32 for the weights that make it."""

BYTES = 24
"""Of a weight in training, at least: the number, two moments, and a snapshot of these."""

FEWEST = 3
"""Rows of which a fifth, rounded, is one."""


class Task(NamedTuple):
    """What one seed trains on: inputs and targets in three parts, and what makes them from raw rows.

    encoder: the TableEncoder of a table, None where rows are numbers already and their standardisation goes into the model.
    """

    parts: tuple
    classes: int
    encoder: object


def add_to(commands):
    """Add the command and its options."""
    from .datasets import NAMES
    train = commands.add_parser(
        "train", help="train a network on a table or a built-in data set and report its score on untouched rows",
        description="Train a network on a data set, stop early by a validation part, report the score on untouched test rows. "
                    "The saved model takes rows as they come: of a table with its texts and missing values (vivace predict), of a "
                    "built-in data set as numbers, their standardisation folded into its first layer.")
    train.add_argument("data", metavar="DATA", help=f"a CSV or Parquet file, or one of {', '.join(NAMES)}")
    option = train.add_argument
    option("--target", metavar="NAME", help="the column to predict, where DATA is a file")
    option("--task", choices=("classification", "regression"), help="kind of the target (told by its values: texts, booleans and "
                                                                     "a few whole numbers are classes)")
    option("--drop", type=names, default=[], metavar="A,B", help="columns not to learn from")
    option("--keep", type=names, default=[], metavar="A,B", help="columns to learn from though they only number the rows")
    option("--categories", type=names, default=[], metavar="A,B",
           help="columns whose numbers are names of categories; the target among them: its numbers are classes")
    option("--hidden", type=widths, default="128", metavar="W,W", help="hidden widths (%(default)s), or none")
    option("--epochs", type=positive(int), default=100, metavar="N", help="passes over the training rows, at most (%(default)s)")
    option("--batch-size", type=positive(int), default=32, metavar="N", help="rows per step (%(default)s)")
    option("--lr", type=positive(float), default=2e-3, metavar="X", help="learning rate (%(default)s)")
    option("--optimizer", choices=OPTIMIZERS, default="adamw", help="update rule (%(default)s)")
    option("--dropout", type=fraction, default=0.1, metavar="X", help="part of hidden units dropped in training (%(default)s)")
    option("--patience", type=positive(int), default=10, metavar="N",
           help="epochs to wait for a better validation loss (%(default)s)")
    option("--seed", type=integer(0, 2**63 - 1, "2^63 - 1"), default=0, metavar="N",
           help="decides split, first weights, order and dropout (%(default)s)")
    option("--seeds", type=positive(int), default=1, metavar="K", help="train with K seeds, print the mean (%(default)s)")
    option("--threads", type=integer(1, MOST), default=None, metavar="N", help="threads (chosen by the size of a step)")
    option("--max-time", type=positive(float), default=None, metavar="SECONDS", help="time of one fit, at most (no limit)")
    option("--out", "--output", default="model.vivace", metavar="FILE", help="where the model of the first seed goes (%(default)s)")
    option("--plot", default="curves.png", metavar="FILE", help="where the picture of its curves goes (%(default)s)")
    option("--history", default=None, metavar="FILE", help="where the numbers of its epochs go, CSV or Parquet (nowhere)")
    option("--quiet", action="store_true", help="no progress, only results")
    train.set_defaults(run=run)


def run(args):
    """The command."""
    source = _source(args)
    _check_paths(args)
    tasks, runs = source(args), []
    for seed in range(args.seed, args.seed + args.seeds):
        task = tasks(seed, first=not runs)
        trainer = _fit(args, task, seed)
        scores = score(trainer.predict(task.parts[2][0]), task.parts[2][1], task.classes > 0)
        runs.append((trainer, scores))
        run, which = trainer.last_run, f"seed {seed}: " if args.seeds > 1 else ""
        print(f"{which}test {line(scores)}; {len(trainer.history)} of at most {args.epochs} epochs in {run.seconds:.2f} s "
              f"({run.samples_per_second:,.0f} samples/s, threads: {run.threads})", flush=True)
    if args.seeds > 1:
        mean = {name: sum(scores[name] for _, scores in runs) / len(runs) for name in runs[0][1]}
        print(f"mean of {args.seeds} seeds: test {line(mean)}")
    _save(runs[0][0], args)


def _source(args):
    """_builtin or _table, or Refused."""
    from . import datasets, tablefile
    if args.data in datasets.NAMES:
        if args.target is not None or args.task or args.drop or args.keep or args.categories:
            raise Refused(f"--target, --task, --drop, --keep and --categories are for files, {args.data} has its own target")
        return _builtin
    if not tablefile.is_path(args.data):
        raise Refused(f"unknown data set {args.data!r}: known are {', '.join(datasets.NAMES)}, and files that end in .csv or .parquet")
    if not os.path.exists(args.data):
        raise Refused(f"there is no file {args.data!r}")
    if args.target is None:
        raise Refused(f"--target must name the column of {args.data} to predict")
    return _table


def _check_paths(args):
    outputs = {"--out": args.out, "--plot": args.plot} | ({} if args.history is None else {"--history": args.history})
    for option, path in outputs.items():
        check_writable(option, path)
    if not args.plot.endswith(PICTURES):
        raise Refused(f"--plot must end in {', '.join(PICTURES)}, got {args.plot!r}")
    paths = [os.path.realpath(path) for path in (*outputs.values(), args.data)]
    for path in outputs.values():
        if paths.count(os.path.realpath(path)) > 1:
            raise Refused(f"{' and '.join(outputs)} must differ, and from the data, got {path!r} twice")


def _builtin(args):
    """f(seed, first) -> Task of a data set that comes with scikit-learn."""
    from . import datasets
    data = datasets.load(args.data)

    def task(seed, first):
        parts = datasets.split(data.X, data.y, seed=seed, stratify=data.task == "classification")
        if first:
            kind = f"{len(data.target_names)} classes" if data.target_names else "regression"
            _describe(f"{data.name}: {len(data.X)} rows, {data.X.shape[1]} inputs, {kind}", parts)
        return Task(parts, len(data.target_names), None)
    return task


def _table(args):
    """f(seed, first) -> Task of a table in a file. What an encoder learns, it learns from the training rows."""
    import numpy as np

    from . import classes, datasets, tablefile
    from .frame import as_kind, some
    from .table import TableEncoder, describe_target
    task, categories = _task_and_categories(args)
    table = tablefile.read(args.data, texts=categories, written=[args.target])
    try:
        table, counting = _chosen(args, table, categories)
        goal = describe_target(args.target, table[args.target], task)
        empty = next((name for name, held in table.items() if held.missing.all()), None)
        if empty is not None:
            raise ValueError(f"column {empty!r} has no values: leave it out with --drop {empty}")
        if goal["task"] == "regression":
            _check_range(args.target, table[args.target].values)
    except (ValueError, TypeError) as error:
        raise Refused(f"{args.data}: {error}") from error
    rows, labels = len(table[args.target].values), goal["labels"]
    groups = classes.codes(as_kind(table[args.target], goal["kind"], args.target), labels) if labels else np.zeros(rows, np.int64)
    untested = _untested(args.data, groups, goal)

    def task(seed, first):
        split = datasets.split(np.arange(rows), groups, seed=seed, stratify=bool(labels))
        parts = [{name: column.take(index) for name, column in table.items()} for index, _ in split]
        try:
            encoder = TableEncoder.of_inputs({name: held for name, held in parts[0].items() if name != args.target}, goal, categories)
            made = [(encoder.transform(part), encoder.transform_target(part)) for part in parts]
        except (ValueError, TypeError) as error:
            raise Refused(f"{args.data}: {error}") from error
        if first:
            kind = f"{len(labels)} classes of {args.target!r}" if labels else f"regression on {args.target!r}"
            _describe(f"{os.path.basename(args.data)}: {rows} rows, {len(encoder.feature_names_in)} columns as "
                      f"{len(encoder.feature_names_out)} inputs, {kind}", made)
            for name, reason in [(name, f"it numbers the rows; --keep {name} learns from it") for name in counting] + [
                    *encoder.left_out.items()]:
                print(f"left out: {name} ({reason})", flush=True)
            if untested:
                print(f"trained on, not tested: {some(untested, 8)} (fewer than {FEWEST} rows)", flush=True)
        return Task(made, len(labels), encoder)
    return task


def _task_and_categories(args):
    """(task, the inputs among the categories), or Refused where options contradict each other."""
    from .table import task_of_categories
    if args.target in (*args.drop, *args.keep):
        raise Refused(f"the target {args.target!r} is no input: --drop and --keep cannot name it")
    twice = next((name for name in args.drop if name in (*args.keep, *args.categories)), None)
    if twice is not None:
        raise Refused(f"--drop leaves the column {twice!r} out: --keep and --categories cannot name it")
    if args.target in args.categories and args.task == "regression":
        raise Refused(f"--categories names the target {args.target!r}, so it has classes: --task cannot be regression")
    return task_of_categories(args.target, args.task, args.categories)


def _chosen(args, table, categories):
    """(the columns to learn from and the target, names of those left out because they number the rows)."""
    from .frame import require
    require(table, [args.target, *args.drop, *args.keep, *categories])
    counting = [name for name, held in table.items()
                if name not in (args.target, *args.drop, *args.keep, *categories) and _numbers_rows(held)]
    return {name: held for name, held in table.items() if name not in (*args.drop, *counting)}, counting


def _check_range(target, values):
    """ValueError for values that predictions, which are float32, could not give back."""
    low, high = float(values.min()), float(values.max())
    if max(-low, high) > LARGEST or high - low < SMALLEST:
        raise ValueError(f"the target {target!r} must have values below {LARGEST:g} that differ by {SMALLEST:g} at least, got {low:g} to "
                         f"{high:g}: predictions are float32, give it another unit")


def _untested(data, groups, goal):
    """The classes that have too few rows for a part of them to be put aside; Refused where this is so for all of them.

    Validation and test take a fifth of the rows of each class, rounded.
    """
    import numpy as np
    counts, labels = np.bincount(groups), goal["labels"]
    if counts.max() >= FEWEST:
        return [label for label, count in zip(labels, counts) if count < FEWEST]
    parts = f"a training, a validation and a test part take {FEWEST} at least"
    if not labels:
        raise Refused(f"{data}: {len(groups)} rows are too few: {parts}")
    most = int(counts.argmax())
    raise Refused(f"{data}: the largest of the {len(counts)} classes of {goal['name']!r}, {labels[most]!r}, has only "
                  f"{counts[most]} of {len(groups)} rows: {parts}")


def _numbers_rows(held):
    """Whether a column counts 0, 1, 2 ... or 1, 2, 3 ...: where a file is sorted by its classes, such a column gives them away."""
    values = held.values
    return held.kind == "number" and len(values) > 2 and values[0] in (0, 1) and bool((values[1:] - values[:-1] == 1).all())


def _describe(what, parts):
    train, validation, test = (len(part[0]) for part in parts)
    print(f"{what}; {train} rows to train on, {validation} to stop by, {test} untouched for the test", flush=True)


def _fit(args, task, seed):
    """A Trainer that has learned the training part, its model for rows as they come from the encoder, or raw without one."""
    import numpy as np

    import vivace as vv

    from .datasets import Standardizer
    (X, y), (Xv, yv), _ = task.parts
    inputs, targets = None if task.encoder else Standardizer(X), None if task.classes else Standardizer(y)
    if inputs is not None:
        X, Xv = inputs.transform(X), inputs.transform(Xv)
    if targets is not None:
        y, yv = (targets.transform(part).astype(np.float32) for part in (y, yv))
    _check_memory([X.shape[1], *args.hidden, task.classes or 1])
    vv.manual_seed(seed)
    model = _network(X.shape[1], args.hidden, task.classes or 1, args.dropout)
    optimizer = getattr(vv.optim, OPTIMIZERS[args.optimizer])(model.parameters(), lr=args.lr)
    trainer = vv.Trainer(model, vv.nn.CrossEntropyLoss() if task.classes else vv.nn.MSELoss(), optimizer, seed=seed,
                         metrics=["accuracy" if task.classes else "r2"], num_threads=args.threads)
    trainer.fit(X, y, epochs=args.epochs, batch_size=args.batch_size, validation_data=(Xv, yv), max_time=args.max_time,
                callbacks=[vv.callbacks.EarlyStopping(patience=args.patience)], verbose=0 if args.quiet else "auto")
    _fold(model, inputs, targets)
    trainer.table = task.encoder
    return trainer


def _check_memory(sizes):
    """Refused where a network does not fit into this machine: the system ends such a process without a word."""
    weights = sum((i + 1) * o for i, o in zip(sizes[:-1], sizes[1:]))
    needed, room = weights * BYTES, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > room:
        raise Refused(f"--hidden must be widths whose network fits into memory: {weights:,} weights need {needed / 1e9:,.0f} GB of "
                      f"{room / 1e9:,.0f}")


def _network(inputs, hidden, outputs, dropout):
    from . import nn
    sizes, layers = [inputs, *hidden], []
    for i, o in zip(sizes[:-1], sizes[1:]):
        layers += [nn.Linear(i, o), nn.ReLU(), *([nn.Dropout(dropout)] if dropout else [])]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))


def _fold(model, inputs, targets):
    """Let the first layer take raw inputs, w ((x - m) / s) + b = (w / s) x + (b - (w / s) m), and the last give raw targets."""
    state = {name: value.astype("float64") for name, value in model.state_dict().items()}
    first, last = (list(state)[at].rpartition(".")[0] for at in (0, -1))
    if inputs is not None:
        state[f"{first}.weight"] /= inputs.scale
        state[f"{first}.bias"] -= state[f"{first}.weight"] @ inputs.mean
    if targets is not None:
        state[f"{last}.weight"] *= targets.scale
        state[f"{last}.bias"] = state[f"{last}.bias"] * targets.scale + targets.mean
    model.load_state_dict(state)


def score(prediction, y, classes):
    """{name: score} of raw outputs: accuracy of classes, R2, MAE and RMSE of values."""
    from . import metrics
    if classes:
        return {"accuracy": metrics.accuracy(prediction, y)}
    return {"R2": metrics.r2(prediction, y), "MAE": metrics.mae(prediction, y), "RMSE": metrics.rmse(prediction, y)}


def line(scores):
    """The scores in one line."""
    form = {"accuracy": ".4f", "R2": ".4f"}
    return ", ".join(f"{name} {format(value, form.get(name, '.4g'))}" for name, value in scores.items())


def _save(trainer, args):
    trainer.save(args.out)
    print(f"model: {args.out}")
    if not len(trainer.history):
        print("no picture: the time was over before the first epoch was")
        return
    if args.history is not None:
        from .tablefile import write
        write(args.history, {"epoch": [epoch + 1 for epoch in trainer.history.epoch], **trainer.history.history})
        print(f"history: {args.history}")
    try:
        trainer.history.plot(args.plot)
    except ImportError as error:
        print(f"no picture: {error}")
    else:
        print(f"curves: {args.plot}")
