"""Tables in files: CSV and Parquet are read as columns, columns are written as either.

CSV is read through pyarrow where it is installed and by the standard library's csv module otherwise, to the same columns: pyarrow is
ten times faster (100,000 rows of 20 columns: 0.5 s and 6.6 s), the fallback keeps `vivace train data.csv` free of extras.
pandas fills a row that is too short with missing values, without a word; both of these refuse it.
"""
import csv
import gzip
import io
import os

import numpy as np

from .extras import require
from .files import write_whole
from .frame import READ, Column, columns

MISSING = ("", "?", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "-nan", "-NaN", "NULL", "null", "None")
"""Texts of a CSV file that mean: no value. pandas' own, and the question mark of the UCI collection."""

CSV = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
PARQUET = (".parquet", ".pq")


def is_path(name):
    """Whether `name` ends as the files do that `read` takes."""
    return name.lower().endswith((*CSV, *PARQUET))


def read(path, texts=()):
    """{name: Column} of a CSV or Parquet file, told by its ending; texts: names of columns of a CSV to keep as they are written.

    CSV: UTF-8, one line of names, the delimiter the one of , ; tab | that this line has most of. A column whose values all are
    numbers, true and false, or ISO dates is read as such; MISSING has no value; spaces around values are not part of them.
    Raises OSError, ValueError for a file that is not as its name says, ImportError for Parquet without pyarrow.
    """
    path = os.fspath(path)
    if not is_path(path):
        raise ValueError(f"{path} must end in {', '.join((*CSV[:3], *PARQUET))} (CSV also in .gz)")
    with open(path, "rb") as f:
        raw = f.read()
    try:
        table = _parquet(path, raw) if path.lower().endswith(PARQUET) else _csv(path, raw, set(texts))
    except TypeError as error:  # a column of lists or the like
        raise ValueError(f"{path}: {error}") from error
    if not len(next(iter(table.values())).values):
        raise ValueError(f"{path} has no rows")
    return table


def _parquet(path, raw):
    pyarrow, parquet = require("pyarrow", "tables", "reading Parquet"), require("pyarrow.parquet", "tables", "reading Parquet")
    try:
        table = parquet.read_table(pyarrow.BufferReader(raw))
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{path} is not a Parquet file, or it is damaged: {error}") from error
    names = [name for name in table.column_names if not name.startswith("__index_level_")]  # pandas' index is no column
    if not names:
        raise ValueError(f"{path} has no columns")
    return columns(table.select(names))


def _csv(path, raw, texts):
    try:
        if path.lower().endswith(".gz"):
            raw = gzip.decompress(raw)
        content = raw.decode("utf-8-sig")
    except (OSError, EOFError) as error:
        raise ValueError(f"{path} is not a gzip file, or it is damaged: {error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be UTF-8 text, got byte {raw[error.start]:#04x} at {error.start}") from None
    delimiter = _delimiter(content)
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    try:
        header = next((row for row in reader if row), None)
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from None
    if header is None:
        raise ValueError(f"{path} is empty")
    names = [name.strip() for name in header]
    for name in names[1:]:
        if not name or names.count(name) > 1:
            raise ValueError(f"{path} must have a name of its own for each column, got {name!r}{' twice' if name else ''}")
    try:
        import pyarrow
    except ImportError:
        table = _by_the_standard_library(path, reader, names, texts)
    else:
        table = _by_pyarrow(pyarrow, path, content, delimiter, dict(zip(header, names)), texts)
    table.pop("", None)  # a first column without a name numbers the rows: pandas writes it unless told not to
    if not table:
        raise ValueError(f"{path} has no columns")
    return table


def _delimiter(content):
    line = content.lstrip("\r\n").partition("\n")[0]
    best = max(",;\t|", key=line.count)
    return best if best in line else ","


def _by_pyarrow(pyarrow, path, content, delimiter, names, texts):
    from pyarrow import csv as reader
    raw = content.encode()

    def table(as_text):
        convert = reader.ConvertOptions(null_values=[*MISSING, *(f" {text}" for text in MISSING)], strings_can_be_null=True,
                                        true_values=["true", "True", "TRUE"], false_values=["false", "False", "FALSE"],
                                        column_types={name: pyarrow.string() for name in as_text})
        parse = reader.ParseOptions(delimiter=delimiter, newlines_in_values=True)
        return reader.read_csv(pyarrow.BufferReader(raw), parse_options=parse, convert_options=convert)
    try:
        wanted = {name for name in names if names[name] in texts}
        found = table(wanted)
        times = {field.name for field in found.schema if pyarrow.types.is_time(field.type)}
        if times:  # a time of day without a day is a text
            found = table(wanted | times)
    except pyarrow.ArrowException as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    return {names[name]: _stripped(held) for name, held in columns(found).items()}


def _stripped(held):
    if held.kind != "category":
        return held
    values = np.empty(len(held.values), object)
    values[:] = [None if item is None or item.strip() in MISSING else item.strip() for item in held.values]
    return Column("category", values)


def _by_the_standard_library(path, reader, names, texts):
    rows = []
    try:
        for row in reader:
            if row:
                if len(row) != len(names):
                    raise ValueError(f"{path}, line {reader.line_num}: {len(names)} values expected, got {len(row)}")
                rows.append(row)
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from None
    table = {}
    for i, name in enumerate(names):
        values = np.empty(len(rows), object)
        values[:] = [row[i] for row in rows]
        held = _stripped(Column("category", values))
        table[name] = held if name in texts else _told(held)
    return table


def _told(held):
    """The column as numbers, booleans or dates, where every value can be read so."""
    if held.missing.all():
        return held
    for kind, convert in READ.items():
        values, wrong = convert(held.values)
        if not wrong.any():
            return Column(kind, values)
    return held


def write(path, table):
    """Write {name: list or array} to `path`, whole or not at all: Parquet where it ends so, else CSV."""
    if path.lower().endswith(PARQUET):
        pyarrow, parquet = require("pyarrow", "tables", "writing Parquet"), require("pyarrow.parquet", "tables", "writing Parquet")
        buffer = pyarrow.BufferOutputStream()
        parquet.write_table(pyarrow.table({name: pyarrow.array(values) for name, values in table.items()}), buffer)
        return write_whole(path, buffer.getvalue().to_pybytes())
    write_whole(path, as_csv(table).encode())


def as_csv(table):
    """CSV text of {name: list or array}: numbers in the fewest digits that give them back."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*([str(value) for value in values] for values in table.values())))
    return out.getvalue()
