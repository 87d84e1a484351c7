# The compiled book: one text, built once per instruction-set level. Chapters are those of the reference.
#
# Every kernel has one C entry, entry(args, lo, hi), on units lo..hi of what it is divided over. Two callers fill args: the faces
# (face.pxi), from Python arguments, and the engine (engine.pxi), from the records of a plan. Loops and arithmetic stand in Cython
# here where the compiler's own vector code is as good, and in small C headers where register tiles or polynomials are the point.
cimport cython
from libc.math cimport isfinite, pow, powf, sqrt
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy, memset
cimport numpy as cnp

from vivace.kernels import contract, reference

cnp.import_array()

ctypedef fused real:
    float
    double

include "args.pxi"
include "checks.pxi"
include "face.pxi"
include "linear.pxi"
include "elementwise.pxi"
include "activations.pxi"
include "maps.pxi"
include "normalisation.pxi"
include "embedding.pxi"
include "noise.pxi"
include "losses.pxi"
include "column_losses.pxi"
include "optimizers.pxi"
include "custom.pxi"
include "dropout.pxi"
include "rows.pxi"
include "sparse.pxi"
include "engine.pxi"
include "peak.pxi"

cdef extern from *:
    const char* VV_LEVEL

LEVEL = VV_LEVEL.decode()
missing = sorted(set(reference.KERNELS) - set(FACES))
if missing:
    raise ImportError(f"the compiled book lacks {', '.join(missing)}")
globals().update(FACES)
