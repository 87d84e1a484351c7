/* The inner kernels of one level, for both types, and the form in which the faces and the engine call them. */
#ifndef VV_KERNELS_H
#define VV_KERNELS_H
#undef I /* complex.h, which NumPy includes, takes the letter; here it is the number of inputs */
#include "args.h"
#include "maps.h"
#include "noise.h"
#include "philox.h"
#include "simd.h"
#include "team.h"
#include "vmath.h"

enum { CHUNK = 128, TILE_ROWS = 16, TILE_COLUMNS = 256 }; /* contract.py has the same; a test compares them */

#define T f32
#define REAL float
#define LANES 16
#include "template.h"
#undef T
#undef REAL
#undef LANES
#define T f64
#define REAL double
#define LANES 8
#include "template.h"
#undef T
#undef REAL
#undef LANES
#include "maps_entries.h"
#endif
