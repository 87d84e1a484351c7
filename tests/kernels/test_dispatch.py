"""Which book is chosen, and that a forced choice which cannot load says why. Each choice is a process of its own."""
import os
import subprocess
import sys

import pytest

from vivace import kernels

LEVELS = kernels.available()["cython"]
HAS_NUMBA = kernels.available()["numba"]
WHICH = "from vivace import kernels; w = kernels.which(); print(w['backend'], w['isa'])"
ADD = """
import numpy as np
from vivace import kernels
y = np.empty(3, np.float32)
kernels.add(np.float32([1, 2, 3]), np.float32([4, 5, 6]), y)
assert y.tolist() == [5, 7, 9]
"""


def run(code, **environment):
    """stdout and stderr of a new interpreter; VIVACE_* only as given."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("VIVACE_", "NUMBA_"))}
    return subprocess.run([sys.executable, "-c", code], env={**clean, **environment}, capture_output=True, text=True, timeout=300)


def output(code, **environment):
    done = run(code, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def error(code, **environment):
    """The last line of the traceback."""
    done = run(code, **environment)
    assert done.returncode != 0, done.stdout
    return done.stderr.strip().splitlines()[-1]


def test_default_is_the_best_level():
    assert output(WHICH) == f"cython {LEVELS[-1]}"


def test_forced_level(level):
    assert output(WHICH + ADD, VIVACE_ISA=level) == f"cython {level}"


@pytest.mark.parametrize("backend", ["cython", "numpy", *(["numba"] if HAS_NUMBA else [])])
def test_forced_backend(backend):
    assert output(WHICH + ADD, VIVACE_BACKEND=backend) == f"{backend} {LEVELS[-1] if backend == 'cython' else None}"


def test_empty_variables_choose_nothing():
    assert output(WHICH, VIVACE_BACKEND="", VIVACE_ISA="") == f"cython {LEVELS[-1]}"


def test_unknown_names():
    assert error(WHICH, VIVACE_BACKEND="fortran") == (
        "ImportError: VIVACE_BACKEND must be one of cython, numba, numpy, got 'fortran'")
    assert error(WHICH, VIVACE_ISA="v5") == "ImportError: VIVACE_ISA must be one of baseline, v3, v4, got 'v5'"


@pytest.mark.parametrize("use", ["kernels.get()", "kernels.which()", "kernels.add", "kernels.checks.finite(None)",
                                 "vivace.nn.Linear(2, 3)(np.ones((1, 2)))"])
def test_a_choice_that_cannot_load_raises_where_it_is_used(use):
    """The import passes, so that whoever asks can say it in its own way; every use raises the reason, and not only the first."""
    code = f"""
import numpy as np, vivace
from vivace import kernels
import vivace.kernels.checks
for _ in range(2):
    try:
        {use}
    except ImportError as error:
        print(error)
print(kernels.get("numpy") is kernels.reference)
"""
    assert output(code, VIVACE_ISA="v5").splitlines() == ["VIVACE_ISA must be one of baseline, v3, v4, got 'v5'"] * 2 + ["True"]


def test_names_are_listed_before_they_are_used():
    assert output("from vivace import kernels; print({*kernels.__all__} <= {*dir(kernels)})") == "True"


OLD_CPU = """
import importlib.abc, sys, types
class Old(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "vivace.kernels._cpu":
            sys.modules[name] = types.SimpleNamespace(level=lambda: {level})
            return importlib.util.spec_from_loader(name, self)
    def create_module(self, spec): return types.ModuleType(spec.name)
    def exec_module(self, module): module.level = lambda: {level}
import importlib.util
sys.meta_path.insert(0, Old())
"""


@pytest.mark.parametrize("here, best", [(0, "baseline"), (3, "v3")])
def test_a_cpu_without_the_instructions(here, best):
    """The highest level that the CPU runs is taken; a higher one that was forced is refused, and its module never imported."""
    if best not in LEVELS:
        pytest.skip("this CPU runs the baseline only")
    cpu = OLD_CPU.format(level=here)
    assert output(cpu + WHICH) == f"cython {best}"
    assert output(cpu + "from vivace import kernels; print(kernels.available()['cython'][-1])") == best
    message = error(cpu + WHICH, VIVACE_ISA="v4")
    assert message.startswith("ImportError: VIVACE_ISA=v4 asks for instructions that this CPU")
    assert output(cpu + "import sys, vivace.kernels; print('vivace.kernels.compiled._v4' in sys.modules)") == "False"


NO_NUMBA = """
import sys, importlib.abc
class Without(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] == "numba":
            raise ModuleNotFoundError(name)
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "numba" else find(name, package)
sys.meta_path.insert(0, Without())
"""


def test_numba_not_installed():
    code = NO_NUMBA + "from vivace import kernels; print(kernels.available()['numba']); kernels.get('numba')"
    assert error(code) == "ImportError: the numba backend needs the package numba: pip install 'vivace[numba]'"
    assert "vivace[numba]" in error(NO_NUMBA + WHICH, VIVACE_BACKEND="numba")
    assert output(NO_NUMBA + WHICH + ADD) == f"cython {LEVELS[-1]}"


def test_numba_is_imported_only_when_asked_for():
    assert output("import sys, vivace.kernels; print('numba' in sys.modules)") == "False"


def test_get():
    assert kernels.get("numpy") is kernels.reference
    assert kernels.get() is kernels.get(kernels.which()["backend"])
    with pytest.raises(ValueError, match="backend must be one of cython, numba, numpy, got 'torch'"):
        kernels.get("torch")


def test_which():
    found = kernels.which()
    assert sorted(found) == ["available", "backend", "isa", "missing"]
    assert found["missing"] == [] and found["available"]["numpy"] is True
    assert found["isa"] is None or found["isa"] in found["available"]["cython"]


def test_names_of_the_package_are_the_default_book():
    for name in kernels.reference.KERNELS:
        assert getattr(kernels, name) is getattr(kernels.get(), name)


UNCOMPILED = """
import numpy as np, warnings
warnings.simplefilter("error")
from vivace.kernels import cases, reference
book = cases.load("numba")
for kernel in reference.KERNELS:
    arrays = reference.KERNELS[kernel].spec.arrays
    for dtype in (np.float32, np.float64):
        for case in cases.cases(kernel, dtype, grid=(0, 1, 5), long={}):
            if any(np.size(v) > 2000 for v in case.arguments):
                continue
            expected, got = case.fresh(), case.fresh()
            reference.KERNELS[kernel](*expected)
            getattr(book, kernel)(*got)
            for array, a, b in zip(arrays, expected, got):
                if a is not None and array.role != "in":
                    rtol = 3e-5 if b.dtype == np.float32 else 1e-12
                    np.testing.assert_allclose(b, a, rtol=rtol, atol=rtol, err_msg=f"{kernel} {case.label}: {array.name}")
print("done")
"""


@pytest.mark.skipif(not HAS_NUMBA, reason="numba is not installed")
def test_numba_uncompiled():
    """The Numba book is Python that gives the same results without its compiler, in both types."""
    assert output(UNCOMPILED, NUMBA_DISABLE_JIT="1") == "done"
