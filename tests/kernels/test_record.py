"""What the compiled books and Python must agree on: the layout of records, operation numbers, constants of the format; and what
they must leave alone: the floating-point mode of the caller."""
import subprocess
import sys

import numpy as np
import pytest
from vivace.kernels import cases, contract, record, reference


def test_record_layout(level, level_books):
    """Every field stands where C has it, and the sizes are equal."""
    layout = level_books[level].record_layout()
    assert layout.pop("size") == record.RECORD.itemsize == level_books[level].ENGINE_SIZES["record"]
    assert layout == {name: offset for name, (_, offset) in record.RECORD.fields.items()}


def test_field_sizes():
    """Counts that a signature or a plan relies on."""
    shapes = {name: record.RECORD[name].shape for name in record.RECORD.names}
    assert shapes["buf"] == (record.BUFFERS,) and shapes["dim"] == (record.DIMS,) and shapes["then"] == (record.THEN,)
    assert shapes["s"] == shapes["k"] == shapes["slot"] == (record.SCALARS,)
    for kernel in reference.KERNELS.values():
        assert len(kernel.spec.arrays) <= record.BUFFERS and len(kernel.spec.scalars) <= record.SCALARS


def test_operation_numbers(level, level_books):
    assert level_books[level].OPS == reference.OPS
    assert reference.OPS == {name: index for index, name in enumerate(sorted(reference.KERNELS))}
    letters = {d for k in reference.KERNELS.values() for a in k.spec.arrays for d in a.dims if d.isalpha()}
    assert set(record.LETTER) >= letters - {"L", "Q", "B", "K"}
    assert {k.spec.over for k in reference.KERNELS.values()} <= set(record.OVER)


def test_spaces():
    """Fixed addresses, row streams, step streams: in this order, and below the number of spaces."""
    assert record.ARENA < record.INPUT < record.TARGET < record.WEIGHT < record.ROW_STREAM <= record.ORDER < record.STEP_STREAM
    assert record.STEP_STREAM <= record.RESULT < record.SPACES
    assert record.reference_to(record.RESULT, 40) >> 48 == record.RESULT and record.reference_to(3, 40) & (1 << 48) - 1 == 40


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constants(level, level_books, dtype):
    """CHUNK and the panel width, seen from outside: by where sums are cut and where packed zeros begin."""
    book, lanes = level_books[level], contract.lanes(dtype)
    assert contract.CHUNK == 128
    big = 1 / np.finfo(dtype).eps  # big + 1/4 is big: one more row in the chunk of the big one loses its quarter
    for rows in range(contract.CHUNK - 2, contract.CHUNK + 4):
        dy = np.zeros((rows, 1), dtype)
        dy[0], dy[contract.CHUNK - 2:] = big * 2, 0.25
        db = np.empty(1, dtype)
        book.linear_backward_weight(np.zeros_like(dy), dy, None, db)
        after = max(rows - contract.CHUNK, 0) * 0.25
        assert db[0] == dtype(big * 2) + dtype(after), rows
    form = np.full((1, 1, lanes), np.nan, dtype)
    book.linear_pack(np.ones((lanes - 1, 1), dtype), form)
    assert form.ravel().tolist() == [1] * (lanes - 1) + [0]


MODE = """
import ctypes, subprocess, sys, tempfile, os, threading
import numpy as np

SOURCE = "#include <xmmintrin.h>\\nunsigned mode(void) { return _mm_getcsr() & 0xffc0; }  /* without the sticky flags */\\n"
folder = tempfile.mkdtemp()
with open(os.path.join(folder, "mode.c"), "w") as file:
    file.write(SOURCE)
built = subprocess.run(["cc", "-shared", "-fPIC", "-o", os.path.join(folder, "mode.so"), os.path.join(folder, "mode.c")])
register = ctypes.CDLL(os.path.join(folder, "mode.so")).mode if built.returncode == 0 else lambda: None

def denormals():
    "Whether subnormal numbers are made, read and kept in this thread."
    tiny = np.array([1.17549435e-38, 1e-45], np.float32)
    return (tiny * np.float32(0.5)).tolist()[0] > 0 and (tiny + np.float32(0)).tolist()[1] > 0

def seen_by_new_threads():
    found = []
    threads = [threading.Thread(target=lambda: found.append((register(), denormals()))) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    return set(found)

before = register()
assert denormals() and seen_by_new_threads() == {(before, True)}
from vivace.kernels import cases, record, reference
assert register() == before and seen_by_new_threads() == {(before, True)}, "importing"
for name in sys.argv[1:]:
    book = cases.load(name)
    assert register() == before, f"importing {name}"
    for kernel in reference.KERNELS:
        sizes = {**cases.BASE, "*": (3, 17)}
        getattr(book, kernel)(*cases.make(kernel, sizes, np.float32))
        assert register() == before and denormals(), f"{name}.{kernel}"
    assert seen_by_new_threads() == {(before, True)}, name
print("done", before)
"""


def test_floating_point_mode():
    """Importing a book and calling its kernels leaves MXCSR as it was, in this thread and in new ones; denormals stay numbers."""
    names = [name for name in cases.books() if name != "numba"]
    done = subprocess.run([sys.executable, "-c", MODE, *names], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("done")
