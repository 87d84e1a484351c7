"""Tables in files: CSV and Parquet are read as columns, columns are written as either.

CSV is read by the standard library's csv module alone, whatever else is installed: a second reader has its own idea of what a number,
a truth or a date is, and a model would depend on the packages beside it. pandas fills a row that is too short with missing values,
without a word; here it is refused.
"""
import csv
import gzip
import io
import os
import zlib
from collections import Counter
from itertools import islice

import numpy as np

from .extras import require
from .files import write_whole
from .frame import READ, Column, as_kind, columns

MISSING = frozenset(("", "?", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "-nan", "-NaN", "NULL", "null", "None"))
"""Texts of a CSV file that mean: no value. pandas' own, and the question mark of the UCI collection. Among numbers, NAN is one more."""

CSV = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
PARQUET = (".parquet", ".pq")

CHUNK = 10_000
"""Rows of a CSV that are texts at a time: as Python's they take many times the room of the numbers they are."""


def is_path(name):
    """Whether `name` ends as the files do that `read` takes."""
    return name.lower().endswith((*CSV, *PARQUET))


def read(path, texts=(), written=()):
    """{name: Column} of a CSV or Parquet file, told by its ending.

    CSV: UTF-8, one line of names, the delimiter the one of , ; tab | that divides this line most. A column whose values all are
    numbers, true and false, or ISO dates is read as such; MISSING has no value; spaces around values are not part of them.
    texts: names of columns of a CSV to keep as texts; written: of those to keep as the file has them in `exact`, whatever they are.
    Raises OSError, ValueError for a file that is not as its name says, ImportError for Parquet without pyarrow.
    """
    path = os.fspath(path)
    if not is_path(path):
        raise ValueError(f"{path} must end in {', '.join((*CSV[:3], *PARQUET))} (CSV also in .gz)")
    with open(path, "rb") as f:
        raw = f.read()
    table = _parquet(path, raw) if path.lower().endswith(PARQUET) else _csv(path, raw, texts, written)
    if not len(next(iter(table.values())).values):
        raise ValueError(f"{path} has no rows")
    return table


def _parquet(path, raw):
    pyarrow, parquet = require("pyarrow", "tables", "reading Parquet"), require("pyarrow.parquet", "tables", "reading Parquet")
    try:
        table = parquet.ParquetFile(pyarrow.BufferReader(raw)).read()
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{path} is not a Parquet file, or it is damaged: {error}") from error
    kept = [i for i, name in enumerate(table.column_names) if not name.startswith("__index_level_")]  # pandas' index is no column
    if not kept:
        raise ValueError(f"{path} has no columns")
    try:
        return columns(table.select(kept))
    except (ValueError, TypeError) as error:  # a name that stands twice, a column of lists or the like
        raise ValueError(f"{path}: {error}") from error


def _csv(path, raw, texts, written):
    try:
        if path.lower().endswith(".gz"):
            raw = gzip.decompress(raw)
        raw.decode()  # all of it, before anything is told by the first rows
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is not a gzip file, or it is damaged: {error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be UTF-8 text, got byte {raw[error.start]:#04x} at {error.start}") from None
    content = io.TextIOWrapper(io.BytesIO(raw), "utf-8-sig", newline="")
    delimiter = max(",;\t|", key=lambda mark: len(next(_rows(path, content, mark, strict=False), ())))
    names = [name.strip() for name in next(_rows(path, content, delimiter), ())]
    if not names:
        raise ValueError(f"{path} is empty")
    count = Counter(names)
    for name in names[1:]:
        if not name or count[name] > 1:
            raise ValueError(f"{path} must have a name of its own for each column, got {name!r}{' twice' if name else ''}")
    table = _told_by_all_rows(lambda: islice(_rows(path, content, delimiter, len(names)), 1, None), names, {*texts, *written})
    table |= {name: _told(table[name], exact=True) for name in written if name in table}
    table.pop("", None)  # a first column without a name numbers the rows: pandas writes it unless told not to
    if not table:
        raise ValueError(f"{path} has no columns")
    return table


def _rows(path, content, delimiter, width=None, strict=True):
    """Rows of texts from the first line of names on, empty lines left out; ValueError for one that has not `width` values."""
    content.seek(0)
    reader = csv.reader(content, delimiter=delimiter, strict=strict)
    try:
        for row in reader:
            if row:
                if width not in (None, len(row)):
                    raise ValueError(f"{path}, line {reader.line_num}: {width} values expected, got {len(row)}")
                yield row
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from None


def _told_by_all_rows(rows, names, texts):
    """{name: Column} of what rows() iterates over; `texts` are not told.

    Told by chunks. A column of which one chunk is numbers and another is not is told by all of its texts, on a second way through.
    """
    parts = _chunks(rows(), names, names, texts)
    kinds = {name: {part.kind for part in held if not part.missing.all()} for name, held in parts.items()}
    mixed = [name for name in names if len(kinds[name]) > 1]
    if mixed:
        parts |= _chunks(rows(), names, mixed, mixed)
    table = {name: _joined(held, "category" if name in mixed else next(iter(kinds[name]), "category")) for name, held in parts.items()}
    return table | {name: _told(table[name]) for name in mixed}


def _chunks(rows, names, wanted, texts):
    """{name: [Column of each chunk of rows]} of the wanted columns."""
    parts, texts = {name: [] for name in wanted}, set(texts)
    while chunk := list(islice(rows, CHUNK)):
        for name, cells in zip(names, zip(*chunk)):
            if name in parts:
                parts[name].append(_cleaned(cells) if name in texts else _numbers(cells) or _told(_cleaned(cells)))
    return parts


def _joined(parts, kind):
    values = [as_kind(part, kind, "").values for part in parts]
    return Column(kind, np.concatenate(values) if values else np.empty(0, object))


def _cleaned(cells):
    values = np.empty(len(cells), object)
    values[:] = [None if cell in MISSING else cell for cell in map(str.strip, cells)]
    return Column("category", values)


def _numbers(cells):
    """The Column of texts that are numbers without exception, as most are; None else. Quicker than what _told does, to the same end."""
    try:
        values = np.array(list(map(float, cells)))
    except ValueError:
        return None
    return None if np.isnan(values).any() or "_" in "".join(cells) else Column("number", values)


def _told(held, exact=False):
    """The column as numbers, booleans or dates, where every value can be read so; exact: with its texts beside them."""
    missing = held.missing
    if missing.all():
        return held
    first = held.values[[int(np.argmin(missing))]]
    for kind, convert in READ.items():
        if convert(first)[1].any():  # most columns of texts say so at once
            continue
        values, wrong = convert(held.values)
        if not wrong.any() and not Column(kind, values).missing.all():
            return Column(kind, values, held.values if exact else None)
    return held


def write(path, table):
    """Write {name: list or array} to `path`, whole or not at all, as `read` takes it by its ending; CSV where it has none of these."""
    name = path.lower()
    if name.endswith(PARQUET):
        pyarrow, parquet = require("pyarrow", "tables", "writing Parquet"), require("pyarrow.parquet", "tables", "writing Parquet")
        buffer = pyarrow.BufferOutputStream()
        parquet.write_table(pyarrow.table({name: _arrow(pyarrow, values) for name, values in table.items()}), buffer)
        return write_whole(path, buffer.getvalue().to_pybytes())
    raw = as_csv(table, "\t" if name.endswith((".tsv", ".tsv.gz")) else ",").encode()
    write_whole(path, gzip.compress(raw, mtime=0) if name.endswith(".gz") else raw)


def _arrow(pyarrow, values):
    try:
        return pyarrow.array(values)
    except OverflowError:  # integers of more than 64 bits
        return pyarrow.array([str(value) for value in values])


def as_csv(table, delimiter=","):
    """CSV text of {name: list or array}: numbers in the fewest digits that give them back."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*([str(value) for value in values] for values in table.values())))
    return out.getvalue()
