/* Everything that exists once per type. */
#define NAME2(a, b) a##_##b
#define NAME1(a, b) NAME2(a, b)
#define F(name) NAME1(name, T)
#define VEC F(vec)
#define W (LANES / NV)
#include "transpose.h"
#include "rowwise.h"
#include "column_losses.h"
#include "maps_rows.h"
#include "columns.h"
#include "matmul.h"
#include "peak.h"
#include "sparse.h"
#undef NAME2
#undef NAME1
#undef F
#undef VEC
#undef W
