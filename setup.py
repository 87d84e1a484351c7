"""Build of the compiled book: one text, built once per instruction-set level, each under its full name."""
import os
import platform
import sys

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

X86 = platform.machine().lower() in ("x86_64", "amd64")
DEBUG = os.environ.get("VIVACE_SANITIZE")  # "address,undefined": kernels for the sanitizer run of CONTRIBUTING.md

FLAGS = [
    "-O3",
    "-std=gnu11",
    "-ffp-contract=off",  # a fused multiply-add stands only where the text says so: fused loops equal unfused ones
    "-fno-math-errno",  # sqrt compiles to the instruction, which never sets errno; no other floating-point rule is relaxed
    "-fno-trapping-math",  # lets both sides of a selection be computed; results are unchanged, exceptions are not read
    "-fno-strict-aliasing",  # vectors are loaded from float arrays
    "-Wno-unused-function",  # each level uses its own part of the vector primitives
    "-Wno-psabi",  # wide vector arguments are inlined, never passed
]
LEVELS = {"baseline": ["-march=x86-64"], "v3": ["-march=x86-64-v3"], "v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"]}
if not X86:
    LEVELS = {"baseline": []}
if DEBUG:
    # with -fwrapv, which Python's own flags may hold, gcc leaves out the check of signed overflow
    FLAGS += [f"-fsanitize={DEBUG}", "-fno-wrapv", "-fno-omit-frame-pointer", "-g", "-O1"]
OPENMP = [] if sys.platform == "darwin" else ["-fopenmp"]

HEADERS = [os.path.join("kernels/compiled", f) for f in sorted(os.listdir("kernels/compiled")) if f.endswith((".h", ".pxi"))]


def level(name, flags):
    """The compiled book at one level; `-DVV_LEVEL` only names it."""
    return Extension(
        f"vivace.kernels.compiled._{name}", [f"kernels/compiled/_{name}.pyx"], depends=HEADERS,
        include_dirs=["kernels/compiled", numpy.get_include()],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"), ("VV_LEVEL", f'"{name}"')],
        extra_compile_args=FLAGS + flags + OPENMP, extra_link_args=OPENMP + ([f"-fsanitize={DEBUG}"] if DEBUG else []),
    )


class Build(build_ext):
    """build_ext in parallel, with one clear sentence where the compiler is missing."""

    def initialize_options(self):
        super().initialize_options()
        self.parallel = os.cpu_count()

    def build_extension(self, ext):
        try:
            super().build_extension(ext)
        except Exception as error:
            compiler = (getattr(self.compiler, "compiler_so", None) or ["cc"])[0]
            if "No such file" in str(error) or "not found" in str(error) or "command 'cc' failed" in str(error):
                raise SystemExit(f"vivace needs a C compiler to build, and {compiler!r} could not be run: install gcc or clang") from error
            raise


EXTENSIONS = [level(name, flags) for name, flags in LEVELS.items()]
EXTENSIONS.append(Extension("vivace.kernels._cpu", ["kernels/_cpu.pyx"], extra_compile_args=["-O2"]))

setup(
    packages=["vivace", "vivace.estimators", "vivace.optim", "vivace.kernels", "vivace.kernels.reference", "vivace.kernels.compiled",
              "vivace.kernels.jit", "vivace.nn", "vivace.nn.optim", "vivace.benchmarks"],
    package_dir={"vivace": "vivace", "vivace.kernels": "kernels", "vivace.nn": "nn", "vivace.benchmarks": "benchmarks"},
    package_data={"vivace": ["py.typed"]},
    exclude_package_data={"": ["*.c", "*.h", "*.pyx", "*.pxi"]},
    ext_modules=cythonize(EXTENSIONS, nthreads=0, compiler_directives={
        "language_level": 3, "boundscheck": False, "wraparound": False, "cdivision": True, "initializedcheck": False}),
    cmdclass={"build_ext": Build},
)
