"""What is built and what is imported: the wheel, the sdist, an empty directory, and the weight of `import vivace`."""
import importlib.metadata
import importlib.util
import pathlib
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

import vivace

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEAVY = ("sklearn", "numba", "llvmlite", "matplotlib", "pandas", "pyarrow", "scipy", "tqdm", "safetensors", "tempfile", "pytest",
         "setuptools", "Cython")


@pytest.fixture(scope="session", params=["modules as they stand", pytest.param("from the sdist", marks=pytest.mark.slow)])
def built(request, tmp_path_factory):
    """(wheel, sdist), built once from a copy of the repository.

    The quick form gives the build the compiled modules of this checkout, where there are any, instead of compiling them for a
    minute; the long form compiles all from the sdist, in an empty directory.
    """
    folder = tmp_path_factory.mktemp("dist")
    source = folder / "source"
    shutil.copytree(ROOT, source,
                    ignore=shutil.ignore_patterns(".git", ".venv", "build", "dist", "*.egg-info", "*.so", "__pycache__", ".*cache"))
    run("-c", f"import setuptools.build_meta as b; b.build_sdist({str(folder)!r})", cwd=source)
    sdist = next(folder.glob("*.tar.gz"))
    if request.param == "from the sdist":
        run("-m", "pip", "wheel", str(sdist), "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), cwd=folder)
    else:
        (source / "setup.cfg").write_text("[build]\nbuild_lib = build/lib\n")
        for path in (ROOT / "kernels").rglob("*.so"):
            place = source / "build" / "lib" / "vivace" / path.relative_to(ROOT)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)  # newer than its sources, so that the build takes it as done
        run("-c", f"import setuptools.build_meta as b; b.build_wheel({str(folder)!r})", cwd=source)
    return next(folder.glob("*.whl")), sdist


def run(*arguments, cwd):
    """Output of Python with `arguments`, which must succeed."""
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    return done.stdout.strip()


@pytest.fixture(scope="session")
def installed(built, tmp_path_factory):
    """A folder that holds the wheel's files, as `pip install --target` lays them out."""
    target = tmp_path_factory.mktemp("site")
    run("-m", "pip", "install", str(built[0]), "--no-deps", "--target", str(target), "--disable-pip-version-check", cwd=target)
    return target


def in_empty_folder(code, tmp_path, target):
    """Output of `code` in a new process, the wheel's folder before everything else, the repository nowhere."""
    preamble = ("import sys; "
                "sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in getattr(f, '__module__', '') + repr(f)]; "
                f"sys.path[:] = [p for p in sys.path if p not in ('', {str(ROOT)!r})]; sys.path.insert(0, {str(target)!r}); ")
    return run("-c", preamble + code, cwd=tmp_path)


def test_the_wheel_holds_one_name_and_no_sources(built):
    names = zipfile.ZipFile(built[0]).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"vivace", f"vivace-{vivace.__version__}.dist-info"}
    assert not [name for name in names if name.endswith((".pyx", ".c", ".h", ".pxi", ".pxd"))]
    assert "vivace/py.typed" in names and not [name for name in names if "tests" in name or "__pycache__" in name]
    compiled = {name.split("/")[-1].split(".")[0] for name in names if name.endswith((".so", ".pyd"))}
    levels = {"_baseline", "_v3", "_v4"} if platform.machine().lower() in ("x86_64", "amd64") else {"_baseline"}
    assert compiled == levels | {"_cpu"}


def test_the_wheel_holds_every_module(built):
    names = set(zipfile.ZipFile(built[0]).namelist())
    for folder, package in (("vivace", "vivace"), ("kernels", "vivace/kernels"), ("nn", "vivace/nn")):
        for path in (ROOT / folder).rglob("*.py"):
            assert f"{package}/{path.relative_to(ROOT / folder).as_posix()}" in names, path.name


def test_the_metadata(built):
    wheel = zipfile.ZipFile(built[0])
    text = wheel.read(f"vivace-{vivace.__version__}.dist-info/METADATA").decode()
    assert f"Version: {vivace.__version__}\n" in text and "Requires-Python: >=3.11" in text
    for extra in ("sklearn", "numba", "plot", "tables", "all", "test", "bench"):
        assert f"Provides-Extra: {extra}\n" in text
    entry = wheel.read(f"vivace-{vivace.__version__}.dist-info/entry_points.txt").decode()
    assert "vivace = vivace.cli:main" in entry


def test_the_sdist_holds_what_a_build_needs(built):
    with tarfile.open(built[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"setup.py", "pyproject.toml", "README.md", "LICENSE", "kernels/compiled/_v3.pyx",
            "kernels/compiled/book.pxi"} <= names
    assert not [name for name in names if name.endswith((".so", ".c")) and not name.startswith("tests/")]


def test_the_wheel_trains_in_an_empty_directory(installed, tmp_path):
    code = """
import importlib.util, pathlib, numpy as np, vivace as vv
from vivace import nn, optim
import vivace.optim as again, vivace.nn as n2
assert again is optim and n2 is nn
here = pathlib.Path(vv.__file__).resolve().parent
model = nn.Linear(2, 1)
vv.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters())).fit(np.ones((4, 2)), np.ones(4), epochs=1, verbose=0)
for name in ("kernels", "nn"):
    spec = importlib.util.find_spec(name)
    assert spec is None or spec.origin is None or here not in pathlib.Path(spec.origin).resolve().parents, spec
    assert name not in sys.modules
print(vv.__version__, here.parent, vv.kernels.which()["backend"])
"""
    assert in_empty_folder(code, tmp_path, installed) == f"{vivace.__version__} {installed.resolve()} cython"


def test_every_level_of_the_wheel_loads_where_the_cpu_can(installed, tmp_path):
    levels = vivace.kernels.available()["cython"]
    assert "baseline" in levels
    for level in levels:
        code = f"import os; os.environ['VIVACE_ISA'] = {level!r}; import vivace; print(vivace.kernels.which()['isa'])"
        assert in_empty_folder(code, tmp_path, installed) == level


def test_import_is_light(tmp_path):
    """The heavy packages, and what is only used by some calls, come when they are used."""
    code = f"import sys, vivace, vivace.nn, vivace.optim; print([name for name in {HEAVY} if name in sys.modules])"
    assert run("-c", code, cwd=tmp_path) == "[]"


def test_vivace_optim_is_a_real_module():
    import vivace.optim as optim
    import vivace.optim.lr_scheduler as schedules
    assert optim.Adam is vivace.nn.optim.Adam and schedules.StepLR is optim.lr_scheduler.StepLR
    assert optim.__name__ == "vivace.optim" and importlib.util.find_spec("vivace.optim").origin.endswith("__init__.py")


def test_the_version_is_the_metadatas():
    assert vivace.__version__ == importlib.metadata.version("vivace")
