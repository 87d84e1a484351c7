"""Programs run by one level or backend: it needs a process of its own, since the eager step uses the process's default."""
import functools
import importlib.util
import json
import os
import subprocess
import sys

import pytest

import vivace as vv

LEVELS = vv.kernels.available()["cython"]
FORCED = {**{level: {"VIVACE_ISA": level} for level in LEVELS}, "numpy": {"VIVACE_BACKEND": "numpy"}, "numba": {"VIVACE_BACKEND": "numba"}}
NAMES = [*LEVELS, "numpy", *([pytest.param("numba", marks=pytest.mark.slow)] if importlib.util.find_spec("numba") else [])]
"""All that this machine has, for parametrize."""
LEVELS_BESIDE_V3 = [level for level in LEVELS if level not in ("baseline", "v3")]


@functools.cache
def digests(program, name, options=""):
    """What `program` finds, told to use the level or backend `name`: its "digests", after a look at what it says it used."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("VIVACE_")}
    environment["OPENBLAS_NUM_THREADS"] = "1"  # on two threads LAPACK takes three times as long for matrices of 100 rows
    done = subprocess.run([sys.executable, "-W", "error", str(program), *([options] if options else [])], env=environment | FORCED[name],
                          capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert name in (result["which"]["backend"], result["which"]["isa"])
    return result["digests"]
