"""The form of a plan's records: a versioned NumPy structured type, mirrored in compiled/args.h.

A buffer reference is space << 48 | byte offset, -1 where the kernel gets None. Spaces below ROW_STREAM are fixed addresses, but for
PRIVATE, room that every thread has for itself. A row stream stands at (first row of the batch) * offset bytes, a step stream at
(step of the epoch) * offset bytes.
"""
import numpy as np

VERSION = 2
BUFFERS, SCALARS, DIMS, THEN = 8, 16, 4, 3
OVER = ("rows", "outputs", "flat", "all")
CUT = ("units", "part", "each")

ARENA, PARAMETERS, GRADIENTS, PACKED, STATE, AVERAGE, TOTAL, INPUT = 0, 1, 2, 3, 4, 10, 11, 12
TARGET, WEIGHT, PRIVATE, CONSTANTS, BUFFERS_SPACE = 20, 21, 22, 23, 24
COLUMNS, VALUES = 25, 28
ROW_STREAM, STEP_STREAM, SPACES = 32, 48, 56
ORDER, OUTPUT, INPUT_ROWS, TARGET_ROWS, WEIGHT_ROWS = 32, 33, 34, 42, 43
RESULT, NORMS, SQUARES, JACOBIAN = 48, 49, 50, 51

RECORD = np.dtype([
    ("op", np.int32), ("real", np.int32), ("source", np.int32), ("over", np.int32),
    ("cut", np.int32), ("phase", np.int32), ("chained", np.int32), ("then", np.int32, THEN),
    ("buf", np.int64, BUFFERS), ("dim", np.int64, DIMS), ("s", np.float64, SCALARS), ("k", np.int64, SCALARS),
    ("slot", np.int32, SCALARS),
], align=True)

LETTER = {"N": 0, "P": 0, "I": 1, "O": 2, "C": 2, "M": 3, "V": 3}


def reference_to(space, offset):
    """A buffer reference; `offset` in bytes."""
    return space << 48 | offset
