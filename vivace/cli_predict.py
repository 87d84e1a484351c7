"""vivace predict: a saved model's answers for the raw rows of a table."""
import os
import sys

from .cli_options import Refused, check_writable
from .cli_train import line, score


def add_to(commands):
    """Add the command and its options."""
    predict = commands.add_parser(
        "predict", help="write a model's predictions for the rows of a CSV or Parquet file",
        description="Write one line per row of DATA, in its order: the prediction in the target's own labels or units, and the "
                    "probability of each class. DATA is as the file was that vivace train read; it needs no target column, and "
                    "where it has one the score is printed.")
    predict.add_argument("model", metavar="MODEL", help="a file written by vivace train from a table")
    predict.add_argument("data", metavar="DATA", help="a CSV or Parquet file")
    predict.add_argument("--out", "--output", default="predictions.csv", metavar="FILE",
                         help="where the predictions go: CSV or .parquet, - is standard output (%(default)s)")
    predict.set_defaults(run=run)


def run(args):
    """The command."""
    import vivace as vv

    from . import tablefile
    for path in (args.model, args.data):
        if not os.path.exists(path):
            raise Refused(f"there is no file {path!r}")
    if args.out != "-":
        check_writable("--out", args.out)
        if os.path.realpath(args.out) in (os.path.realpath(args.model), os.path.realpath(args.data)):
            raise Refused(f"--out must differ from the model and the data, got {args.out!r}")
    trainer = vv.load(args.model)
    encoder = trainer.table
    if encoder is None:
        raise Refused(f"{args.model} was not trained on a table: in Python, vivace.load({args.model!r}).predict(X) takes its numbers")
    table = tablefile.read(args.data, texts=[name for name, kind in encoder.kinds.items() if kind == "category"],
                           written=[name for name in (encoder.target,) if encoder.kinds.get(name) in ("number", "boolean")])
    try:
        X = encoder.transform(table)
    except (ValueError, TypeError) as error:
        raise Refused(f"{args.data}: {error}") from error
    found = predictions(trainer, X)
    if args.out == "-":
        text = tablefile.as_csv(found)
        if not hasattr(sys.stdout, "buffer"):
            print(text, end="")
            return
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode())  # a file's UTF-8, whatever the terminal's encoding
        sys.stdout.buffer.flush()
        return
    tablefile.write(args.out, found)
    print(f"predictions: {args.out} ({len(X)} rows)")
    _score(trainer, X, table)


def predictions(trainer, X):
    """{"prediction": labels or values, "probability_<label>": ...} of encoded rows; prediction_0, ... where a model has several outputs."""
    import numpy as np
    encoder = trainer.table
    if encoder.task != "classification":
        columns = trainer.predict(X).reshape(len(X), -1).T
        return {"prediction": columns[0]} if len(columns) == 1 else {f"prediction_{i}": values for i, values in enumerate(columns)}
    p = trainer.predict_proba(X)
    if p.shape[1] == 1:  # of the second of two classes
        p = np.hstack([1 - p, p])
    if p.shape[1] != len(encoder.labels):
        raise Refused(f"the model has {p.shape[1]} outputs for {len(encoder.labels)} classes: its file does not fit together")
    chosen = p.argmax(axis=1)
    return {"prediction": [encoder.labels[i] for i in chosen],
            **{f"probability_{label}": p[:, i] for i, label in enumerate(encoder.labels)}}


def _score(trainer, X, table):
    """Print the score where the table has all the answers."""
    encoder = trainer.table
    if encoder.target in table:
        try:
            y = encoder.transform_target(table)
        except ValueError as error:
            print(f"no score: {error}")
        else:
            classes = encoder.task == "classification"
            print(f"score on these rows: {line(score((trainer.predict_classes if classes else trainer.predict)(X), y, classes))}")
